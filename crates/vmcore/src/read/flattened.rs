//! Flattened streams: what was to be written where, in the order in which it was written, so that a dump can go through
//! a pipe.
//!
//! A header of 4096 bytes (the name, the type 1 and the version 1 as big-endian 64-bit numbers at 16 and 24), then records
//! of an offset, a size (both big-endian, 64-bit) and bytes; the last one has -1 for both. Of two records for the same
//! place the later one counts.

use std::io::{self, Read, Write};
use std::sync::{Mutex, PoisonError};

use crate::source::read_exact;
use crate::{Error, ReadAt, Result, WriteAt};

/// The first bytes of a stream.
pub(crate) const MAGIC: [u8; 16] = *b"makedumpfile\0\0\0\0";

const HEADER: usize = 4096;
const RECORD: usize = 16;
const END: u64 = u64::MAX;

/// A flattened file, read as the file that it describes.
pub struct Flattened<S> {
    source: S,
    /// Where each piece of the described file is found, by the place of its first byte; without overlaps.
    pieces: Vec<Piece>,
    length: u64,
}

#[derive(Clone, Copy)]
struct Piece {
    goal: u64,
    size: u64,
    at: u64,
}

impl<S: ReadAt> Flattened<S> {
    /// Reads the places of all records.
    ///
    /// # Errors
    /// The file cannot be read, is something else, or ends before its last record.
    pub fn open(source: S) -> Result<Self> {
        let records = records(&source)?;
        let length = records.iter().map(|record| record.goal + record.size).max().unwrap_or(0);
        Ok(Self { source, pieces: without_overlaps(&records), length })
    }
}

fn records<S: ReadAt>(source: &S) -> Result<Vec<Piece>> {
    let mut start = [0; 32];
    read_exact(source, "the header of a flattened stream", 0, &mut start)?;
    check_header(&start)?;
    let mut records = Vec::new();
    let mut at = HEADER as u64;
    loop {
        let mut head = [0; 16];
        read_exact(source, "a record of a flattened stream", at, &mut head)?;
        let (goal, size) = (big(&head, 0), big(&head, 8));
        if (goal, size) == (END, END) {
            return Ok(records);
        }
        let damaged = |reason| Error::Flattened { offset: at, reason };
        let behind = (at + RECORD as u64).checked_add(size).filter(|end| *end <= source.length());
        let behind = behind.ok_or(damaged("a record is longer than the file"))?;
        goal.checked_add(size).ok_or(damaged("a record is for a place beyond all files"))?;
        if size > 0 {
            records.push(Piece { goal, size, at: at + RECORD as u64 });
        }
        at = behind;
    }
}

fn check_header(start: &[u8]) -> Result<()> {
    if start[..16] != MAGIC {
        return Err(Error::Unrecognised { start: start[..16].to_vec() });
    }
    if (big(start, 16), big(start, 24)) != (1, 1) {
        let (field, wanted) = ("the type of a flattened stream", "type 1 and version 1 are read");
        return Err(Error::Unsupported { field, value: big(start, 16), wanted });
    }
    Ok(())
}

/// Later records hide earlier ones: a sweep over all borders, keeping the records that are open.
fn without_overlaps(records: &[Piece]) -> Vec<Piece> {
    let mut borders: Vec<_> = records
        .iter()
        .enumerate()
        .flat_map(|(n, r)| [(r.goal, n, true), (r.goal + r.size, n, false)])
        .collect();
    borders.sort_unstable();
    let mut open = std::collections::BTreeSet::new();
    let mut pieces: Vec<Piece> = Vec::with_capacity(records.len());
    let mut from = 0;
    for (place, number, opens) in borders {
        if let Some(record) = open.last().map(|n: &usize| records[*n])
            && place > from
        {
            add(&mut pieces, Piece { goal: from, size: place - from, at: record.at + (from - record.goal) });
        }
        from = place;
        if opens {
            open.insert(number);
        } else {
            open.remove(&number);
        }
    }
    pieces
}

fn add(pieces: &mut Vec<Piece>, piece: Piece) {
    match pieces.last_mut() {
        Some(last) if last.goal + last.size == piece.goal && last.at + last.size == piece.at => {
            last.size += piece.size;
        }
        _ => pieces.push(piece),
    }
}

impl<S: ReadAt> ReadAt for Flattened<S> {
    fn length(&self) -> u64 {
        self.length
    }

    /// What no record is for reads as zeros.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let left =
            usize::try_from(self.length.saturating_sub(offset)).unwrap_or(usize::MAX).min(buffer.len());
        let behind = self.pieces.partition_point(|piece| piece.goal <= offset);
        let here =
            behind.checked_sub(1).map(|n| self.pieces[n]).filter(|piece| offset - piece.goal < piece.size);
        let at_most = |bytes: u64| usize::try_from(bytes).unwrap_or(left).min(left);
        if let Some(piece) = here {
            let inside = offset - piece.goal;
            return self.source.read_at(piece.at + inside, &mut buffer[..at_most(piece.size - inside)]);
        }
        let gap = self.pieces.get(behind).map_or(u64::MAX, |next| next.goal - offset);
        let count = at_most(gap);
        buffer[..count].fill(0);
        Ok(count)
    }
}

fn big(bytes: &[u8], at: usize) -> u64 {
    u64::from_be_bytes(std::array::from_fn(|n| bytes[at + n]))
}

