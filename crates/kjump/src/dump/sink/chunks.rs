//! Writing past the page cache, which takes whole blocks from aligned memory.
//!
//! Bytes come in pieces of any size, in nearly any order. They are put together to chunks, and what becomes whole of these
//! goes to the disk as it is: nearly all, since pages lie one behind the other. What stays in pieces goes through the page
//! cache, which knows how to write parts of blocks. Two threads write, so that the disk has something to do while one of
//! them waits for a processor. Each has every other chunk, and writes in the order in which they were handed to it: of two
//! writes to the same place the later one counts.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;

use phys::Pfn;
use vmcore::FrameSet;

/// Bytes of a chunk: enough to keep a disk busy with one.
pub(super) const CHUNK: usize = 1 << 20;
/// Chunks that may be begun at a time. Of pages there is one or two, of their descriptors some.
const BEGUN: usize = 8;
/// Threads that write.
const WRITERS: usize = 2;
/// Chunks that may wait for each of them.
const WAITING: usize = 1;
/// What addresses of memory and places on the disk are multiples of, in bytes: no disk wants more than its blocks, nor have
/// these been larger than a page.
pub(super) const BLOCK: usize = 1 << phys::PAGE_SHIFT;

/// Most bytes of memory that this takes.
pub(in crate::dump) const MEMORY: u64 = ((BEGUN + 1 + WRITERS * (WAITING + 1)) * (CHUNK + BLOCK)) as u64;

/// A file or disk that is written to.
pub(super) struct Chunks {
    begun: Mutex<Begun>,
    /// Of a chunk, in bytes.
    size: usize,
}

impl Chunks {
    /// Starts to write to the first `length` bytes of a file, in chunks of so many bytes. `past` is the same file again, for
    /// writing past the page cache; None if there is no such way.
    pub(super) fn start(past: Option<&File>, file: &File, length: u64, size: usize) -> io::Result<Self> {
        let (back, spare) = channel();
        let queues = (0..WRITERS)
            .map(|_| {
                let past = past.map(File::try_clone).transpose()?;
                let writer = Writer { past, file: file.try_clone()?, length, written: FrameSet::new() };
                Queue::start(writer, back.clone())
            })
            .collect::<io::Result<_>>()?;
        Ok(Self { begun: Mutex::new(Begun { chunks: Vec::new(), queues, spare }), size })
    }

    /// Writes these bytes, some time before the end. The caller sees to it that they are not behind the file's.
    ///
    /// # Errors
    /// What came of writes before this one. It is told once.
    pub(super) fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut offset, mut rest) = (offset, bytes);
        while !rest.is_empty() {
            let inside = usize::try_from(offset % self.size as u64).unwrap_or(0);
            let (piece, others) = rest.split_at(rest.len().min(self.size - inside));
            begun.put(offset - inside as u64, self.size, inside, piece)?;
            offset += piece.len() as u64;
            rest = others;
        }
        Ok(())
    }

    /// Writes what there is, but for the first chunk; answers with that and with who wrote the others.
    ///
    /// # Errors
    /// What came of writes before.
    pub(super) fn end(self) -> io::Result<(Option<Chunk>, Writer)> {
        self.begun.into_inner().unwrap_or_else(PoisonError::into_inner).end()
    }
}

/// Chunks of which there is a part.
struct Begun {
    /// What was written to last is the last.
    chunks: Vec<Chunk>,
    queues: Vec<Queue>,
    /// Memory of chunks that are written.
    spare: Receiver<Memory>,
}

