//! Writing past the page cache, which requires whole blocks in aligned memory.
//!
//! Bytes arrive in pieces of any size, in nearly any order. They are collected in chunks. A
//! complete chunk is written past the page cache; nearly all become complete, because pages are
//! written one after the other. Incomplete chunks are written through the page cache, which can
//! write parts of blocks. Two threads write, so that the disk stays busy while one of them waits
//! for a CPU. Each has every other chunk and writes them in order, so that of two writes to the
//! same place the later one counts.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use phys::Pfn;
use vmcore::FrameSet;

/// Bytes of a chunk: enough to keep a disk busy with one.
pub(super) const CHUNK: usize = 1 << 20;
/// Incomplete chunks at most: one or two with pages, a few with page descriptors.
const BEGUN: usize = 8;
/// Writer threads.
const WRITERS: usize = 2;
/// Chunks that may wait for each of them.
const WAITING: usize = 1;
/// Alignment of memory and of offsets on the disk, in bytes: no disk requires more than its block
/// size, which is at most a page.
pub(super) const BLOCK: usize = 1 << phys::PAGE_SHIFT;

/// Chunks that exist at the same time at most.
const ALL: usize = BEGUN + 1 + WRITERS * (WAITING + 1);

/// Memory use at most, in bytes.
pub(in crate::dump) const MEMORY: u64 = (ALL * (CHUNK + BLOCK)) as u64;

/// A file or disk that is being written.
pub(super) struct Chunks {
    begun: Mutex<Begun>,
    /// Size of a chunk in bytes.
    size: usize,
}

impl Chunks {
    /// Starts to write to the first `length` bytes of a file, in chunks of `size` bytes. `past` is
    /// the same file, opened for writing past the page cache, or `None` if that is not supported.
    pub(super) fn start(past: Option<&File>, file: &File, length: u64, size: usize) -> io::Result<Self> {
        let (back, spare) = channel();
        // All memory is taken at once, before threads that compress take what is left.
        for _ in 0..ALL {
            // The receiver is not dropped before the sender.
            let _ = back.send(Memory::new(size));
        }
        let queues = (0..WRITERS)
            .map(|_| {
                let past = past.map(File::try_clone).transpose()?;
                let writer = Writer { past, file: file.try_clone()?, length, written: FrameSet::new() };
                Ok(Queue::start(writer, back.clone()))
            })
            .collect::<io::Result<_>>()?;
        Ok(Self { begun: Mutex::new(Begun { chunks: Vec::new(), queues, spare }), size })
    }

    /// Writes these bytes, at the latest in `end`. They must lie within the file.
    ///
    /// # Errors
    /// The error of an earlier write. It is reported once.
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

    /// Writes all chunks except the first one. Returns that chunk, and the writer of the others.
    ///
    /// # Errors
    /// The error of an earlier write.
    pub(super) fn end(self) -> io::Result<(Option<Chunk>, Writer)> {
        self.begun.into_inner().unwrap_or_else(PoisonError::into_inner).end()
    }
}

/// Incomplete chunks.
struct Begun {
    /// In order of use, the last one used last.
    chunks: Vec<Chunk>,
    queues: Vec<Queue>,
    /// Memory of chunks that were written.
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

/// A queue of chunks for a writer.
enum Queue {
    /// The writer has a thread; `None` after it failed.
    Thread(SyncSender<Chunk>, Option<JoinHandle<io::Result<Writer>>>),
    /// No thread could be started: the sender writes.
    Here(Writer, Sender<Memory>),
}

impl Queue {
    fn start(writer: Writer, back: Sender<Memory>) -> Self {
        let (queue, chunks) = sync_channel(WAITING);
        // If no thread is started, its closure is dropped with all that it owns.
        let parts = Arc::new(Mutex::new(Some((writer, back))));
        let taken = |parts: &Mutex<Option<_>>| parts.lock().unwrap_or_else(PoisonError::into_inner).take();
        let theirs = Arc::clone(&parts);
        let run =
            move || taken(&theirs).map_or_else(gone, |(writer, back)| Writer::run(writer, chunks, &back));
        match (std::thread::Builder::new().spawn(run), &parts) {
            (Ok(thread), _) => Self::Thread(queue, Some(thread)),
            (Err(_), parts) => match taken(parts) {
                Some((writer, back)) => Self::Here(writer, back),
                None => Self::Thread(queue, None),
            },
        }
    }

