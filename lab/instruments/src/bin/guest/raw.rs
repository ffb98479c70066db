//! Requests that are wrong in every way: any number, any bytes, any pointer.
// UNSAFETY: the module reads and writes where a request says. All memory that requests name is an `Arena`'s, which
// nothing else refers to, or nobody's.
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

/// Memory for requests: a page for the request itself, and one for buffers, each before a page that is not there.
pub(crate) struct Arena {
    base: NonNull<u8>,
}

impl Arena {
    pub(crate) fn new() -> Result<Self> {
        // SAFETY: new memory, wherever there is room.
        let base = unsafe {
            mmap_anonymous(null_mut(), 4 * PAGE, ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE)?
        };
        for hole in [1, 3] {
            // SAFETY: the page is ours, and nothing refers to it.
            unsafe { mprotect(base.byte_add(hole * PAGE), PAGE, MprotectFlags::empty())? };
        }
        let base = NonNull::new(base.cast()).ok_or(Errno::NOMEM)?;
        Ok(Self { base })
    }

    /// The page for buffers; behind it is nothing.
    pub(crate) fn buffer(&self) -> u64 {
        self.base.as_ptr().expose_provenance() as u64 + 2 * PAGE as u64
    }

    /// Where nothing is.
    pub(crate) fn hole(&self) -> u64 {
        self.buffer() + PAGE as u64
    }

    /// Puts bytes at the start of the page for buffers, as many as it has room for.
    pub(crate) fn put(&mut self, bytes: &[u8]) {
        // SAFETY: the page is ours, and no request is under way.
        unsafe { self.base.as_ptr().add(2 * PAGE).copy_from(bytes.as_ptr(), bytes.len().min(PAGE)) };
    }

    /// Makes a request of these bytes, which end where the page ends if there is room for no more than them. Answers
    /// with the bytes as the module left them.
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

    /// Makes a request at an address that is nobody's.
    pub(crate) fn ask_at(&self, device: &Device, number: u32, address: u64) -> Result<(), Errno> {
        self.send(device.as_fd(), number, std::ptr::with_exposed_provenance_mut(address as usize))
    }

    fn send(&self, device: BorrowedFd<'_>, number: u32, address: *mut u8) -> Result<(), Errno> {
        // SAFETY: what the module may be made to write to is the arena's, or nobody's.
        unsafe { ioctl(device, Raw { number, address }) }
    }
}

/// A request as bytes.
pub(crate) struct Request<'a> {
    pub(crate) number: u32,
    pub(crate) bytes: &'a [u8],
    /// Nothing is behind the bytes.
    pub(crate) no_room: bool,
    /// The module can read them, and not write.
    pub(crate) read_only: bool,
}

struct Raw {
    number: u32,
    address: *mut u8,
}

// SAFETY: the number and the pointer are passed on as they are, and whoever makes one answers for them.
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

/// A structure of the interface, which is nothing but 64-bit words, as bytes.
pub(crate) fn bytes<T: Copy>(structure: &T) -> Vec<u8> {
    // SAFETY: words without padding, borrowed for as long as they are copied.
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
