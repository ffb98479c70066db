//! Raw requests: any number, any bytes, any pointer.
// UNSAFETY: the module reads and writes at the addresses in a request. All of them are in an
// `Arena`, to which there is no other reference, or unmapped.
#![allow(unsafe_code)]

use std::os::fd::{AsFd as _, BorrowedFd};
use std::ptr::{NonNull, null_mut};

use abi::device::Diagnosis;
use anyhow::Result;
use rustix::io::Errno;
use rustix::ioctl::{Ioctl, IoctlOutput, Opcode, ioctl};
use rustix::mm::{MapFlags, MprotectFlags, ProtFlags, mmap_anonymous, mprotect};
use sys::Device;

const PAGE: usize = 4096;

/// Memory for requests: a page for the request itself and one for buffers, each followed by an
/// unmapped page.
pub(crate) struct Arena {
    base: NonNull<u8>,
}

impl Arena {
    pub(crate) fn new() -> Result<Self> {
        // SAFETY: new memory at an address that the kernel chooses.
        let base = unsafe {
            mmap_anonymous(null_mut(), 4 * PAGE, ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE)?
        };
        for hole in [1, 3] {
            // SAFETY: the page is ours, and there is no reference to it.
            unsafe { mprotect(base.byte_add(hole * PAGE), PAGE, MprotectFlags::empty())? };
        }
        let base = NonNull::new(base.cast()).ok_or(Errno::NOMEM)?;
        Ok(Self { base })
    }

    /// The page for buffers; the page after it is unmapped.
    pub(crate) fn buffer(&self) -> u64 {
        self.base.as_ptr().expose_provenance() as u64 + 2 * PAGE as u64
    }

    /// An unmapped address.
    pub(crate) fn hole(&self) -> u64 {
        self.buffer() + PAGE as u64
    }

    /// Copies bytes to the start of the page for buffers, at most a page of them.
    pub(crate) fn put(&mut self, bytes: &[u8]) {
        // SAFETY: the page is ours, and no request is in progress.
        unsafe { self.base.as_ptr().add(2 * PAGE).copy_from(bytes.as_ptr(), bytes.len().min(PAGE)) };
    }

    /// Makes a request with these bytes, which with `no_room` end at the end of the page. Returns
    /// the bytes as the module left them.
    pub(crate) fn ask(&mut self, device: &Device, request: &Request<'_>) -> (Result<(), Errno>, Vec<u8>) {
        let length = request.bytes.len().min(PAGE);
        let place = if request.no_room { PAGE - length } else { 0 };
        // SAFETY: the page is ours, and has room for the bytes.
        let start = unsafe { self.base.as_ptr().add(place) };
        // SAFETY: as above.
        unsafe { start.copy_from(request.bytes.as_ptr(), length) };
        let protection =
            if request.read_only { MprotectFlags::READ } else { MprotectFlags::READ | MprotectFlags::WRITE };
        // SAFETY: the page is ours, and nothing refers to it.
        let protected = unsafe { mprotect(self.base.as_ptr().cast(), PAGE, protection) };
        let result = protected.and_then(|()| self.send(device.as_fd(), request.number, start));
        let mut after = vec![0; length];
        // SAFETY: as above.
        unsafe { start.copy_to(after.as_mut_ptr(), length) };
        // SAFETY: as above.
        let restored =
            unsafe { mprotect(self.base.as_ptr().cast(), PAGE, MprotectFlags::READ | MprotectFlags::WRITE) };
        (result.and(restored), after)
    }

    /// Makes a request at an unmapped address.
    pub(crate) fn ask_at(&self, device: &Device, number: u32, address: u64) -> Result<(), Errno> {
        self.send(device.as_fd(), number, std::ptr::with_exposed_provenance_mut(address as usize))
    }

    fn send(&self, device: BorrowedFd<'_>, number: u32, address: *mut u8) -> Result<(), Errno> {
        // SAFETY: every address that the module can be made to write to is in the arena or
        // unmapped.
        unsafe { ioctl(device, Raw { number, address }) }
    }
}

/// A request as bytes.
pub(crate) struct Request<'a> {
    pub(crate) number: u32,
    pub(crate) bytes: &'a [u8],
    /// The bytes are followed by an unmapped page.
    pub(crate) no_room: bool,
    /// The module can read the bytes but not write them.
    pub(crate) read_only: bool,
}

struct Raw {
    number: u32,
    address: *mut u8,
}

// SAFETY: the number and the pointer are passed unchanged; the caller of the ioctl is responsible
// for them.
unsafe impl Ioctl for Raw {
    type Output = ();
    const IS_MUTATING: bool = true;

    fn opcode(&self) -> Opcode {
        self.number
    }

    fn as_ptr(&mut self) -> *mut rustix::ffi::c_void {
        self.address.cast()
    }

    unsafe fn output_from_ptr(_: IoctlOutput, _: *mut rustix::ffi::c_void) -> rustix::io::Result<()> {
        Ok(())
    }
}

/// A structure of the interface, which consists of 64-bit words, as bytes.
pub(crate) fn bytes<T: Copy>(structure: &T) -> Vec<u8> {
    // SAFETY: words without padding, borrowed while they are copied.
    unsafe { std::slice::from_raw_parts((&raw const *structure).cast::<u8>(), size_of::<T>()) }.to_vec()
}

/// The diagnosis at this offset of a structure.
pub(crate) fn diagnosis(bytes: &[u8], offset: usize) -> Diagnosis {
    let mut words = bytes[offset..].chunks_exact(8).map(|word| {
        let mut whole = [0; 8];
        whole.copy_from_slice(word);
        u64::from_le_bytes(whole)
    });
    let mut next = || words.next().unwrap_or(0);
    Diagnosis { reason: next(), numbers: [(); 5].map(|()| next()) }
}
