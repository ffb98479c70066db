//! A dump straight onto a disk, without a file system and past the page cache.
//!
//! Bytes come in pieces of any size, in nearly any order. They are put together to chunks, and what becomes whole of these
//! goes to the disk as it is: nearly all, since pages lie one behind the other. What stays in pieces goes through the page
//! cache, which knows how to write parts of blocks. One thread writes, in the order in which chunks were handed to it, so
//! that of two writes to the same place the later one counts.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;

use phys::Pfn;
use sys::disk;
use vmcore::{FrameSet, WriteAt};

/// Bytes of a chunk: enough to keep a disk busy with one.
const CHUNK: usize = 1 << 20;
/// Chunks that may be begun at a time. Of pages there is one or two, of their descriptors some.
const BEGUN: usize = 8;
/// Chunks that may wait to be written.
const WAITING: usize = 2;
/// What addresses of memory and places on the disk are multiples of, in bytes: no disk wants more than its blocks, nor have
/// these been larger than a page.
const BLOCK: usize = 1 << phys::PAGE_SHIFT;

/// Most bytes of memory that writing to a disk takes.
pub(super) const MEMORY: u64 = ((BEGUN + WAITING + 1) * (CHUNK + BLOCK)) as u64;

/// A disk that is written to. What is never written reads as zeros when it is finished, whatever was there.
pub(super) struct Disk {
    begun: Mutex<Begun>,
    /// Of the disk, in bytes.
    length: u64,
    chunk: usize,
}

impl Disk {
    /// Starts to write to a disk of so many bytes. A dump that is there is none any more.
    pub(super) fn open(path: &Path, file: File, length: u64) -> io::Result<Self> {
        Self::by_chunks(disk::open_past_the_cache(path)?, file, length, CHUNK)
    }

    fn by_chunks(past: Option<File>, file: File, length: u64, chunk: usize) -> io::Result<Self> {
        file.write_all_at(&vec![0; BLOCK.min(usize::try_from(length).unwrap_or(BLOCK))], 0)?;
        file.sync_data()?;
        let (queue, chunks) = sync_channel(WAITING);
        let writer = Writer { past, file, length, written: FrameSet::new() };
        let writer = std::thread::Builder::new().spawn(|| writer.run(chunks))?;
        let begun = Begun { chunks: Vec::new(), queue, writer: Some(writer), end: 0 };
        Ok(Self { begun: Mutex::new(begun), length, chunk })
    }

    /// Ends a dump of so many bytes: all is on the disk, and at last its header.
    pub(super) fn finish(self, length: u64) -> io::Result<()> {
        let chunk = self.chunk as u64;
        if length > self.length {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let (head, mut writer) = self.begun.into_inner().unwrap_or_else(PoisonError::into_inner).end()?;
        writer.make_zeros(chunk, length)?;
        writer.file.sync_all()?;
        head.iter().try_for_each(|head| writer.put(head))?;
        writer.make_zeros(0, chunk.min(length))?;
        writer.file.sync_all()
    }

    /// Ends a dump for which there was no room.
    pub(super) fn keep(self) -> io::Result<()> {
        let end = self.begun.lock().unwrap_or_else(PoisonError::into_inner).end;
        self.finish(end)
    }
}

impl WriteAt for Disk {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let end = offset.saturating_add(bytes.len() as u64);
        if end > self.length {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let mut begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        begun.end = begun.end.max(end);
        let (mut offset, mut rest) = (offset, bytes);
        while !rest.is_empty() {
            let inside = usize::try_from(offset % self.chunk as u64).unwrap_or(0);
            let (piece, others) = rest.split_at(rest.len().min(self.chunk - inside));
            begun.put(offset - inside as u64, self.chunk, inside, piece)?;
            offset += piece.len() as u64;
            rest = others;
        }
        Ok(())
    }
}

/// Chunks of which there is a part.
struct Begun {
    /// What was written to last is the last.
    chunks: Vec<Chunk>,
    queue: SyncSender<Chunk>,
    /// None when it has failed.
    writer: Option<JoinHandle<io::Result<Writer>>>,
    /// Where what was written ends, in bytes of the disk.
    end: u64,
}

impl Begun {
    fn put(&mut self, offset: u64, size: usize, inside: usize, piece: &[u8]) -> io::Result<()> {
        let known = self.chunks.iter().position(|chunk| chunk.offset == offset);
        let mut chunk = match known {
            Some(place) => self.chunks.remove(place),
            None => Chunk::new(offset, size),
        };
        chunk.put(inside, piece);
        if chunk.is_whole() {
            return self.send(chunk);
        }
        if self.chunks.len() == BEGUN {
            let oldest = self.chunks.remove(0);
            self.send(oldest)?;
        }
        self.chunks.push(chunk);
        Ok(())
    }

