//! A dump in a new file, written past the page cache: this does not fill memory and takes little
//! CPU time.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use sys::disk;
use vmcore::WriteAt;

use super::chunks::{self, CHUNK, Chunks, Writer};

/// A new file that is being written. Its blocks are allocated before they are written, so that lack
/// of room is detected at once.
pub(super) struct Direct {
    chunks: Chunks,
    file: File,
    room: Mutex<Room>,
}

/// The allocated start of the file.
struct Room {
    /// In bytes.
    allocated: u64,
    /// The end of written bytes.
    end: u64,
}

/// Bytes to allocate ahead, at least and at most: few steps for a large dump, little waste for a
/// small one.
const AHEAD: (u64, u64) = (CHUNK as u64, 64 << 20);

/// Memory to leave for everything else, in bytes.
const LEFT: usize = 12 << 20;

impl Direct {
    /// Starts to write to an empty file; `None` if its file system does not support this.
    ///
    /// # Errors
    /// The file cannot be opened again, or there is no room.
    pub(super) fn start(path: &Path, file: &File) -> io::Result<Option<Self>> {
        let Some(past) = disk::open_past_the_cache(path)? else { return Ok(None) };
        // Without memory for it, the file is written through the page cache.
        if !vmcore::is_available(usize::try_from(chunks::MEMORY).unwrap_or(usize::MAX) + LEFT) {
            return Ok(None);
        }
        let chunks = Chunks::start(Some(&past), file, u64::MAX, CHUNK)?;
        match disk::allocate(file, 0, AHEAD.0) {
            Err(error) if error.kind() == io::ErrorKind::Unsupported => return Ok(None),
            result => result?,
        }
        let room = Mutex::new(Room { allocated: AHEAD.0, end: 0 });
        Ok(Some(Self { chunks, file: file.try_clone()?, room }))
    }

    /// Ends a dump of `length` bytes and waits for the disk.
    pub(super) fn finish(self, length: u64) -> io::Result<()> {
        let (head, mut writer) = self.chunks.end()?;
        if let Some(mut head) = head {
            writer.put(&mut head)?;
        }
        end(&writer, length)
    }

    /// Ends a dump for which there was no room.
    pub(super) fn keep(self) -> io::Result<()> {
        let end = self.room.lock().unwrap_or_else(PoisonError::into_inner).end;
        self.finish(end)
    }

    /// Extends the allocation to `end`, and beyond if there is room.
    fn make_room(&self, end: u64) -> io::Result<()> {
        let mut room = self.room.lock().unwrap_or_else(PoisonError::into_inner);
        let from = room.allocated;
        if end > from {
            let needed = end - from;
            let ahead = needed.saturating_add((end / 4).clamp(AHEAD.0, AHEAD.1));
            room.allocated = match disk::allocate(&self.file, from, ahead) {
                Ok(()) => from + ahead,
                Err(_) => disk::allocate(&self.file, from, needed).map(|()| end)?,
            };
        }
        room.end = room.end.max(end);
        Ok(())
    }
}

/// Cuts off everything after the end, and waits for the disk.
fn end(writer: &Writer, length: u64) -> io::Result<()> {
    writer.file.set_len(length)?;
    writer.file.sync_all()
}

impl WriteAt for Direct {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let end = offset.checked_add(bytes.len() as u64).ok_or(io::ErrorKind::FileTooLarge)?;
        self.make_room(end)?;
        self.chunks.write_at(offset, bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;
    use std::path::PathBuf;

    /// A new file in the target directory: `/tmp` may be in memory, where all writes go through the
    /// page cache.
    struct New {
        path: PathBuf,
        file: File,
    }

    impl New {
        fn file(name: &str) -> Self {
            let path = std::env::current_exe().unwrap().with_file_name(format!("direct-{name}"));
            let _ = std::fs::remove_file(&path);
            Self { file: File::create_new(&path).unwrap(), path }
        }

        fn direct(&self) -> Direct {
            Direct::start(&self.path, &self.file)
                .unwrap()
                .expect("this file system does not support direct writes")
        }

        /// Bytes allocated on its disk.
        fn allocated(&self) -> u64 {
            self.file.metadata().unwrap().blocks() * 512
        }
    }

    impl Drop for New {
        fn drop(&mut self) {
            std::fs::remove_file(&self.path).unwrap();
        }
    }

    #[test]
    fn a_file_has_the_written_bytes_and_no_more_blocks() {
        let new = New::file("whole");
        let direct = new.direct();
        let mut expected = vec![0; 3 * CHUNK + 7];
        for n in 0..500 {
            let (from, count) = (n * 6007, 1 + n * 331 % 6000);
            expected[from..from + count].fill(n.to_le_bytes()[0] | 1);
            direct.write_at(from as u64, &expected[from..from + count]).unwrap();
        }
        assert!(new.allocated() > expected.len() as u64);
        direct.finish(expected.len() as u64).unwrap();
        assert!(std::fs::read(&new.path).unwrap() == expected);
        assert!(new.allocated() < expected.len() as u64 + 64 * 1024);
    }

    #[test]
    fn the_written_part_is_kept() {
        let new = New::file("kept");
        let direct = new.direct();
        direct.write_at(CHUNK as u64 - 1, &[1; 3]).unwrap();
        // No file is that long.
        assert!(direct.write_at(u64::MAX - 1, &[1]).is_err());
        assert!(direct.write_at(u64::MAX, &[1]).is_err());
        direct.keep().unwrap();
        let bytes = std::fs::read(&new.path).unwrap();
        assert_eq!((bytes.len(), &bytes[CHUNK - 2..]), (CHUNK + 2, &[0, 1, 1, 1][..]));
    }

    #[test]
    fn files_without_blocks_are_not_written_directly() {
        let memory = Path::new("/dev/shm").join(format!("kjump-direct-{}", std::process::id()));
        if let Ok(file) = File::create_new(&memory) {
            // If tmpfs supports direct writes, they must work.
            let direct = Direct::start(&memory, &file).unwrap();
            std::fs::remove_file(&memory).unwrap();
            assert!(direct.is_none_or(|direct| direct.finish(5).is_ok()));
        }
        let null = File::options().write(true).open("/dev/null").unwrap();
        assert!(Direct::start(Path::new("/dev/null"), &null).is_ok_and(|direct| direct.is_none()));
    }
}