/// A flattened stream being written, from any number of threads.
pub struct Flattener<W> {
    stream: Mutex<W>,
}

impl<W: Write + Send> Flattener<W> {
    /// Writes the stream's header.
    ///
    /// # Errors
    /// Whatever the stream says.
    pub fn new(mut stream: W) -> io::Result<Self> {
        let mut header = [0; HEADER];
        header[..16].copy_from_slice(&MAGIC);
        header[16..24].copy_from_slice(&1_u64.to_be_bytes());
        header[24..32].copy_from_slice(&1_u64.to_be_bytes());
        stream.write_all(&header)?;
        Ok(Self { stream: Mutex::new(stream) })
    }

    /// Writes the last record.
    ///
    /// # Errors
    /// Whatever the stream says.
    pub fn finish(self) -> io::Result<W> {
        let mut stream = self.stream.into_inner().unwrap_or_else(PoisonError::into_inner);
        stream.write_all(&[0xff; RECORD])?;
        stream.flush()?;
        Ok(stream)
    }
}

impl<W: Write + Send> WriteAt for Flattener<W> {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        // makedumpfile takes an empty record for the end.
        if bytes.is_empty() {
            return Ok(());
        }
        let mut stream = self.stream.lock().unwrap_or_else(PoisonError::into_inner);
        stream.write_all(&offset.to_be_bytes())?;
        stream.write_all(&(bytes.len() as u64).to_be_bytes())?;
        stream.write_all(bytes)
    }

    fn is_stream(&self) -> bool {
        true
    }
}

/// Writes what a flattened stream describes to where it belongs, as it comes; answers with the length of that.
///
/// # Errors
/// The stream cannot be read, is something else or ends early, or the destination cannot be written.
pub fn rearrange(mut stream: impl Read, to: &impl WriteAt) -> Result<u64> {
    let mut at = 0;
    let mut header = vec![0; HEADER];
    take(&mut stream, &mut at, &mut header)?;
    check_header(&header)?;
    let mut buffer = vec![0; 1 << 20];
    let mut length = 0;
    loop {
        let start = at;
        let mut head = [0; RECORD];
        take(&mut stream, &mut at, &mut head)?;
        let (mut goal, mut left) = (big(&head, 0), big(&head, 8));
        if (goal, left) == (END, END) {
            return Ok(length);
        }
        let beyond = Error::Flattened { offset: start, reason: "a record is for a place beyond all files" };
        let end = goal.checked_add(left).filter(|end| i64::try_from(*end).is_ok()).ok_or(beyond)?;
        while left > 0 {
            let count = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
            let part = &mut buffer[..count];
            take(&mut stream, &mut at, part)?;
            to.write_at(goal, part).map_err(|source| Error::Write { offset: goal, size: count, source })?;
            goal += count as u64;
            left -= count as u64;
        }
        length = length.max(end);
    }
}

fn take(stream: &mut impl Read, at: &mut u64, buffer: &mut [u8]) -> Result<()> {
    let (offset, size) = (*at, buffer.len());
    *at += size as u64;
    let what = "a flattened stream";
    stream.read_exact(buffer).map_err(|source| Error::Read { what, offset, size, source })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A file in memory.
    #[derive(Default)]
    struct Memory(Mutex<Vec<u8>>);

    impl WriteAt for Memory {
        fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
            let from = usize::try_from(offset).unwrap();
            let to = from + bytes.len();
            let mut file = self.0.lock().unwrap();
            let length = file.len().max(to);
            file.resize(length, 0);
            file[from..to].copy_from_slice(bytes);
            Ok(())
        }
    }

    fn stream(records: &[(u64, Vec<u8>)]) -> Vec<u8> {
        let flattener = Flattener::new(Vec::new()).unwrap();
        records.iter().for_each(|(offset, bytes)| flattener.write_at(*offset, bytes).unwrap());
        flattener.finish().unwrap()
    }

    proptest! {
        #[test]
        fn the_later_of_two_records_counts(records in prop::collection::vec((0_u64..60, prop::collection::vec(any::<u8>(), 0..30)), 0..12)) {
            let mut model = Vec::new();
            for (offset, bytes) in &records {
                let from = usize::try_from(*offset).unwrap();
                let to = from + bytes.len();
                if !bytes.is_empty() {
                    model.resize(model.len().max(to), 0);
                    model[from..to].copy_from_slice(bytes);
                }
            }
            let flattened = Flattened::open(stream(&records)).unwrap();
            prop_assert_eq!(flattened.length(), model.len() as u64);
            let mut whole = vec![1; model.len()];
            read_exact(&flattened, "all", 0, &mut whole).unwrap();
            prop_assert_eq!(&whole, &model);
            let goal = Memory::default();
            prop_assert_eq!(rearrange(stream(&records).as_slice(), &goal).unwrap(), model.len() as u64);
            prop_assert_eq!(goal.0.into_inner().unwrap(), model);
        }
    }

    #[test]
    fn a_stream_cut_short_is_refused() {
        let whole = stream(&[(0, vec![1; 100])]);
        for length in [0, 20, 4096, 4100, 4150, whole.len() - 1] {
            assert!(Flattened::open(&whole[..length]).is_err(), "{length}");
            assert!(rearrange(&whole[..length], &Memory::default()).is_err(), "{length}");
        }
    }
}
