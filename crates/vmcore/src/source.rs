//! Files and memory, read and written at any offset and by many threads at once.

use std::io;

use crate::kernel::notes;
use crate::{Error, FrameSet, Result, Vmcoreinfo};

/// A file to read, or its equivalent.
pub trait ReadAt: Sync {
    /// Its length in bytes.
    fn length(&self) -> u64;

    /// How many of its bytes are stored. The others are gaps, which read as zeros.
    fn stored(&self) -> u64 {
        self.length()
    }

    /// Reads bytes at `offset`; returns their number, 0 only at the end.
    ///
    /// # Errors
    /// The file's own error.
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

/// A file to write. Places that are not written read as zeros.
pub trait WriteAt: Sync {
    /// Writes all bytes at `offset`.
    ///
    /// # Errors
    /// The file's own error.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Receives the header that an incomplete file would have, before anything is written. Streams
    /// keep it in their own header, because the file's header comes last in them.
    ///
    /// # Errors
    /// The file's own error.
    fn announce(&self, _header: &[u8]) -> io::Result<()> {
        Ok(())
    }

    /// Whether no place should be written twice: some readers of streams take the first bytes they
    /// find for it.
    fn is_stream(&self) -> bool {
        false
    }
}

impl<T: WriteAt + ?Sized> WriteAt for &T {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        (**self).write_at(offset, bytes)
    }

    fn announce(&self, header: &[u8]) -> io::Result<()> {
        (**self).announce(header)
    }

    fn is_stream(&self) -> bool {
        (**self).is_stream()
    }
}

/// Physical memory of the dumped machine.
pub trait PhysRead: Sync {
    /// Fills the buffer from a physical byte address.
    ///
    /// # Errors
    /// [`Error::Absent`], or the page cannot be read.
    fn read_phys(&self, address: u64, buffer: &mut [u8]) -> Result<()>;
}

impl<T: PhysRead + ?Sized> PhysRead for &T {
    fn read_phys(&self, address: u64, buffer: &mut [u8]) -> Result<()> {
        (**self).read_phys(address, buffer)
    }
}

/// A memory image that can be written as a dump.
pub trait DumpSource: PhysRead {
    /// The pages that are in the image.
    fn present(&self) -> &FrameSet;
    /// The pages that are memory of the dumped machine.
    fn ram(&self) -> &FrameSet;
    /// The ELF notes: registers of the CPUs, VMCOREINFO.
    fn notes(&self) -> &[u8];
    /// Facts about the kernel; usually those in the notes.
    ///
    /// # Errors
    /// [`Error::NoVmcoreinfo`].
    fn vmcoreinfo(&self) -> Result<Vmcoreinfo> {
        let note = notes::vmcoreinfo(self.notes()).ok_or(Error::NoVmcoreinfo)?;
        Ok(Vmcoreinfo::parse(note.contents))
    }
    /// The virtual address that the image itself gives to a physical one.
    fn virtual_address(&self, phys: u64) -> Option<u64>;
    /// Facts to carry over, if the image is a dump itself.
    fn origin(&self) -> Option<Origin<'_>>;
    /// The commands by which data was erased from the image, one a line; empty if none was.
    fn erased(&self) -> &[u8] {
        &[]
    }
}

/// Facts in the header of a dump that hold for every dump made from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin<'a> {
    /// The kernel's `struct utsname`.
    pub utsname: &'a [u8],
    /// Seconds since 1970 when the kernel crashed, or when the first dump was made; 0 if unknown.
    pub seconds: u64,
    /// The kernel's `phys_base`.
    pub phys_base: u64,
    /// The dump level.
    pub level: u32,
}

/// Fills the buffer; the error names the part of the file that is missing.
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

/// Reads a part of the file into a new buffer. Nothing is allocated for a part beyond the end.
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

/// Checks that a part of the file exists.
pub(crate) fn check_inside<S: ReadAt + ?Sized>(
    source: &S,
    what: &'static str,
    offset: u64,
    size: u64,
) -> Result<()> {
    let length = source.length();
    match offset.checked_add(size) {
        Some(end) if end <= length => Ok(()),
        _ => Err(Error::OutOfFile { what, offset, size, length }),
    }
}
