//! Writing images. Sizes first: the kept pages are counted, so every place but those of compressed pages is known before a
//! byte is written. Then workers take units of pages, in any order, and reserve space for what became of them.

mod crew;
mod elf;
mod kdump;
mod pages;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::codec::{Codec, Effort};
use crate::select::Level;
use crate::{Error, Result, WriteAt};

pub use elf::write_elf;
pub use kdump::write_kdump;

/// How to write an image.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// How pages are compressed.
    pub effort: Effort,
    /// The dump level, for the header and for whether pages of zeros are stored.
    pub level: Level,
    /// How many threads work, at least one.
    pub threads: usize,
}

/// What was written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Bytes of the file, holes included.
    pub length: u64,
    /// Pages of zeros that share one place, or have none.
    pub zero_pages: u64,
    /// Pages by how they were stored.
    pub stored: BTreeMap<Codec, u64>,
    /// Pages that could not be read, and have no place.
    pub missing: u64,
    /// Why the first of them could not be read.
    pub trouble: Option<String>,
}

impl Written {
    fn add(&mut self, other: Self) {
        self.zero_pages += other.zero_pages;
        self.missing += other.missing;
        for (codec, count) in other.stored {
            *self.stored.entry(codec).or_default() += count;
        }
        self.trouble = self.trouble.take().or(other.trouble);
    }
}

/// How far the writing has come; another thread may look, and may ask to stop.
#[derive(Debug, Default)]
pub struct Progress {
    pages: AtomicU64,
    stop: AtomicBool,
}

impl Progress {
    /// How many pages are done.
    #[must_use]
    pub fn pages(&self) -> u64 {
        self.pages.load(Ordering::Relaxed)
    }

    /// Asks the writer to stop at the next unit.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    fn add(&self, pages: usize) {
        self.pages.fetch_add(pages as u64, Ordering::Relaxed);
    }

    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

fn put(out: &impl WriteAt, offset: u64, bytes: &[u8]) -> Result<()> {
    out.write_at(offset, bytes).map_err(|source| Error::Write { offset, size: bytes.len(), source })
}
