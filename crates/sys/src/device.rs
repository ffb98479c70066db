//! The ioctls of `/dev/kjump`.
// UNSAFETY: an ioctl is a request number and a pointer, which the kernel reads and writes through.
// Here each number of `abi::device` meets the structure of `abi::device` that belongs to it, and
// nowhere else.
#![allow(unsafe_code)]

use std::io;
use std::mem::size_of;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use abi::device::{
    ATTACH, CALL, Call, Diagnosis, IMAGES, INFO, ImageInfo, Info, KEEP, LOAD, List, Load, NOTE, Name, Note,
    PATH, Piece, RANGES, READ, Range, SLOTS, Segment, SlotRun, Transfer, UNLOAD, VERSION, WRITE, WRITE_LIST,
};
use rustix::ioctl::{NoArg, Updater, ioctl};

use crate::{ImageName, Refusal, Request};

/// Why the device did not answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no device node: the module is not loaded.
    #[error("{} does not exist; load the module: `modprobe kjump`", path.display())]
    Absent {
        /// The node.
        path: PathBuf,
    },
    /// The device node cannot be opened.
    #[error("{} cannot be opened: {error}{}", path.display(), advice_to_open(error))]
    Open {
        /// The node.
        path: PathBuf,
        /// The kernel's error; already part of the text, hence not a source.
        error: io::Error,
    },
    /// The module speaks another version of the interface.
    #[error(
        "the module has version {module} of the interface, this program version {VERSION}; \
             use a module and a program of the same version"
    )]
    Version {
        /// [`Info::version`] of the module.
        module: u64,
    },
    /// The module refused.
    #[error(transparent)]
    Refused(#[from] Refusal),
}

fn advice_to_open(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => "; run as root, with CAP_SYS_BOOT",
        _ => "",
    }
}

/// Bytes and where they are to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Destination<'a> {
    /// The bytes; the rest of `size` is filled with zeros.
    pub bytes: &'a [u8],
    /// Physical address.
    pub address: u64,
    /// Size in bytes.
    pub size: u64,
}

/// The image to load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoadRequest<'a> {
    /// The segments.
    pub segments: &'a [Destination<'a>],
    /// Memory beyond System RAM that the caller vouches for.
    pub vouched: &'a [Range],
    /// Physical address that is called.
    pub entry: u64,
    /// One of [`abi::device::mode`].
    pub mode: u64,
    /// Bits of [`abi::device::load_flag`].
    pub flags: u64,
}

/// An open `/dev/kjump`, with room for one image, which is unloaded with it unless it is kept.
#[derive(Debug)]
pub struct Device {
    file: OwnedFd,
}

impl Device {
    /// Opens `/dev/kjump` and checks that the module speaks this program's version of the
    /// interface.
    ///
    /// # Errors
    /// Every [`Error`].
    pub fn open() -> Result<Self, Error> {
        Self::open_at(Path::new(PATH))
    }

