//! Reading a flattened stream as the file that it describes.

use std::io;

use super::pieces::{Found, Piece, Pieces};
use crate::format::flattened::{HEADER_SIZE, HEADER_START, RECORD_SIZE, Record, check_header, copy_in};
use crate::source::read_exact;
use crate::{Error, ReadAt, Result};

/// A flattened stream, opened as the file that it describes.
pub struct Flattened<S> {
    source: S,
    /// Where in the stream each part of the described file is.
    pieces: Pieces,
    is_cut_off: bool,
}

impl<S: ReadAt> Flattened<S> {
    /// Reads the places of all records. Of a stream that is cut off, those that are there are used;
    /// if the file's header is not among them, its copy in the stream's header is.
    ///
    /// # Errors
    /// The stream cannot be read, is something else, or ends before anything of use.
    pub fn open(source: S) -> Result<Self> {
        let mut start = [0; HEADER_START];
        read_exact(&source, "the header of a flattened stream", 0, &mut start)?;
        check_header(&start)?;
        let (mut records, is_cut_off) = records(&source)?;
        if is_cut_off {
            let mut header = [0; HEADER_SIZE];
            let size = header.len().min(usize::try_from(source.length()).unwrap_or(usize::MAX));
            read_exact(&source, "the header of a flattened stream", 0, &mut header[..size])?;
            let has_start =
                |least: u64| records.iter().any(|record| record.start == 0 && record.size >= least);
            match copy_in(&header) {
                Some((at, size)) if !records.is_empty() && !has_start(size) => {
                    records.push(Piece { start: 0, size, at });
                }
                _ if !has_start(1) => return Err(Error::CutOffStream { length: source.length() }),
                _ => {}
            }
        }
        Ok(Self { pieces: Pieces::of(records), source, is_cut_off })
    }

    /// Whether the stream ends without its last record.
    #[must_use]
    pub fn is_cut_off(&self) -> bool {
        self.is_cut_off
    }
}

/// All records, and whether the stream ends without the last one.
fn records<S: ReadAt>(source: &S) -> Result<(Vec<Piece>, bool)> {
    let mut records = Vec::new();
    let mut at = HEADER_SIZE as u64;
    loop {
        let data = at.saturating_add(RECORD_SIZE as u64);
        if data > source.length() {
            return Ok((records, true));
        }
        let mut head = [0; RECORD_SIZE];
        read_exact(source, "a record of a flattened stream", at, &mut head)?;
        let record = Record::from_bytes(&head);
        if record.is_last() {
            return Ok((records, false));
        }
        let (goal, size) = (record.offset, record.size);
        let reason = "a record's place is beyond the largest file";
        goal.checked_add(size).ok_or(Error::Flattened { offset: at, reason })?;
        let there = size.min(source.length() - data);
        if there > 0 {
            records.push(Piece { start: goal, size: there, at: data });
        }
        if there < size {
            return Ok((records, true));
        }
        at = data + size;
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
