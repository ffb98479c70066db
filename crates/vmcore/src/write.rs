//! Writing images. Sizes first: the kept pages are counted, so every place but those of compressed pages is known before a
//! byte is written. Then workers take units of pages, in any order, and reserve space for what became of them.

mod crew;
mod elf;
mod flat;
mod flattened;
mod kdump;
mod pace;
mod pages;
mod rearrange;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::codec::{Codec, Effort};
use crate::select::Level;
use crate::{Error, FrameSet, Result, WriteAt};

pub use elf::write_elf;
pub use flat::write_flat;
pub use flattened::Flattener;
pub use kdump::write_kdump;
pub use rearrange::rearrange;

/// How to write an image.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// How pages are compressed.
    pub compression: Compression,
    /// The dump level, for the header and for whether pages of zeros are stored.
    pub level: Level,
    /// How many threads work, at least one.
    pub threads: usize,
    /// Whether pages were missing in the source already: the dump is marked as incomplete then, whatever it has.
    pub incomplete: bool,
}

/// What compresses pages, and how hard.
#[derive(Clone, Copy, Debug)]
pub enum Compression {
    /// All of them alike.
    Alike(Effort),
    /// From unit to unit as it pays: less where compressing is what takes long, harder where writing is. Of raw, LZO and some
    /// levels of Zstandard; the dump's header names the last. It is measured by this clock of the caller's: nanoseconds
    /// since whatever moment, never fewer than before.
    AsItPays(fn() -> u64),
}

impl Compression {
    /// The codec that the header names, whatever that of each page is.
    fn codec(self) -> Codec {
        match self {
            Self::Alike(effort) => effort.codec,
            Self::AsItPays(_) => Codec::Zstd,
        }
    }
}

/// What of an image is written.
#[derive(Clone, Copy, Debug)]
pub struct Pages<'a> {
    /// All pages that are kept.
    pub kept: &'a FrameSet,
    /// Those that readers cannot do without come first, in this order: a dump that is cut short may still be of use.
    pub first: &'a [&'a FrameSet],
    /// If the file is one of a split set: its frames, of which `kept` has no others, and all pages that the set keeps.
    pub part: Option<(u64, u64, &'a FrameSet)>,
    /// What is to be told in the dump about how it came about.
    pub statistics: &'a BTreeMap<String, u64>,
}

impl Pages<'_> {
    /// What the second bitmap has: of a split set, every file has all of it.
    fn bitmap(&self) -> &FrameSet {
        self.part.map_or(self.kept, |(.., all)| all)
    }

    /// All pages in the order in which they are written.
    fn in_order(&self) -> Vec<FrameSet> {
        let mut sets = Vec::new();
        let mut rest = self.kept.clone();
        for first in self.first {
            let set = rest.within(first);
            rest = rest.without(&set);
            sets.push(set);
        }
        sets.push(rest);
        sets
    }
}

/// Divides frames among so many files of a split set, so that each gets about as many kept pages: the frames of each.
#[must_use]
pub fn parts(kept: &FrameSet, end: u64, count: u64) -> Vec<(u64, u64)> {
    let count = count.max(1);
    let each = kept.count().div_ceil(count).max(1);
    let (mut parts, mut from, mut held) = (Vec::new(), 0, 0);
    for mut run in kept.runs() {
        while held + (run.end - run.start) >= each && (parts.len() as u64) < count - 1 {
            run.start += each - held;
            parts.push((from, run.start));
            (from, held) = (run.start, 0);
        }
        held += run.end - run.start;
    }
    parts.push((from, end.max(from)));
    // Where there are fewer pages than files, the last ones have none.
    parts.resize(usize::try_from(count).unwrap_or(parts.len()), (end, end));
    parts
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
    /// Adds what was written into another file of a split set, or by another thread.
    pub fn add(&mut self, other: Self) {
        self.length += other.length;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_have_about_as_many_pages_and_every_frame() {
        let mut kept = FrameSet::new();
        kept.insert(10, 100);
        kept.insert(1000, 1010);
        assert_eq!(parts(&kept, 2000, 2), [(0, 60), (60, 2000)]);
        assert_eq!(parts(&kept, 2000, 1), [(0, 2000)]);
        assert_eq!(parts(&FrameSet::new(), 50, 3), [(0, 50), (50, 50), (50, 50)]);
        let many = parts(&kept, 2000, 7);
        assert!(many.windows(2).all(|pair| pair[0].1 == pair[1].0));
        assert_eq!((many.len(), many[0].0, many[6].1), (7, 0, 2000));
    }
}
