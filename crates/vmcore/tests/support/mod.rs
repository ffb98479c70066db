//! A file in memory, for tests that write.
#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "not every test uses everything; a test that cannot go on has failed"
)]

use std::io;
use std::sync::Mutex;

use vmcore::WriteAt;

/// A file in memory.
pub(crate) struct MemoryFile {
    bytes: Mutex<Vec<u8>>,
    /// Bytes it has room for.
    room: usize,
}

impl MemoryFile {
    /// An empty file with room for everything.
    pub(crate) fn new() -> Self {
        Self::with_room(usize::MAX)
    }

    /// An empty file that is full after this many bytes.
    pub(crate) fn with_room(room: usize) -> Self {
        Self { bytes: Mutex::default(), room }
    }

    /// The bytes of the file.
    pub(crate) fn bytes(self) -> Vec<u8> {
        self.bytes.into_inner().unwrap()
    }
}

impl WriteAt for MemoryFile {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let from = usize::try_from(offset).unwrap();
        if from + bytes.len() > self.room {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let mut file = self.bytes.lock().unwrap();
        let length = file.len().max(from + bytes.len());
        file.resize(length, 0);
        file[from..from + bytes.len()].copy_from_slice(bytes);
        Ok(())
    }
}
