//! Writing images. Sizes come first: the kept pages are counted, so every place except those of
//! compressed pages is known before a byte is written. Then workers take units of pages, in any
//! order, and reserve space for their compressed data.

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
use crate::{CHUNK_FRAMES, Error, FrameSet, Result, WriteAt};

pub use elf::{most_loads, write_elf};
pub use flat::write_flat;
pub use flattened::Flattener;
pub use kdump::write_kdump;
pub use rearrange::{Rearranged, rearrange};

/// Settings for writing an image.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// How pages are compressed.
    pub compression: Compression,
    /// The dump level, for the header and for whether pages of zeros are stored.
    pub level: Level,
    /// Number of threads, at least one.
    pub threads: usize,
    /// Whether pages were missing in the source: then the dump is marked as incomplete.
    pub incomplete: bool,
}

/// How pages are compressed.
#[derive(Clone, Copy, Debug)]
pub enum Compression {
    /// All with the same effort.
    Fixed(Effort),
    /// With an effort that adapts: less where compressing takes most of the time, more where
    /// writing does. It is one of raw, LZO and some levels of Zstandard; the dump's header names
    /// the last. Time is measured by the caller's clock: nanoseconds since any moment, never
    /// decreasing.
    Adaptive(fn() -> u64),
}

impl Compression {
    /// The codec that the header names; pages may have others.
    fn codec(self) -> Codec {
        match self {
            Self::Fixed(effort) => effort.codec,
            Self::Adaptive(_) => Codec::Zstd,
        }
    }
}

/// The pages of an image that are written.
#[derive(Clone, Copy, Debug)]
pub struct Pages<'a> {
    /// All pages that are kept.
    pub kept: &'a FrameSet,
    /// Sets of pages to write first, in this order: those that readers need most, so that a dump
    /// that is cut short may still be useful.
    pub first: &'a [&'a FrameSet],
    /// If the file is one of a split set: its range of frames, which has all of `kept`, and the
    /// pages that the whole set keeps.
    pub part: Option<(u64, u64, &'a FrameSet)>,
    /// Statistics for the dump's manifest.
    pub statistics: &'a BTreeMap<String, u64>,
}

impl Pages<'_> {
    /// The second bitmap's frames: each file of a split set has those of the whole set.
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

/// Divides frames among `count` files of a split set, with about the same number of kept pages in
/// each; returns the frames of each. They start at multiples of 64, or of a bitmap's block if that
/// is fine enough, because crash counts the pages before a part by whole words of the bitmap.
#[must_use]
pub fn parts(kept: &FrameSet, end: u64, count: u64) -> Vec<(u64, u64)> {
    const WORD: u64 = 64;
    let count = count.max(1);
    let each = kept.count().div_ceil(count).max(1);
    let step = if each >= 4 * CHUNK_FRAMES { CHUNK_FRAMES } else { WORD };
    let (mut starts, mut before) = (vec![0], 0);
    for run in kept.runs() {
        let pages = run.end - run.start;
        while (starts.len() as u64) < count && before + pages > starts.len() as u64 * each {
            let ideal = run.start + (starts.len() as u64 * each - before);
            let rounded = (ideal + step / 2) / step * step;
            starts.push(rounded.clamp(*starts.last().unwrap_or(&0), end));
        }
        before += pages;
    }
    // If there are fewer pages than files, the last files have none.
    starts.resize(usize::try_from(count).unwrap_or(starts.len()), end);
    let ends = starts.iter().skip(1).copied().chain([end]);
    starts.iter().copied().zip(ends).collect()
}

/// The result of writing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Bytes of the file, including holes.
    pub length: u64,
    /// Pages of zeros, which share one place or have none.
    pub zero_pages: u64,
    /// Pages by codec.
    pub stored: BTreeMap<Codec, u64>,
    /// Pages that could not be read and are missing.
    pub missing: u64,
    /// Why the first of them could not be read.
    pub trouble: Option<String>,
}

impl Written {
    /// Adds the result of another file of a split set, or of another thread.
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

/// Progress of writing, which another thread may read, or stop.
#[derive(Debug, Default)]
pub struct Progress {
    pages: AtomicU64,
    stop: AtomicBool,
}

impl Progress {
    /// Number of pages done.
    #[must_use]
    pub fn pages(&self) -> u64 {
        self.pages.load(Ordering::Relaxed)
    }

    /// Stops the writer at the next unit.
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
        assert_eq!(parts(&kept, 2000, 2), [(0, 64), (64, 2000)]);
        assert_eq!(parts(&kept, 2000, 1), [(0, 2000)]);
        assert_eq!(parts(&FrameSet::new(), 50, 3), [(0, 50), (50, 50), (50, 50)]);
        let many = parts(&kept, 2000, 7);
        assert!(many.windows(2).all(|pair| pair[0].1 == pair[1].0));
        assert_eq!((many.len(), many[0].0, many[6].1), (7, 0, 2000));
        assert!(many.iter().all(|(from, _)| from.is_multiple_of(64)), "{many:?}");
        kept.insert(0, 2_000_000);
        let large = parts(&kept, 2_000_000, 3);
        assert!(large.iter().all(|(from, _)| from.is_multiple_of(CHUNK_FRAMES)), "{large:?}");
        assert!(large.iter().all(|(from, to)| (to - from).abs_diff(666_667) < CHUNK_FRAMES), "{large:?}");
    }
}
