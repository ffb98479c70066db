//! Reading a flattened stream as the file that it describes.

use std::io;

use super::pieces::{Found, Piece, Pieces};
use crate::format::flattened::{HEADER_SIZE, HEADER_START, RECORD_SIZE, Record, check_header};
use crate::source::read_exact;
use crate::{Error, ReadAt, Result};

/// A flattened stream, opened as the file that it describes.
pub struct Flattened<S> {
    source: S,
    /// Where in the stream each part of the described file is.
    pieces: Pieces,
}

impl<S: ReadAt> Flattened<S> {
    /// Reads the places of all records.
    ///
    /// # Errors
    /// The stream cannot be read, is something else, or ends before its last record.
    pub fn open(source: S) -> Result<Self> {
        let pieces = Pieces::of(&records(&source)?);
        Ok(Self { source, pieces })
    }
}

fn records<S: ReadAt>(source: &S) -> Result<Vec<Piece>> {
    let mut start = [0; HEADER_START];
    read_exact(source, "the header of a flattened stream", 0, &mut start)?;
    check_header(&start)?;
    let mut records = Vec::new();
    let mut at = HEADER_SIZE as u64;
    loop {
        let mut head = [0; RECORD_SIZE];
        read_exact(source, "a record of a flattened stream", at, &mut head)?;
        let record = Record::from_bytes(&head);
        if record.is_last() {
            return Ok(records);
        }
        let (goal, size) = (record.offset, record.size);
        let damaged = |reason| Error::Flattened { offset: at, reason };
        let end = (at + RECORD_SIZE as u64).checked_add(size).filter(|end| *end <= source.length());
        let end = end.ok_or(damaged("the stream ends inside a record"))?;
        goal.checked_add(size).ok_or(damaged("a record's place is beyond the largest file"))?;
        if size > 0 {
            records.push(Piece { start: goal, size, at: at + RECORD_SIZE as u64 });
        }
        at = end;
    }
}

impl<S: ReadAt> ReadAt for Flattened<S> {
    fn length(&self) -> u64 {
        self.pieces.end()
    }

    fn stored(&self) -> u64 {
        self.pieces.bytes()
    }

    /// Places that no record covers read as zeros.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let left =
            usize::try_from(self.length().saturating_sub(offset)).unwrap_or(usize::MAX).min(buffer.len());
        let at_most = |bytes: u64| usize::try_from(bytes).unwrap_or(left).min(left);
        match self.pieces.find(offset) {
            Found::At(at, size) => self.source.read_at(at, &mut buffer[..at_most(size)]),
            Found::Gap(size) => {
                let count = at_most(size);
                buffer[..count].fill(0);
                Ok(count)
            }
        }
    }
}
