//! Flattened streams (makedumpfile's `-F`): a file as the sequence of writes that made it, so that
//! a dump can go through a pipe.
//!
//! A header, then records of an offset, a size and that many bytes; the last record has -1 for
//! both. If two records cover the same place, the later one counts. All numbers are big-endian.
//!
//! Source: makedumpfile's `makedumpfile.h`, `struct makedumpfile_header` and
//! `makedumpfile_data_header`.

use crate::{Error, Result};

/// The first bytes of a stream.
pub(crate) const MAGIC: [u8; 16] = *b"makedumpfile\0\0\0\0";
/// Offset of the stream's type in its header.
const TYPE: usize = 16;
/// Offset of the stream's version in its header.
const VERSION: usize = 24;
/// Bytes of the header.
pub(crate) const HEADER_SIZE: usize = 4096;
/// Bytes of a record, without the bytes that follow.
pub(crate) const RECORD_SIZE: usize = 16;
/// Offset and size of the last record.
const END: u64 = u64::MAX;

/// A copy of the header that the described file would have if it were incomplete: in kjump's
/// streams the file's own header comes last, so that no place is written twice, and is lost if the
/// stream is cut off. It is in the unused part of the stream's header: a magic number, a size of 8
/// bytes, and the copy.
mod copy {
    pub(super) const MAGIC: [u8; 8] = *b"kjump  1";
    pub(super) const START: usize = 512;
    pub(super) const SIZE: usize = START + MAGIC.len();
    pub(super) const BYTES: usize = SIZE + 8;
}

/// Where in a stream the copy of the file's header is, if it has one: offset and size.
pub(crate) fn copy_in(header: &[u8; HEADER_SIZE]) -> Option<(u64, u64)> {
    let size = header[copy::START..].starts_with(&copy::MAGIC).then(|| big(header, copy::SIZE))?;
    let most = (HEADER_SIZE - copy::BYTES) as u64;
    (1..=most).contains(&size).then_some((copy::BYTES as u64, size))
}

/// The header of a stream, with a copy of the file's header unless it is empty.
pub(crate) fn header(copy: &[u8]) -> [u8; HEADER_SIZE] {
    let mut header = [0; HEADER_SIZE];
    if (1..=HEADER_SIZE - copy::BYTES).contains(&copy.len()) {
        header[copy::START..copy::SIZE].copy_from_slice(&copy::MAGIC);
        header[copy::SIZE..copy::BYTES].copy_from_slice(&(copy.len() as u64).to_be_bytes());
        header[copy::BYTES..copy::BYTES + copy.len()].copy_from_slice(copy);
    }
    header[..MAGIC.len()].copy_from_slice(&MAGIC);
    header[TYPE..TYPE + 8].copy_from_slice(&1_u64.to_be_bytes());
    header[VERSION..VERSION + 8].copy_from_slice(&1_u64.to_be_bytes());
    header
}

/// Checks the first [`HEADER_START`] bytes of a header.
///
/// # Errors
/// It is something else, or of another type or version.
pub(crate) fn check_header(start: &[u8]) -> Result<()> {
    if start[..MAGIC.len()] != MAGIC {
        return Err(Error::Unrecognised { start: start[..MAGIC.len()].to_vec() });
    }
    if (big(start, TYPE), big(start, VERSION)) != (1, 1) {
        let (field, wanted) = ("the type of a flattened stream", "only type 1 of version 1 is supported");
        return Err(Error::Unsupported { field, value: big(start, TYPE), wanted });
    }
    Ok(())
}

/// Bytes of the header that are used.
pub(crate) const HEADER_START: usize = 32;

/// A record: where its bytes belong, and how many there are.
#[derive(Clone, Copy)]
pub(crate) struct Record {
    pub(crate) offset: u64,
    pub(crate) size: u64,
}

impl Record {
    /// The last record of a stream.
    pub(crate) const LAST: Self = Self { offset: END, size: END };

    pub(crate) fn from_bytes(bytes: &[u8; RECORD_SIZE]) -> Self {
        Self { offset: big(bytes, 0), size: big(bytes, 8) }
    }

    pub(crate) fn to_bytes(self) -> [u8; RECORD_SIZE] {
        let mut bytes = [0; RECORD_SIZE];
        bytes[..8].copy_from_slice(&self.offset.to_be_bytes());
        bytes[8..].copy_from_slice(&self.size.to_be_bytes());
        bytes
    }

    pub(crate) const fn is_last(self) -> bool {
        self.offset == END && self.size == END
    }
}

fn big(bytes: &[u8], at: usize) -> u64 {
    u64::from_be_bytes(std::array::from_fn(|n| bytes[at + n]))
}
