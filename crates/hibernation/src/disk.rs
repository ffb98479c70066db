//! What a hibernation file is on.

use std::io;
use std::sync::{Mutex, PoisonError};

use crate::{Error, PAGE, Result};

/// A disk, a partition, or the extents of a file. Offsets and lengths are multiples of [`PAGE`].
pub trait Disk: Sync {
    /// Its length in bytes.
    fn length(&self) -> u64;

    /// Fills the buffer.
    ///
    /// # Errors
    /// The disk's own error.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()>;

    /// Writes all bytes.
    ///
    /// # Errors
    /// The disk's own error.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Waits until everything that was written survives a power cut.
    ///
    /// # Errors
    /// The disk's own error.
    fn sync(&self) -> io::Result<()>;
}

impl<T: Disk + ?Sized> Disk for &T {
    fn length(&self) -> u64 {
        (**self).length()
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        (**self).read_at(offset, buffer)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        (**self).write_at(offset, bytes)
    }

    fn sync(&self) -> io::Result<()> {
        (**self).sync()
    }
}

/// A disk in memory, for tests and fuzzing.
#[derive(Debug)]
pub struct MemoryDisk(Mutex<Vec<u8>>);

impl MemoryDisk {
    /// A disk with these bytes; the last page is filled up with zeros.
    #[must_use]
    pub fn new(mut bytes: Vec<u8>) -> Self {
        bytes.resize(bytes.len().next_multiple_of(PAGE), 0);
        Self(Mutex::new(bytes))
    }

    /// Its bytes.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<R>(&self, offset: u64, length: usize, run: impl FnOnce(&mut [u8]) -> R) -> io::Result<R> {
        let mut bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let start = usize::try_from(offset).map_err(|_| io::ErrorKind::UnexpectedEof)?;
        let end = start.checked_add(length).ok_or(io::ErrorKind::UnexpectedEof)?;
        Ok(run(bytes.get_mut(start..end).ok_or(io::ErrorKind::UnexpectedEof)?))
    }
}

impl Disk for MemoryDisk {
    fn length(&self) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len() as u64
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.with(offset, buffer.len(), |bytes| buffer.copy_from_slice(bytes))
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.with(offset, bytes.len(), |place| place.copy_from_slice(bytes))
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}

/// Bytes that start at a multiple of the page size, as disks want them that are read and written
/// past the page cache.
pub(crate) struct Aligned {
    bytes: Vec<u8>,
    start: usize,
    length: usize,
}

impl Aligned {
    pub(crate) fn zeros(length: usize) -> Self {
        let bytes = vec![0; length + PAGE];
        // Where the address is not known, as under miri, any start is as good.
        let start = Some(bytes.as_ptr().align_offset(PAGE)).filter(|start| *start <= PAGE).unwrap_or(0);
        Self { bytes, start, length }
    }
}

impl std::ops::Deref for Aligned {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[self.start..self.start + self.length]
    }
}

impl std::ops::DerefMut for Aligned {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[self.start..self.start + self.length]
    }
}

pub(crate) fn read(disk: &impl Disk, what: &'static str, offset: u64, buffer: &mut [u8]) -> Result<()> {
    disk.read_at(offset, buffer).map_err(|source| Error::Disk { action: "read", what, offset, source })
}

pub(crate) fn write(disk: &impl Disk, what: &'static str, offset: u64, bytes: &[u8]) -> Result<()> {
    disk.write_at(offset, bytes).map_err(|source| Error::Disk { action: "write", what, offset, source })
}

pub(crate) fn sync(disk: &impl Disk, what: &'static str) -> Result<()> {
    disk.sync().map_err(|source| Error::Disk { action: "wait for", what, offset: 0, source })
}
