//! A dump on a disk, without a file system and past the page cache.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use sys::disk;
use vmcore::{FrameSet, WriteAt};

use super::chunks::{BLOCK, CHUNK, Chunks, Writer};

/// A disk that is being written. Once finished, parts of the dump that were never written read as
/// zeros.
pub(super) struct Disk {
    chunks: Chunks,
    /// Size of the disk in bytes.
    length: u64,
    /// Size of a chunk in bytes.
    chunk: usize,
    /// The end of written bytes.
    end: AtomicU64,
}

impl Disk {
    /// Starts to write to a disk of `length` bytes. An old dump on it is invalidated.
    pub(super) fn open(path: &Path, file: &File, length: u64) -> io::Result<Self> {
        Self::by_chunks(disk::open_past_the_cache(path)?.as_ref(), file, length, CHUNK)
    }

    fn by_chunks(past: Option<&File>, file: &File, length: u64, chunk: usize) -> io::Result<Self> {
        file.write_all_at(&vec![0; BLOCK.min(usize::try_from(length).unwrap_or(BLOCK))], 0)?;
        file.sync_data()?;
        let chunks = Chunks::start(past, file, length, chunk)?;
        Ok(Self { chunks, length, chunk, end: AtomicU64::new(0) })
    }

    /// Ends a dump of `length` bytes: its header is written after everything else is on the disk.
    pub(super) fn finish(self, length: u64) -> io::Result<()> {
        let chunk = self.chunk as u64;
        if length > self.length {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let (head, writer) = self.chunks.end()?;
        let mut rest = Rest { writer, disk: self.length };
        rest.make_zeros(chunk, length)?;
        rest.writer.file.sync_all()?;
        if let Some(mut head) = head {
            rest.writer.put(&mut head)?;
        }
        rest.make_zeros(0, chunk.min(length))?;
        rest.writer.file.sync_all()
    }

    /// Ends a dump for which there was no room.
    pub(super) fn keep(self) -> io::Result<()> {
        let end = self.end.load(Ordering::Relaxed);
        self.finish(end)
    }
}

impl WriteAt for Disk {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let end = offset.saturating_add(bytes.len() as u64);
        if end > self.length {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.end.fetch_max(end, Ordering::Relaxed);
        self.chunks.write_at(offset, bytes)
    }
}

/// The last writes to a disk.
struct Rest {
    writer: Writer,
    /// Size of the disk in bytes.
    disk: u64,
}

impl Rest {
    /// Writes zeros to the blocks of this part of the disk that were not written.
    fn make_zeros(&mut self, from: u64, to: u64) -> io::Result<()> {
        if from >= to {
            return Ok(());
        }
        let mut part = FrameSet::new();
        part.insert(from / BLOCK as u64, to.div_ceil(BLOCK as u64));
        for run in part.without(&self.writer.written).runs() {
            let [start, end] = [run.start, run.end].map(|block| (block * BLOCK as u64).min(self.disk));
            match disk::make_zeros(&self.writer.file, start, end - start) {
                Err(error) if error.kind() == io::ErrorKind::Unsupported => self.write_zeros(start, end)?,
                result => result?,
            }
        }
        Ok(())
    }

    fn write_zeros(&self, mut from: u64, to: u64) -> io::Result<()> {
        let zeros = vec![0; CHUNK];
        while from < to {
            let count = usize::try_from(to - from).unwrap_or(CHUNK).min(CHUNK);
            self.writer.file.write_all_at(&zeros[..count], from)?;
            from += count as u64;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    /// A file in the place of a disk with old contents.
    struct Old(PathBuf);

    impl Old {
        const LENGTH: usize = 40 * BLOCK + 512;

        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("kjump-old-disk-{name}-{}", std::process::id()));
            std::fs::write(&path, vec![0xee; Self::LENGTH]).unwrap();
            Self(path)
        }

        fn disk(&self, past: Option<&File>, blocks: usize) -> Disk {
            let file = File::options().write(true).open(&self.0).unwrap();
            Disk::by_chunks(past, &file, Self::LENGTH as u64, blocks * BLOCK).unwrap()
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
    fn a_disk_has_the_bytes_written_last_and_zeros_elsewhere() {
        for blocks in [1, 2, 8, 64] {
            let old = Old::new(&format!("last-{blocks}"));
            // Without direct writes, and with them if the file system supports them.
            for past in [disk::open_past_the_cache(&old.0).unwrap(), None] {
                let (pieces, disk) = (pieces(), old.disk(past.as_ref(), blocks));
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
        let disk = old.disk(disk::open_past_the_cache(&old.0).unwrap().as_ref(), 4);
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
    fn there_is_no_room_after_its_end_and_the_written_part_is_kept() {
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
    fn an_old_dump_is_invalidated_first() {
        let old = Old::new("gone");
        drop(old.disk(None, 2));
        assert!(old.bytes()[..BLOCK].iter().all(|byte| *byte == 0));
        assert_eq!(old.bytes()[BLOCK], 0xee);
    }
}