impl Begun {
    fn put(&mut self, offset: u64, size: usize, inside: usize, piece: &[u8]) -> io::Result<()> {
        let known = self.chunks.iter().position(|chunk| chunk.offset == offset);
        let mut chunk = match known {
            Some(place) => self.chunks.remove(place),
            None => self.begin(offset, size),
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

    fn begin(&self, offset: u64, size: usize) -> Chunk {
        let memory = self.spare.try_recv().unwrap_or_else(|_| Memory::new(size));
        Chunk { offset, memory, filled: Vec::new() }
    }

    fn send(&mut self, chunk: Chunk) -> io::Result<()> {
        let number = chunk.offset / chunk.memory.size as u64 % self.queues.len() as u64;
        match usize::try_from(number).ok().and_then(|number| self.queues.get_mut(number)) {
            Some(queue) => queue.send(chunk),
            None => gone(),
        }
    }

    fn end(mut self) -> io::Result<(Option<Chunk>, Writer)> {
        let head =
            self.chunks.iter().position(|chunk| chunk.offset == 0).map(|place| self.chunks.remove(place));
        for chunk in std::mem::take(&mut self.chunks) {
            self.send(chunk)?;
        }
        let writers = self.queues.into_iter().map(Queue::end).collect::<io::Result<Vec<_>>>()?;
        Ok((head, writers.into_iter().reduce(Writer::join).map_or_else(gone, Ok)?))
    }
}

/// Chunks on their way to who writes them.
struct Queue {
    queue: SyncSender<Chunk>,
    /// None when it has failed.
    writer: Option<JoinHandle<io::Result<Writer>>>,
}

impl Queue {
    fn start(writer: Writer, back: Sender<Memory>) -> io::Result<Self> {
        let (queue, chunks) = sync_channel(WAITING);
        let writer = std::thread::Builder::new().spawn(move || writer.run(chunks, &back))?;
        Ok(Self { queue, writer: Some(writer) })
    }

    fn send(&mut self, chunk: Chunk) -> io::Result<()> {
        self.queue.send(chunk).or_else(|_| self.writer.take().map_or_else(gone, join).map(drop))
    }

    fn end(self) -> io::Result<Writer> {
        drop(self.queue);
        self.writer.map_or_else(gone, join)
    }
}

fn join(writer: JoinHandle<io::Result<Writer>>) -> io::Result<Writer> {
    writer.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Who asks after the first error was told.
fn gone<T>() -> io::Result<T> {
    Err(io::Error::other("the disk could not be written before"))
}

/// Memory that starts at a multiple of [`BLOCK`].
struct Memory {
    bytes: Vec<u8>,
    start: usize,
    size: usize,
}

impl Memory {
    fn new(size: usize) -> Self {
        let bytes = vec![0; size + BLOCK];
        Self { start: bytes.as_ptr().align_offset(BLOCK), bytes, size }
    }

    fn range(&self, range: Range<usize>) -> &[u8] {
        &self.bytes[self.start + range.start..self.start + range.end]
    }

    fn range_mut(&mut self, range: Range<usize>) -> &mut [u8] {
        &mut self.bytes[self.start + range.start..self.start + range.end]
    }
}

/// A part of the disk, in memory.
pub(super) struct Chunk {
    offset: u64,
    /// What is not filled is whatever was there before.
    memory: Memory,
    /// Which bytes are filled, in order, with gaps between them.
    filled: Vec<Range<usize>>,
}

impl Chunk {
    fn put(&mut self, inside: usize, piece: &[u8]) {
        let (from, to) = (inside, inside + piece.len());
        self.memory.range_mut(from..to).copy_from_slice(piece);
        // All that this touches becomes one.
        let first = self.filled.partition_point(|range| range.end < from);
        let behind = self.filled.partition_point(|range| range.start <= to);
        let touched = &self.filled[first..behind];
        let from = touched.first().map_or(from, |range| range.start.min(from));
        let to = touched.last().map_or(to, |range| range.end.max(to));
        self.filled.splice(first..behind, std::iter::once(from..to));
    }

    fn is_whole(&self) -> bool {
        self.filled.first().is_some_and(|range| range.len() == self.memory.size)
    }

    /// Makes zeros of what is not filled.
    fn clear_gaps(&mut self) {
        let mut from = 0;
        for range in &self.filled {
            self.memory.range_mut(from..range.start).fill(0);
            from = range.end;
        }
        self.memory.range_mut(from..self.memory.size).fill(0);
    }
}

/// Who writes to the disk.
pub(super) struct Writer {
    /// The same disk twice; None if there is no way past the page cache.
    past: Option<File>,
    pub(super) file: File,
    length: u64,
    /// The numbers of the blocks that have something of this dump.
    pub(super) written: FrameSet,
}

impl Writer {
    fn run(mut self, chunks: Receiver<Chunk>, back: &Sender<Memory>) -> io::Result<Self> {
        for mut chunk in chunks {
            self.put(&mut chunk)?;
            // At the end, nobody wants it any more.
            let _ = back.send(chunk.memory);
        }
        Ok(self)
    }

    /// Writes what there is of a chunk.
    pub(super) fn put(&mut self, chunk: &mut Chunk) -> io::Result<()> {
        if chunk.is_whole() {
            self.put_past(chunk)?;
            self.note(chunk.offset, chunk.offset + chunk.memory.size as u64);
            return Ok(());
        }
        chunk.clear_gaps();
        chunk.filled.iter().try_for_each(|range| self.put_range(chunk, range))
    }

    fn put_past(&mut self, chunk: &Chunk) -> io::Result<()> {
        let bytes = chunk.memory.range(0..chunk.memory.size);
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
        self.file.write_all_at(chunk.memory.range(from..to), chunk.offset + from as u64)?;
        self.note(chunk.offset + from as u64, end);
        Ok(())
    }

    /// One who knows what both have written.
    fn join(mut self, other: Self) -> Self {
        self.written.unite(other.written);
        self
    }

    fn note(&mut self, from: u64, to: u64) {
        self.written.insert(from / BLOCK as u64, to.div_ceil(BLOCK as u64));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_that_fails_says_so_once_and_takes_no_more() {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let file = File::options().write(true).open("/dev/null").unwrap();
        let chunks = Chunks::start(Some(&full), &file, 1 << 30, BLOCK).unwrap();
        let errors: Vec<_> =
            (0..20).filter_map(|n| chunks.write_at(n * BLOCK as u64, &[1; BLOCK]).err()).collect();
        assert_eq!(errors[0].kind(), io::ErrorKind::StorageFull);
        let others = errors.iter().filter(|error| error.kind() == io::ErrorKind::Other).count();
        // Each of those who write has its own first error.
        assert!(others + WRITERS >= errors.len() && others > 0, "{errors:?}");
        assert!(chunks.end().is_err());
    }
}
