//! Where bytes come from and go to, at any offset and from many threads at once.

use std::io;

use crate::{Error, FrameSet, Result};

/// A file to read, or whatever is like one.
pub trait ReadAt: Sync {
    /// Its length in bytes.
    fn length(&self) -> u64;

    /// How many of its bytes are stored; the others are gaps, and zeros.
    fn stored(&self) -> u64 {
        self.length()
    }

    /// Reads bytes from `offset` on; answers with how many there were, 0 only at the end.
    ///
    /// # Errors
    /// Whatever the file says.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;
}

impl ReadAt for [u8] {
    fn length(&self) -> u64 {
        self.len() as u64
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(self.len());
        let count = buffer.len().min(self.len() - start);
        buffer[..count].copy_from_slice(&self[start..start + count]);
        Ok(count)
    }
}

impl ReadAt for Vec<u8> {
    fn length(&self) -> u64 {
        self.as_slice().length()
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.as_slice().read_at(offset, buffer)
    }
}

impl<T: ReadAt + ?Sized> ReadAt for &T {
    fn length(&self) -> u64 {
        (**self).length()
    }

    fn stored(&self) -> u64 {
        (**self).stored()
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        (**self).read_at(offset, buffer)
    }
}

impl<T: ReadAt + Send + ?Sized> ReadAt for Box<T> {
    fn length(&self) -> u64 {
        (**self).length()
    }

    fn stored(&self) -> u64 {
        (**self).stored()
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        (**self).read_at(offset, buffer)
    }
}

/// A file to write. What is never written reads as zeros.
pub trait WriteAt: Sync {
    /// Writes all bytes at `offset`.
    ///
    /// # Errors
    /// Whatever the file says.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Whether nothing should be written twice: of a stream, some readers take what was there first.
    fn is_stream(&self) -> bool {
        false
    }
}

impl<T: WriteAt + ?Sized> WriteAt for &T {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        (**self).write_at(offset, bytes)
    }

    fn is_stream(&self) -> bool {
        (**self).is_stream()
    }
}

/// Physical memory of the dumped machine.
pub trait PhysRead: Sync {
    /// Fills the buffer from a physical byte address on.
    ///
    /// # Errors
    /// [`Error::Absent`] and whatever keeps a page from being read.
    fn read_phys(&self, address: u64, buffer: &mut [u8]) -> Result<()>;
}

/// A memory image that can be written as a dump.
pub trait DumpSource: PhysRead {
    /// The pages that are in the image.
    fn present(&self) -> &FrameSet;
    /// The pages that are memory of the dumped machine.
    fn ram(&self) -> &FrameSet;
    /// The ELF notes: registers of the CPUs, VMCOREINFO.
    fn notes(&self) -> &[u8];
    /// The virtual address that the image itself gives to a physical one.
    fn virtual_address(&self, phys: u64) -> Option<u64>;
    /// The facts that an image which is a dump hands on.
    fn origin(&self) -> Option<Origin<'_>>;
}

/// Facts in the header of a dump that are true of each dump made from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin<'a> {
    /// The kernel's `struct utsname`.
    pub utsname: &'a [u8],
    /// Seconds since 1970 when the kernel crashed, or when the first dump was made; 0 if unknown.
    pub seconds: u64,
    /// The kernel's `phys_base`.
    pub phys_base: u64,
}

/// Fills the buffer, or says what of the file is missing.
pub(crate) fn read_exact<S: ReadAt + ?Sized>(
    source: &S,
    what: &'static str,
    offset: u64,
    buffer: &mut [u8],
) -> Result<()> {
    check_inside(source, what, offset, buffer.len() as u64)?;
    let mut done = 0;
    while done < buffer.len() {
        let (at, size) = (offset + done as u64, buffer.len() - done);
        match source.read_at(at, &mut buffer[done..]) {
            Ok(0) => {
                return Err(Error::Read {
                    what,
                    offset: at,
                    size,
                    source: io::ErrorKind::UnexpectedEof.into(),
                });
            }
            Ok(count) => done += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(source) => return Err(Error::Read { what, offset: at, size, source }),
        }
    }
    Ok(())
}

/// Reads a part of the file into memory of its own; nothing is allocated for what the file does not have.
pub(crate) fn read_vec<S: ReadAt + ?Sized>(
    source: &S,
    what: &'static str,
    offset: u64,
    size: u64,
) -> Result<Vec<u8>> {
    check_inside(source, what, offset, size)?;
    let size_here = usize::try_from(size).map_err(|_| Error::OutOfFile {
        what,
        offset,
        size,
        length: source.length(),
    })?;
    let mut bytes = vec![0; size_here];
    read_exact(source, what, offset, &mut bytes)?;
    Ok(bytes)
}

fn check_inside<S: ReadAt + ?Sized>(source: &S, what: &'static str, offset: u64, size: u64) -> Result<()> {
    let length = source.length();
    match offset.checked_add(size) {
        Some(end) if end <= length => Ok(()),
        _ => Err(Error::OutOfFile { what, offset, size, length }),
    }
}
