//! Parts of a file as memory, to be copied out of.

// UNSAFETY: mapping a file and copying from the mapping go past what the compiler can check.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::AsFd;
use std::ptr::{self, NonNull};

use rustix::fs::{PROC_SUPER_MAGIC, fstatfs};
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

/// Whether a file is one of the kernel's own, as `/proc/vmcore` is: its length does not change.
pub fn is_of_the_kernel(file: impl AsFd) -> bool {
    fstatfs(file).is_ok_and(|found| found.f_type == PROC_SUPER_MAGIC)
}

/// A part of a file of the kernel's, mapped.
///
/// The bytes are only ever copied out, so that it does not matter whether somebody changes them
/// meanwhile.
#[derive(Debug)]
pub struct Window {
    start: NonNull<u8>,
    length: usize,
}

// SAFETY: a mapping belongs to the process; it is only read, and goes away only with this value.
unsafe impl Send for Window {}
// SAFETY: as above; readers do not disturb each other.
unsafe impl Sync for Window {}

impl Window {
    /// Maps `length` bytes from `offset` on, which is a multiple of the page size.
    ///
    /// # Errors
    /// It is not a file of the kernel's ([`is_of_the_kernel`]): another could become shorter, and
    /// then there would be nothing where the mapping is. Or the kernel's own reasons.
    pub fn map(file: impl AsFd, offset: u64, length: usize) -> io::Result<Self> {
        if !is_of_the_kernel(&file) {
            return Err(io::ErrorKind::Unsupported.into());
        }
        Self::map_unchanging(file, offset, length)
    }

    /// Maps `length` bytes of physical memory from an address on, which is a multiple of the page
    /// size. With `CONFIG_STRICT_DEVMEM`, the kernel allows that only for memory that it does not
    /// use itself.
    ///
    /// # Errors
    /// The kernel's reasons.
    pub fn of_memory(address: u64, length: usize) -> io::Result<Self> {
        // Memory does not become less.
        Self::map_unchanging(std::fs::File::open("/dev/mem")?, address, length)
    }

    fn map_unchanging(file: impl AsFd, offset: u64, length: usize) -> io::Result<Self> {
        // SAFETY: a new private mapping at an address that the kernel chooses touches no memory of
        // ours.
        let start =
            unsafe { mmap(ptr::null_mut(), length, ProtFlags::READ, MapFlags::PRIVATE, file, offset) }?;
        match NonNull::new(start.cast()) {
            Some(start) => Ok(Self { start, length }),
            None => Err(io::ErrorKind::OutOfMemory.into()),
        }
    }

    /// Copies bytes that are `at` bytes from the window's start on, as many as there are; answers
    /// with their number.
    pub fn copy(&self, at: usize, buffer: &mut [u8]) -> usize {
        let count = buffer.len().min(self.length.saturating_sub(at));
        if count > 0 {
            // SAFETY: `at` is below the mapping's length.
            let from = unsafe { self.start.as_ptr().add(at) };
            // SAFETY: both have this number of bytes; a new mapping does not overlap with a buffer.
            unsafe { ptr::copy_nonoverlapping(from, buffer.as_mut_ptr(), count) };
        }
        count
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        // SAFETY: it is the mapping that map() made, and there is no reference into it.
        let unmapped = unsafe { munmap(self.start.as_ptr().cast(), self.length) };
        debug_assert!(unmapped.is_ok());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_a_disk_is_not_mapped() {
        let file = std::fs::File::open("Cargo.toml").unwrap();
        assert_eq!(Window::map(&file, 0, 4096).unwrap_err().kind(), io::ErrorKind::Unsupported);
    }

    #[test]
    fn files_of_the_kernel_are_known() {
        assert!(is_of_the_kernel(std::fs::File::open("/proc/version").unwrap()));
        assert!(!is_of_the_kernel(std::fs::File::open("/dev/null").unwrap()));
    }
}