    fn send(&mut self, mut chunk: Chunk) -> io::Result<()> {
        match self {
            Self::Thread(queue, writer) => {
                queue.send(chunk).or_else(|_| writer.take().map_or_else(gone, join).map(drop))
            }
            Self::Here(writer, back) => {
                writer.put(&mut chunk)?;
                let _ = back.send(chunk.memory);
                Ok(())
            }
        }
    }

    fn end(self) -> io::Result<Writer> {
        match self {
            Self::Thread(queue, writer) => {
                drop(queue);
                writer.map_or_else(gone, join)
            }
            Self::Here(writer, _) => Ok(writer),
        }
    }
}

fn join(writer: JoinHandle<io::Result<Writer>>) -> io::Result<Writer> {
    writer.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// The error after the first one was reported.
fn gone<T>() -> io::Result<T> {
    Err(io::Error::other("an earlier write failed"))
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
    /// Parts that are not filled have old contents.
    memory: Memory,
    /// The filled bytes, in order, with gaps between them.
    filled: Vec<Range<usize>>,
}

impl Chunk {
    fn put(&mut self, inside: usize, piece: &[u8]) {
        let (from, to) = (inside, inside + piece.len());
        self.memory.range_mut(from..to).copy_from_slice(piece);
        // Ranges that touch this one become one range with it.
        let first = self.filled.partition_point(|range| range.end < from);
        let after = self.filled.partition_point(|range| range.start <= to);
        let touched = &self.filled[first..after];
        let from = touched.first().map_or(from, |range| range.start.min(from));
        let to = touched.last().map_or(to, |range| range.end.max(to));
        self.filled.splice(first..after, std::iter::once(from..to));
    }

    fn is_whole(&self) -> bool {
        self.filled.first().is_some_and(|range| range.len() == self.memory.size)
    }

    /// Fills the gaps with zeros.
    fn clear_gaps(&mut self) {
        let mut from = 0;
        for range in &self.filled {
            self.memory.range_mut(from..range.start).fill(0);
            from = range.end;
        }
        self.memory.range_mut(from..self.memory.size).fill(0);
    }
}

/// Writes to the disk.
pub(super) struct Writer {
    /// The same file, opened for writing past the page cache; `None` if that is not supported.
    past: Option<File>,
    pub(super) file: File,
    length: u64,
    /// The numbers of the blocks that were written.
    pub(super) written: FrameSet,
}

impl Writer {
    fn run(mut self, chunks: Receiver<Chunk>, back: &Sender<Memory>) -> io::Result<Self> {
        for mut chunk in chunks {
            self.put(&mut chunk)?;
            // At the end, no memory is needed any more.
            let _ = back.send(chunk.memory);
        }
        Ok(self)
    }

    /// Writes the filled part of a chunk.
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
                // It requires a larger alignment: write through the page cache from now on.
                Err(error) if error.kind() == io::ErrorKind::InvalidInput => self.past = None,
                result => return result,
            }
        }
        self.file.write_all_at(bytes, chunk.offset)
    }

    /// Writes a part of a chunk. Blocks that were not written yet are filled up with zeros.
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

    /// A writer that knows what both have written.
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
    fn the_error_of_a_disk_is_reported_once_and_nothing_is_accepted_after_it() {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let file = File::options().write(true).open("/dev/null").unwrap();
        let chunks = Chunks::start(Some(&full), &file, 1 << 30, BLOCK).unwrap();
        let errors: Vec<_> =
            (0..20).filter_map(|n| chunks.write_at(n * BLOCK as u64, &[1; BLOCK]).err()).collect();
        assert_eq!(errors[0].kind(), io::ErrorKind::StorageFull);
        let others = errors.iter().filter(|error| error.kind() == io::ErrorKind::Other).count();
        // Each writer has a first error of its own.
        assert!(others + WRITERS >= errors.len() && others > 0, "{errors:?}");
        assert!(chunks.end().is_err());
    }
}