    /// Opens a device node in another place, as [`open`](Self::open) does.
    ///
    /// # Errors
    /// Every [`Error`].
    pub fn open_at(path: &Path) -> Result<Self, Error> {
        let device = match std::fs::OpenOptions::new().read(true).write(true).open(path) {
            Ok(file) => Self { file: file.into() },
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(Error::Absent { path: path.into() });
            }
            Err(error) => return Err(Error::Open { path: path.into(), error }),
        };
        match device.info()?.version {
            VERSION => Ok(device),
            module => Err(Error::Version { module }),
        }
    }

    /// From now on, fails a request that would have to wait for another one, with `EBUSY`.
    ///
    /// # Errors
    /// fcntl(2) fails.
    pub fn set_no_wait(&self) -> io::Result<()> {
        Ok(rustix::fs::fcntl_setfl(&self.file, rustix::fs::OFlags::NONBLOCK)?)
    }

    /// What the module and the machine can do.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn info(&self) -> Result<Info, Refusal> {
        let mut info = Info { size: bytes_of::<Info>(), ..Info::default() };
        // SAFETY: INFO takes a `kjump_info`, which holds no pointer.
        let result = unsafe { self.exchange::<INFO, _>(&mut info) };
        answer(Request::Info, result, Diagnosis::default())?;
        Ok(info)
    }

    /// Loads an image into this open file. The out fields of the answer contain the result.
    ///
    /// # Errors
    /// [`Refusal`]; then nothing is loaded.
    pub fn load(&self, request: &LoadRequest<'_>) -> Result<Load, Refusal> {
        let segments: Vec<Segment> = request.segments.iter().map(segment).collect();
        let mut load = Load {
            size: bytes_of::<Load>(),
            segments: address_of(&segments),
            segment_count: segments.len() as u64,
            vouched: address_of(request.vouched),
            vouched_count: request.vouched.len() as u64,
            entry: request.entry,
            mode: request.mode,
            flags: request.flags,
            ..Load::default()
        };
        // SAFETY: LOAD takes a `kjump_load`; its pointers are those of slices that live until it
        // returns, and the module only reads what they point at.
        let result = unsafe { self.exchange::<LOAD, _>(&mut load) };
        answer(Request::Load, result, load.diagnosis)?;
        Ok(load)
    }

    /// Copies bytes of the image, from the physical address on, into the buffer.
    ///
    /// # Errors
    /// [`Refusal`]; the buffer may have been written to in part.
    pub fn read(&self, address: u64, buffer: &mut [u8]) -> Result<(), Refusal> {
        let mut transfer = Transfer {
            size: bytes_of::<Transfer>(),
            address,
            buffer: buffer.as_mut_ptr().expose_provenance() as u64,
            length: buffer.len() as u64,
            ..Transfer::default()
        };
        // SAFETY: READ takes a `kjump_transfer`; its pointer is that of a slice borrowed for
        // writing until it returns, and the length is the slice's.
        let result = unsafe { self.exchange::<READ, _>(&mut transfer) };
        answer(Request::Read, result, transfer.diagnosis)
    }

    /// Copies bytes into the image, from the physical address on.
    ///
    /// # Errors
    /// [`Refusal`]; the bytes may have been copied in part.
    pub fn write(&self, address: u64, bytes: &[u8]) -> Result<(), Refusal> {
        let mut transfer = Transfer {
            size: bytes_of::<Transfer>(),
            address,
            buffer: address_of(bytes),
            length: bytes.len() as u64,
            ..Transfer::default()
        };
        // SAFETY: WRITE takes a `kjump_transfer`; its pointer is that of a slice that lives until
        // it returns, and the module only reads what it points at.
        let result = unsafe { self.exchange::<WRITE, _>(&mut transfer) };
        answer(Request::Write, result, transfer.diagnosis)
    }

    /// Copies bytes into the image at many physical addresses.
    ///
    /// # Errors
    /// [`Refusal`]; some pieces may have been copied.
    pub fn write_list(&self, pieces: &[(u64, &[u8])]) -> Result<(), Refusal> {
        let mut entries: Vec<Piece> = pieces.iter().map(piece).collect();
        let mut list = list_for(&mut entries, 0);
        // SAFETY: WRITE_LIST takes a `kjump_list`; its pointer is that of a slice of `kjump_piece`,
        // whose pointers are those of slices. All live until it returns, and the module only reads
        // what they point at.
        let result = unsafe { self.exchange::<WRITE_LIST, _>(&mut list) };
        answer(Request::Write, result, list.diagnosis)
    }

    /// Calls the image with the arguments, at a level of [`abi::device::quiesce`]. The answer's
    /// [`status`](Call::status) is whether the image returned or an exception ended it.
    ///
    /// # Errors
    /// [`Refusal`]; [`Call::status`] is then [`NOT_CALLED`](abi::device::status::NOT_CALLED), or
    /// the system did not resume wholly.
    pub fn call(&self, arguments: [u64; 6], quiesce: u64) -> Result<Call, Refusal> {
        self.call_until(arguments, quiesce, 0)
    }

    /// The same, and stops a guarded image after this number of milliseconds, if not 0; the status
    /// is then [`DEADLINE`](abi::device::status::DEADLINE).
    ///
    /// # Errors
    /// As for [`call`](Self::call).
    pub fn call_until(&self, arguments: [u64; 6], quiesce: u64, deadline: u64) -> Result<Call, Refusal> {
        let mut call = Call { size: bytes_of::<Call>(), arguments, quiesce, deadline, ..Call::default() };
        // SAFETY: CALL takes a `kjump_call`, which holds no pointer that the module follows. What
        // the image itself does to the machine is the responsibility of the caller that loaded it.
        let result = unsafe { self.exchange::<CALL, _>(&mut call) };
        answer(Request::Call, result, call.diagnosis)?;
        Ok(call)
    }

    /// Unloads the image of this open file, kept or not.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn unload(&self) -> Result<(), Refusal> {
        // SAFETY: UNLOAD takes nothing, so the number is all there is to be right.
        let request = unsafe { NoArg::<UNLOAD>::new() };
        // SAFETY: as above.
        let result = unsafe { ioctl(&self.file, request) };
        answer(Request::Unload, result, Diagnosis::default())
    }

    /// Gives the image of this open file a name, under which it outlives the file.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn keep(&self, name: &ImageName) -> Result<(), Refusal> {
        let mut request = Name { size: bytes_of::<Name>(), name: name.words(), ..Name::default() };
        // SAFETY: KEEP takes a `kjump_name`, which holds no pointer.
        let result = unsafe { self.exchange::<KEEP, _>(&mut request) };
        answer(Request::Keep, result, request.diagnosis)
    }

    /// Makes the image kept under the name that of this open file.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn attach(&self, name: &ImageName) -> Result<(), Refusal> {
        let mut request = Name { size: bytes_of::<Name>(), name: name.words(), ..Name::default() };
        // SAFETY: ATTACH takes a `kjump_name`, which holds no pointer.
        let result = unsafe { self.exchange::<ATTACH, _>(&mut request) };
        answer(Request::Attach, result, request.diagnosis)
    }

    /// The images of all open files and all kept ones.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn images(&self) -> Result<Vec<ImageInfo>, Refusal> {
        collect(|entries| {
            let mut list = list_for(entries, 0);
            // SAFETY: IMAGES takes a `kjump_list`; its pointer is that of a slice of
            // `kjump_image_info` borrowed for writing until it returns, and the capacity is the
            // slice's length.
            let result = unsafe { self.exchange::<IMAGES, _>(&mut list) };
            answer(Request::Images, result, list.diagnosis)?;
            Ok(list.count)
        })
    }

    /// The image that is kept under a name, if there is one.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn image_named(&self, name: &ImageName) -> Result<Option<ImageInfo>, Refusal> {
        Ok(self.images()?.into_iter().find(|image| image.name == name.words()))
    }

    /// The destination ranges of the image with this [`id`](ImageInfo::id), loaded by any process.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn ranges(&self, id: u64) -> Result<Vec<Range>, Refusal> {
        collect(|entries| {
            let mut list = list_for(entries, id);
            // SAFETY: RANGES takes a `kjump_list`; its pointer is that of a slice of `kjump_range`
            // borrowed for writing until it returns, and the capacity is the slice's length.
            let result = unsafe { self.exchange::<RANGES, _>(&mut list) };
            answer(Request::Ranges, result, list.diagnosis)?;
            Ok(list.count)
        })
    }

    /// The slots of the image with this [`id`](ImageInfo::id), of any process, as runs by rising
    /// destination.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn slots(&self, id: u64) -> Result<Vec<SlotRun>, Refusal> {
        collect(|entries| {
            let mut list = list_for(entries, id);
            // SAFETY: SLOTS takes a `kjump_list`; its pointer is that of a slice of
            // `kjump_slot_run` borrowed for writing until it returns, and the capacity is the
            // slice's length.
            let result = unsafe { self.exchange::<SLOTS, _>(&mut list) };
            answer(Request::Slots, result, list.diagnosis)?;
            Ok(list.count)
        })
    }

    /// Passes the address of the running kernel's note about its first CPU, for calls of the image.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn keep_note_at(&self, address: u64, length: u64) -> Result<(), Refusal> {
        let mut request = Note { size: bytes_of::<Note>(), address, length, ..Note::default() };
        // SAFETY: NOTE takes a `kjump_note`, which holds no pointer.
        let result = unsafe { self.exchange::<NOTE, _>(&mut request) };
        answer(Request::Note, result, request.diagnosis)
    }

    /// One ioctl.
    ///
    /// # Safety
    /// The request of this number takes a `T`, and whatever the module reads or writes through
    /// addresses in it lives, and is borrowed for that, until this returns.
    unsafe fn exchange<const NUMBER: u32, T>(&self, structure: &mut T) -> rustix::io::Result<()> {
        // SAFETY: the caller promises that number and structure belong together.
        let request = unsafe { Updater::<NUMBER, T>::new(structure) };
        // SAFETY: the caller promises that what the structure points at may be read and written.
        unsafe { ioctl(&self.file, request) }
    }
}

