//! Files as memory.
// UNSAFETY: a mapping is memory by its address, and ends with this value.
#![allow(unsafe_code)]

use std::fs::File;
use std::io::{self, Read};
use std::ops::Deref;
use std::slice;

use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

/// The bytes of a file, not copied where they need not be.
///
/// The file may be written to meanwhile: then the bytes are as they are when they are looked at,
/// and no decision may depend on them. A file that is cut short meanwhile ends the program by a
/// signal (`SIGBUS`).
#[derive(Debug)]
pub enum FileBytes {
    /// The pages of the page cache.
    Mapped(Mapping),
    /// A copy, of what has no pages.
    Read(Vec<u8>),
}

/// Memory that the kernel has mapped.
#[derive(Debug)]
pub struct Mapping {
    address: *mut u8,
    length: usize,
}

// SAFETY: the memory belongs to this value, and is only read.
unsafe impl Sync for Mapping {}
// SAFETY: as above; its owner may unmap it.
unsafe impl Send for Mapping {}

impl FileBytes {
    /// The bytes of a file, from where it stands if it must be read.
    ///
    /// # Errors
    /// It can neither be mapped nor read.
    pub fn of(file: &mut File) -> io::Result<Self> {
        let about = file.metadata()?;
        let length = usize::try_from(about.len()).unwrap_or(0);
        if about.is_file()
            && length > 0
            && let Ok(mapping) = Mapping::of(file, length)
        {
            return Ok(Self::Mapped(mapping));
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(Self::Read(bytes))
    }
}

impl Deref for FileBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Mapped(mapping) => mapping.bytes(),
            Self::Read(bytes) => bytes,
        }
    }
}

impl Mapping {
    fn of(file: &File, length: usize) -> io::Result<Self> {
        let flags = MapFlags::PRIVATE;
        // SAFETY: the kernel chooses an address where nothing is.
        let address = unsafe { mmap(std::ptr::null_mut(), length, ProtFlags::READ, flags, file, 0) }?;
        Ok(Self { address: address.cast(), length })
    }

    fn bytes(&self) -> &[u8] {
        // SAFETY: the mapping has this number of bytes, and lives as long as `self`.
        unsafe { slice::from_raw_parts(self.address, self.length) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: this is the mapping, of which no slice is left.
        let _ = unsafe { munmap(self.address.cast(), self.length) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn a_file_is_mapped_and_a_device_is_read() {
        let path = std::env::temp_dir().join(format!("kjump-mapping-{}", std::process::id()));
        File::create(&path).unwrap().write_all(&[7; 5000]).unwrap();
        let bytes = FileBytes::of(&mut File::open(&path).unwrap()).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert!(matches!(bytes, FileBytes::Mapped(_)));
        assert_eq!(&*bytes, [7; 5000]);
        let nothing = FileBytes::of(&mut File::open("/dev/null").unwrap()).unwrap();
        assert!(matches!(nothing, FileBytes::Read(_)) && nothing.is_empty());
        let version = FileBytes::of(&mut File::open("/proc/version").unwrap()).unwrap();
        assert!(version.starts_with(b"Linux"));
    }
}
