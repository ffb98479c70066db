//! Parts of a file, checked against its length.

use abi::{Field, Number};

use crate::Error;

/// `size` bytes at an offset, if the file has all of them.
pub(crate) fn part(
    file: &[u8],
    offset: u64,
    size: u64,
    what: impl FnOnce() -> String,
) -> Result<&[u8], Error> {
    // A header without bytes may contain any offset.
    if size == 0 {
        return Ok(&[]);
    }
    let start = usize::try_from(offset).ok();
    let end = offset.checked_add(size).and_then(|end| usize::try_from(end).ok());
    let part = start.zip(end).and_then(|(start, end)| file.get(start..end));
    part.ok_or_else(|| Error::OutOfFile { what: what(), offset, size, length: file.len() as u64 })
}

/// The bytes from an offset to the end of the file; there is at least one.
pub(crate) fn rest<'a>(file: &'a [u8], offset: u64, what: &str) -> Result<&'a [u8], Error> {
    let size = (file.len() as u64).saturating_sub(offset).max(1);
    part(file, offset, size, || what.into())
}

/// A number in a header that may be truncated.
pub(crate) fn number<T: Number>(header: &[u8], field: Field<T>, what: &str) -> Result<T, Error> {
    field.read(header).ok_or_else(|| Error::OutOfFile {
        what: what.into(),
        offset: field.offset() as u64,
        size: size_of::<T>() as u64,
        length: header.len() as u64,
    })
}
