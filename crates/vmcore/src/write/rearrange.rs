//! Writing a flattened stream out as the file that it describes.

use std::io::{self, Read};

use crate::format::flattened::{HEADER_SIZE, HEADER_START, RECORD_SIZE, Record, check_header, copy_in};
use crate::format::{kdump, mark_incomplete};
use crate::{Error, Result, WriteAt};

/// The file that a stream described.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rearranged {
    /// Its length in bytes.
    pub length: u64,
    /// If the stream ended without its last record: the number of bytes that arrived. The file is
    /// then marked as incomplete.
    pub cut_off: Option<u64>,
}

/// Writes the records of a flattened stream to their places as they arrive.
///
/// # Errors
/// The stream cannot be read, is something else, or ends before anything of use; or the destination
/// cannot be written.
pub fn rearrange(stream: impl Read, to: &impl WriteAt) -> Result<Rearranged> {
    let mut stream = Stream { stream, at: 0 };
    let mut header = [0; HEADER_SIZE];
    let arrived = stream.read(&mut header)?;
    if arrived < HEADER_START {
        return Err(Error::CutOffStream { length: stream.at });
    }
    check_header(&header)?;
    let mut file = Described { to, start: Vec::new(), length: 0 };
    if file.fill(&mut stream)? {
        return Ok(Rearranged { length: file.length, cut_off: None });
    }
    file.end_early(&header, stream.at)?;
    Ok(Rearranged { length: file.length, cut_off: Some(stream.at) })
}

/// The file that is being written.
struct Described<'a, W> {
    to: &'a W,
    /// Its first bytes as far as they have arrived without a gap; at most a block.
    start: Vec<u8>,
    length: u64,
}

impl<W: WriteAt> Described<'_, W> {
    /// Writes all records; returns whether the last one arrived.
    fn fill(&mut self, stream: &mut Stream<impl Read>) -> Result<bool> {
        let mut buffer = vec![0; 1 << 20];
        loop {
            let start = stream.at;
            let mut head = [0; RECORD_SIZE];
            if stream.read(&mut head)? < head.len() {
                return Ok(false);
            }
            let record = Record::from_bytes(&head);
            if record.is_last() {
                return Ok(true);
            }
            let reason = "a record's place is beyond the largest file";
            let beyond = Error::Flattened { offset: start, reason };
            let (mut goal, mut left) = (record.offset, record.size);
            goal.checked_add(left).filter(|end| i64::try_from(*end).is_ok()).ok_or(beyond)?;
            while left > 0 {
                let count = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
                let arrived = stream.read(&mut buffer[..count])?;
                self.put(goal, &buffer[..arrived])?;
                if arrived < count {
                    return Ok(false);
                }
                goal += count as u64;
                left -= count as u64;
            }
        }
    }

    fn put(&mut self, offset: u64, bytes: &[u8]) -> Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.to.write_at(offset, bytes).map_err(|source| Error::Write {
            offset,
            size: bytes.len(),
            source,
        })?;
        self.length = self.length.max(offset + bytes.len() as u64);
        let at = usize::try_from(offset).unwrap_or(usize::MAX);
        if at <= self.start.len() && at < kdump::BLOCK {
            let here = &bytes[..bytes.len().min(kdump::BLOCK - at)];
            self.start.resize(self.start.len().max(at + here.len()), 0);
            self.start[at..at + here.len()].copy_from_slice(here);
        }
        Ok(())
    }

    /// Gives a file whose stream was cut off a header that says so.
    fn end_early(&mut self, header: &[u8; HEADER_SIZE], arrived: u64) -> Result<()> {
        let copy = copy_in(header).and_then(|(at, size)| {
            let (at, size) = (usize::try_from(at).ok()?, usize::try_from(size).ok()?);
            header.get(at..at.checked_add(size)?)
        });
        match copy {
            // Without anything else, a header is of no use.
            Some(copy) if self.length > 0 && self.start.len() < copy.len() => self.put(0, copy)?,
            _ if self.start.is_empty() => return Err(Error::CutOffStream { length: arrived }),
            _ => {}
        }
        let mut start = std::mem::take(&mut self.start);
        mark_incomplete(&mut start);
        self.put(0, &start)
    }
}

/// A stream, and the number of bytes read from it.
struct Stream<R> {
    stream: R,
    at: u64,
}

impl<R: Read> Stream<R> {
    /// Fills the buffer as far as the stream goes; returns the number of bytes.
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let mut done = 0;
        while done < buffer.len() {
            match self.stream.read(&mut buffer[done..]) {
                Ok(0) => break,
                Ok(count) => done += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => {
                    let (offset, size) = (self.at + done as u64, buffer.len() - done);
                    return Err(Error::Read { what: "a flattened stream", offset, size, source });
                }
            }
        }
        self.at += done as u64;
        Ok(done)
    }
}