impl AsFd for Device {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

pub(crate) fn segment(destination: &Destination<'_>) -> Segment {
    Segment {
        buf: address_of(destination.bytes),
        bufsz: destination.bytes.len() as u64,
        mem: destination.address,
        memsz: destination.size,
    }
}

fn piece((address, bytes): &(u64, &[u8])) -> Piece {
    Piece { address: *address, buffer: address_of(bytes), length: bytes.len() as u64 }
}

fn list_for<T>(entries: &mut [T], id: u64) -> List {
    List {
        size: bytes_of::<List>(),
        entries: entries.as_mut_ptr().expose_provenance() as u64,
        capacity: entries.len() as u64,
        id,
        ..List::default()
    }
}

/// Asks until the array has room for all entries there are: the list may grow between two requests.
fn collect<T: Clone + Default>(
    mut ask: impl FnMut(&mut [T]) -> Result<u64, Refusal>,
) -> Result<Vec<T>, Refusal> {
    let mut entries = vec![T::default(); 16];
    loop {
        let count = usize::try_from(ask(&mut entries)?).unwrap_or(usize::MAX);
        if count <= entries.len() {
            entries.truncate(count);
            return Ok(entries);
        }
        // At most twice as many as before: the number is the module's, the memory ours.
        entries.resize(count.min(entries.len() * 2), T::default());
    }
}

fn answer(request: Request, result: rustix::io::Result<()>, diagnosis: Diagnosis) -> Result<(), Refusal> {
    result.map_err(|errno| Refusal { request, errno: errno.raw_os_error(), diagnosis })
}

const fn bytes_of<T>() -> u64 {
    size_of::<T>() as u64
}

pub(crate) fn address_of<T>(slice: &[T]) -> u64 {
    slice.as_ptr().expose_provenance() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_node_says_that_the_module_is_to_be_loaded() {
        let error = Device::open_at(Path::new("/dev/kjump-that-is-not-there")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "/dev/kjump-that-is-not-there does not exist; load the module: `modprobe kjump`"
        );
    }

    #[test]
    fn another_device_is_refused_with_its_errno() {
        let Error::Refused(refusal) = Device::open_at(Path::new("/dev/null")).unwrap_err() else {
            panic!("/dev/null answers as a kjump device");
        };
        assert_eq!((refusal.request, refusal.errno), (Request::Info, 25));
    }

    #[test]
    fn a_list_is_asked_for_until_it_fits() {
        let mut asked = Vec::new();
        let all = collect(|entries: &mut [u64]| {
            asked.push(entries.len());
            for (place, number) in entries.iter_mut().zip(0..) {
                *place = number;
            }
            Ok(50)
        });
        assert_eq!(all.unwrap(), (0..50).collect::<Vec<u64>>());
        assert_eq!(asked, [16, 32, 50]);
    }

    #[test]
    fn a_list_may_be_empty() {
        assert_eq!(collect(|_: &mut [u64]| Ok(0)).unwrap(), []);
    }
}