    fn send(&mut self, chunk: Chunk) -> io::Result<()> {
        self.queue.send(chunk).or_else(|_| self.writer.take().map_or_else(gone, join).map(drop))
    }

    /// Hands over what there is, but for the first chunk; answers with that and with who wrote the others.
    fn end(mut self) -> io::Result<(Option<Chunk>, Writer)> {
        let head =
            self.chunks.iter().position(|chunk| chunk.offset == 0).map(|place| self.chunks.remove(place));
        for chunk in std::mem::take(&mut self.chunks) {
            self.send(chunk)?;
        }
        drop(self.queue);
        Ok((head, self.writer.map_or_else(gone, join)?))
    }
}

fn join(writer: JoinHandle<io::Result<Writer>>) -> io::Result<Writer> {
    writer.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Who asks after the first error was told.
fn gone() -> io::Result<Writer> {
    Err(io::Error::other("the disk could not be written before"))
}

/// A part of the disk, in memory.
struct Chunk {
    offset: u64,
    /// With room to start at a multiple of [`BLOCK`]. What is not filled is zeros.
    memory: Vec<u8>,
    start: usize,
    size: usize,
    /// Which bytes are filled, in order, with gaps between them.
    filled: Vec<Range<usize>>,
}

impl Chunk {
    fn new(offset: u64, size: usize) -> Self {
        let memory = vec![0; size + BLOCK];
        let start = memory.as_ptr().align_offset(BLOCK);
        Self { offset, memory, start, size, filled: Vec::new() }
    }

    fn put(&mut self, inside: usize, piece: &[u8]) {
        let (from, to) = (inside, inside + piece.len());
        self.memory[self.start + from..self.start + to].copy_from_slice(piece);
        // All that this touches becomes one.
        let first = self.filled.partition_point(|range| range.end < from);
        let behind = self.filled.partition_point(|range| range.start <= to);
        let touched = &self.filled[first..behind];
        let from = touched.first().map_or(from, |range| range.start.min(from));
        let to = touched.last().map_or(to, |range| range.end.max(to));
        self.filled.splice(first..behind, std::iter::once(from..to));
    }

    fn is_whole(&self) -> bool {
        self.filled.first().is_some_and(|range| range.len() == self.size)
    }

    fn bytes(&self, range: Range<usize>) -> &[u8] {
        &self.memory[self.start + range.start..self.start + range.end]
    }
}

/// Who writes to the disk.
struct Writer {
    /// The same disk twice; None if there is no way past the page cache.
    past: Option<File>,
    file: File,
    length: u64,
    /// The numbers of the blocks that have something of this dump.
    written: FrameSet,
}

impl Writer {
    fn run(mut self, chunks: Receiver<Chunk>) -> io::Result<Self> {
        chunks.into_iter().try_for_each(|chunk| self.put(&chunk))?;
        Ok(self)
    }

    fn put(&mut self, chunk: &Chunk) -> io::Result<()> {
        if chunk.is_whole() {
            self.put_past(chunk)?;
            self.note(chunk.offset, chunk.offset + chunk.size as u64);
            return Ok(());
        }
        chunk.filled.iter().try_for_each(|range| self.put_range(chunk, range))
    }

    fn put_past(&mut self, chunk: &Chunk) -> io::Result<()> {
        let bytes = chunk.bytes(0..chunk.size);
        if let Some(past) = &self.past {
            match past.write_all_at(bytes, chunk.offset) {
                // It wants more than our alignment: then the other way, for good.
                Err(error) if error.kind() == io::ErrorKind::InvalidInput => self.past = None,
                answer => return answer,
            }
        }
        self.file.write_all_at(bytes, chunk.offset)
    }

    /// Writes a part of a chunk. Around it there is something else in its first and last block, or zeros.
    fn put_range(&mut self, chunk: &Chunk, range: &Range<usize>) -> io::Result<()> {
        let is_new = |inside: usize| {
            let block = (chunk.offset + inside as u64) / BLOCK as u64;
            Pfn::new(block).is_none_or(|block| !self.written.contains(block))
        };
        let from = if is_new(range.start) { range.start / BLOCK * BLOCK } else { range.start };
        let to = if is_new(range.end - 1) { range.end.next_multiple_of(BLOCK) } else { range.end };
        let end = (chunk.offset + to as u64).min(self.length);
        let to = usize::try_from(end - chunk.offset).unwrap_or(to);
        self.file.write_all_at(chunk.bytes(from..to), chunk.offset + from as u64)?;
        self.note(chunk.offset + from as u64, end);
        Ok(())
    }

    fn note(&mut self, from: u64, to: u64) {
        self.written.insert(from / BLOCK as u64, to.div_ceil(BLOCK as u64));
    }

    /// Makes zeros of the blocks of this part of the disk that have nothing of this dump.
    fn make_zeros(&mut self, from: u64, to: u64) -> io::Result<()> {
        if from >= to {
            return Ok(());
        }
        let mut part = FrameSet::new();
        part.insert(from / BLOCK as u64, to.div_ceil(BLOCK as u64));
        for run in part.without(&self.written).runs() {
            let [start, end] = [run.start, run.end].map(|block| (block * BLOCK as u64).min(self.length));
            match disk::make_zeros(&self.file, start, end - start) {
                Err(error) if error.kind() == io::ErrorKind::Unsupported => self.write_zeros(start, end)?,
                answer => answer?,
            }
        }
        Ok(())
    }

    fn write_zeros(&self, mut from: u64, to: u64) -> io::Result<()> {
        let zeros = vec![0; CHUNK];
        while from < to {
            let count = usize::try_from(to - from).unwrap_or(CHUNK).min(CHUNK);
            self.file.write_all_at(&zeros[..count], from)?;
            from += count as u64;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    /// A file that is taken for a disk, and has something on it.
    struct Old(PathBuf);

    impl Old {
        const LENGTH: usize = 40 * BLOCK + 512;

        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("kjump-old-disk-{name}-{}", std::process::id()));
            std::fs::write(&path, vec![0xee; Self::LENGTH]).unwrap();
            Self(path)
        }

        fn disk(&self, past: Option<File>, blocks: usize) -> Disk {
            let file = File::options().write(true).open(&self.0).unwrap();
            Disk::by_chunks(past, file, Self::LENGTH as u64, blocks * BLOCK).unwrap()
        }

        fn bytes(&self) -> Vec<u8> {
            std::fs::read(&self.0).unwrap()
        }
    }

    impl Drop for Old {
        fn drop(&mut self) {
            std::fs::remove_file(&self.0).unwrap();
        }
    }

    /// Pieces of odd sizes, forwards, backwards and twice, with gaps.
    fn pieces() -> Vec<(usize, Vec<u8>)> {
        let piece = |n: usize| (n * 7919 % (36 * BLOCK), vec![n.to_le_bytes()[0] | 1; 1 + n * 331 % 9000]);
        let mut pieces: Vec<_> = (0..60).map(piece).collect();
        pieces.extend((0..30).rev().map(|n| (n * 700 + 3 * BLOCK, vec![7; 700])));
        pieces.push((0, vec![9; 100]));
        pieces
    }

    fn expected(pieces: &[(usize, Vec<u8>)]) -> (Vec<u8>, usize) {
        let mut expected = vec![0; Old::LENGTH];
        let mut end = 0;
        for (offset, bytes) in pieces {
            expected[*offset..*offset + bytes.len()].copy_from_slice(bytes);
            end = end.max(offset + bytes.len());
        }
        (expected, end)
    }

    #[test]
    fn a_disk_has_what_was_written_last_and_else_zeros() {
        for blocks in [1, 2, 8, 64] {
            let old = Old::new(&format!("last-{blocks}"));
            // A file system that does not take it is one more way to write.
            for past in [disk::open_past_the_cache(&old.0).unwrap(), None] {
                let (pieces, disk) = (pieces(), old.disk(past, blocks));
                for (offset, bytes) in &pieces {
                    disk.write_at(*offset as u64, bytes).unwrap();
                }
                let (expected, end) = expected(&pieces);
                disk.finish(end as u64).unwrap();
                let bytes = old.bytes();
                assert!(bytes[..end] == expected[..end], "{blocks} blocks");
                let untouched = end.next_multiple_of(BLOCK);
                assert!(bytes[untouched..].iter().all(|byte| *byte == 0xee), "{blocks} blocks");
            }
        }
    }

    #[test]
    fn many_threads_fill_a_disk_to_its_last_byte() {
        let old = Old::new("threads");
        let disk = old.disk(disk::open_past_the_cache(&old.0).unwrap(), 4);
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let disk = &disk;
                scope.spawn(move || {
                    for at in (thread * 100..Old::LENGTH).step_by(400) {
                        let count = 100.min(Old::LENGTH - at);
                        disk.write_at(at as u64, &vec![u8::try_from(at % 251).unwrap(); count]).unwrap();
                    }
                });
            }
        });
        disk.finish(Old::LENGTH as u64).unwrap();
        assert!(
            old.bytes()
                .chunks(100)
                .zip(0_usize..)
                .all(|(part, n)| { part.iter().all(|byte| usize::from(*byte) == n * 100 % 251) })
        );
    }

    #[test]
    fn behind_its_end_there_is_no_room_and_what_fits_is_kept() {
        let old = Old::new("room");
        let disk = old.disk(None, 2);
        disk.write_at(5, b"head").unwrap();
        disk.write_at(3 * BLOCK as u64 + 1, b"last").unwrap();
        let error = disk.write_at(Old::LENGTH as u64 - 1, b"ab").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        disk.keep().unwrap();
        let bytes = old.bytes();
        assert_eq!(&bytes[..10], b"\0\0\0\0\0head\0");
        assert!(bytes[BLOCK..3 * BLOCK].iter().all(|byte| *byte == 0));
        assert_eq!(&bytes[3 * BLOCK..3 * BLOCK + 6], b"\0last\0");
    }

    #[test]
    fn an_old_dump_is_gone_before_anything_else_is_written() {
        let old = Old::new("gone");
        drop(old.disk(None, 2));
        assert!(old.bytes()[..BLOCK].iter().all(|byte| *byte == 0));
        assert_eq!(old.bytes()[BLOCK], 0xee);
    }

    #[test]
    fn a_disk_that_fails_says_so_once_and_takes_no_more() {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let file = File::options().write(true).open("/dev/null").unwrap();
        let writer = Writer { past: Some(full), file, length: 1 << 30, written: FrameSet::new() };
        let (queue, chunks) = sync_channel(WAITING);
        let writer = Some(std::thread::spawn(|| writer.run(chunks)));
        let begun = Begun { chunks: Vec::new(), queue, writer, end: 0 };
        let disk = Disk { begun: Mutex::new(begun), length: 1 << 30, chunk: BLOCK };
        let errors: Vec<_> =
            (0..20).filter_map(|n| disk.write_at(n * BLOCK as u64, &[1; BLOCK]).err()).collect();
        assert_eq!(errors[0].kind(), io::ErrorKind::StorageFull);
        assert!(errors[1..].iter().all(|error| error.kind() == io::ErrorKind::Other));
        assert!(disk.finish(0).is_err());
    }
}
