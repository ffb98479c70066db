//! Sets of page frames, as large as memory and as sparse.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::{Arc, LazyLock};

use phys::{FRAME_END, Pfn};

/// Words in a [`Chunk`].
const WORDS: usize = 512;

/// Frames in a `Chunk`: 128 MiB of memory, one section of x86-64's sparse memory model.
pub const CHUNK_FRAMES: u64 = CHUNK as u64;

/// The same, as an index within a chunk.
pub(crate) const CHUNK: usize = 64 * WORDS;

/// One bit per frame, the lowest frame in the lowest bit of the first word.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Chunk([u64; WORDS]);

impl Chunk {
    fn empty() -> Arc<Self> {
        Arc::new(Self([0; WORDS]))
    }

    /// The chunk of all frames. There is only one, so that contiguous memory takes next to none.
    fn full() -> Arc<Self> {
        static FULL: LazyLock<Arc<Chunk>> = LazyLock::new(|| Arc::new(Chunk([u64::MAX; WORDS])));
        Arc::clone(&FULL)
    }

    /// Whether this is the chunk of [`Chunk::full`].
    fn is_shared_full(self: &Arc<Self>) -> bool {
        Arc::ptr_eq(self, &Self::full())
    }

    pub(crate) fn has(&self, frame: usize) -> bool {
        self.0[frame / 64] >> (frame % 64) & 1 == 1
    }

    /// Sets or clears frames; returns how many changed.
    pub(crate) fn change(&mut self, from: usize, to: usize, present: bool) -> u64 {
        let mut changed = 0;
        let mut at = from;
        while at < to {
            let count = (64 - at % 64).min(to - at);
            let mask = (u64::MAX >> (64 - count)) << (at % 64);
            let word = &mut self.0[at / 64];
            let new = if present { *word | mask } else { *word & !mask };
            changed += u64::from((new ^ *word).count_ones());
            *word = new;
            at += count;
        }
        changed
    }

    pub(crate) fn count(&self) -> u64 {
        self.0.iter().map(|word| u64::from(word.count_ones())).sum()
    }

    fn count_below(&self, at: usize) -> u64 {
        let whole: u64 = self.0[..at / 64].iter().map(|word| u64::from(word.count_ones())).sum();
        let part = self.0.get(at / 64).map_or(0, |word| word & !(u64::MAX << (at % 64)));
        whole + u64::from(part.count_ones())
    }

    /// The first frame at or after `from`.
    pub(crate) fn next(&self, from: usize) -> Option<usize> {
        let mut index = from / 64;
        let mut word = self.0.get(index)? & (u64::MAX << (from % 64));
        while word == 0 {
            index += 1;
            word = *self.0.get(index)?;
        }
        Some(index * 64 + word.trailing_zeros() as usize)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }

    /// The bits in the order of the dump format: frame `n` is bit `n % 8` of byte `n / 8`.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        self.0.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Arc<Self> {
        let mut chunk = Self([0; WORDS]);
        for (word, bytes) in chunk.0.iter_mut().zip(bytes.chunks(8)) {
            let mut array = [0; 8];
            array[..bytes.len()].copy_from_slice(bytes);
            *word = u64::from_le_bytes(array);
        }
        if chunk.0.iter().all(|word| *word == u64::MAX) { Self::full() } else { Arc::new(chunk) }
    }
}

/// A set of page frames. It takes memory only where it has frames: 4 KiB for each 128 MiB, but next
/// to none for chunks that have all of their frames or are shared with a copy of the set.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct FrameSet {
    chunks: BTreeMap<u64, Arc<Chunk>>,
}

impl FrameSet {
    /// The empty set.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the frames numbered `from..to`; frames beyond physical memory are ignored.
    pub fn insert(&mut self, from: u64, to: u64) {
        let to = to.min(FRAME_END);
        let mut at = from;
        while at < to {
            let (number, start) = split(at);
            let end = to.min((number + 1) * CHUNK_FRAMES);
            if end - at == CHUNK_FRAMES {
                self.chunks.insert(number, Chunk::full());
            } else {
                let chunk = self.chunks.entry(number).or_insert_with(Chunk::empty);
                if !chunk.is_shared_full() {
                    Arc::make_mut(chunk).change(start, start + within(end - at), true);
                }
            }
            at = end;
        }
    }

    /// Removes the frames `from..to`; returns how many the set had.
    pub fn remove(&mut self, from: u64, to: u64) -> u64 {
        if from >= to {
            return 0;
        }
        let mut removed = 0;
        for (number, chunk) in self.chunks.range_mut(from / CHUNK_FRAMES..to.div_ceil(CHUNK_FRAMES)) {
            let base = number * CHUNK_FRAMES;
            let (start, end) = (from.max(base) - base, to.min(base + CHUNK_FRAMES).saturating_sub(base));
            removed += Arc::make_mut(chunk).change(within(start), within(end), false);
        }
        removed
    }

    /// Whether the frame is in the set.
    #[must_use]
    pub fn contains(&self, frame: Pfn) -> bool {
        let (number, at) = split(frame.number());
        self.chunks.get(&number).is_some_and(|chunk| chunk.has(at))
    }

    /// Number of frames.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.chunks.values().map(|chunk| chunk.count()).sum()
    }

    /// The number of the frame after the highest one; 0 if the set is empty.
    #[must_use]
    pub fn end(&self) -> u64 {
        let last = self.chunks.iter().rev().find(|(_, chunk)| !chunk.is_empty());
        last.map_or(0, |(number, chunk)| {
            let high = chunk.0.iter().rposition(|word| *word != 0).unwrap_or(0);
            number * CHUNK_FRAMES + (high as u64 + 1) * 64 - u64::from(chunk.0[high].leading_zeros())
        })
    }

    /// The first frame with this number or a higher one.
    #[must_use]
    pub fn next(&self, from: u64) -> Option<Pfn> {
        let (first, start) = split(from);
        let found = self.chunks.range(first..).find_map(|(number, chunk)| {
            let at = chunk.next(if *number == first { start } else { 0 })?;
            Some(number * CHUNK_FRAMES + at as u64)
        });
        found.and_then(Pfn::new)
    }

    /// Replaces `frames` by at most `most` frames, from the first with this number or a higher one.
    pub(crate) fn collect_from(&self, from: u64, most: usize, frames: &mut Vec<u64>) {
        frames.clear();
        let (first, start) = split(from);
        for (number, chunk) in self.chunks.range(first..) {
            let mut at = if *number == first { start } else { 0 };
            while frames.len() < most
                && let Some(frame) = chunk.next(at)
            {
                frames.push(number * CHUNK_FRAMES + frame as u64);
                at = frame + 1;
            }
            if frames.len() == most {
                return;
            }
        }
    }

    /// All frames, from the lowest to the highest.
    pub fn iter(&self) -> impl Iterator<Item = Pfn> + '_ {
        self.chunks.iter().flat_map(|(number, chunk)| {
            let base = number * CHUNK_FRAMES;
            let mut at = 0;
            std::iter::from_fn(move || {
                let frame = chunk.next(at)?;
                at = frame + 1;
                Pfn::new(base + frame as u64)
            })
        })
    }

    /// Runs of neighbouring frames as `from..to`, from the lowest to the highest.
    pub fn runs(&self) -> impl Iterator<Item = std::ops::Range<u64>> + '_ {
        let mut frames = self.iter().map(Pfn::number).peekable();
        std::iter::from_fn(move || {
            let from = frames.next()?;
            let mut to = from + 1;
            while frames.next_if_eq(&to).is_some() {
                to += 1;
            }
            Some(from..to)
        })
    }

    /// The frames of this set that are not in the other one.
    #[must_use]
    pub fn without(&self, other: &Self) -> Self {
        let mut left = self.clone();
        left.chunks.retain(|number, chunk| match other.chunks.get(number) {
            Some(taken) if taken.is_shared_full() => false,
            Some(taken) => {
                let words = &mut Arc::make_mut(chunk).0;
                words.iter_mut().zip(&taken.0).for_each(|(word, taken)| *word &= !taken);
                true
            }
            None => true,
        });
        left
    }

    /// The frames that are in both sets.
    #[must_use]
    pub fn within(&self, other: &Self) -> Self {
        let mut both = Self::new();
        for (number, chunk) in &self.chunks {
            let Some(other) = other.chunks.get(number) else { continue };
            let mut chunk = Arc::clone(chunk);
            if !other.is_shared_full() {
                let words = &mut Arc::make_mut(&mut chunk).0;
                words.iter_mut().zip(&other.0).for_each(|(word, other)| *word &= other);
            }
            both.put_chunk(*number, chunk);
        }
        both
    }

    /// The frames of this set in `from..to`.
    #[must_use]
    pub fn between(&self, from: u64, to: u64) -> Self {
        if from >= to {
            return Self::new();
        }
        let (first, end) = (from / CHUNK_FRAMES, to.div_ceil(CHUNK_FRAMES));
        let chunks = self.chunks.range(first..end).map(|(number, chunk)| (*number, Arc::clone(chunk)));
        let mut part = Self { chunks: chunks.collect() };
        part.remove(first * CHUNK_FRAMES, from);
        part.remove(to, end.saturating_mul(CHUNK_FRAMES));
        part
    }

    /// Adds the frames of another set.
    pub fn unite(&mut self, other: Self) {
        for (number, theirs) in other.chunks {
            match self.chunks.entry(number) {
                Entry::Vacant(place) => {
                    place.insert(theirs);
                }
                Entry::Occupied(mut own) if theirs.is_shared_full() => {
                    own.insert(theirs);
                }
                Entry::Occupied(own) if own.get().is_shared_full() => {}
                Entry::Occupied(mut own) => {
                    let words = &mut Arc::make_mut(own.get_mut()).0;
                    words.iter_mut().zip(&theirs.0).for_each(|(word, theirs)| *word |= theirs);
                }
            }
        }
    }

    /// How many frames of its chunk precede the frame.
    fn rank_in_chunk(&self, frame: Pfn) -> u64 {
        let (number, at) = split(frame.number());
        self.chunks.get(&number).map_or(0, |chunk| chunk.count_below(at))
    }

    pub(crate) fn chunks(&self) -> impl Iterator<Item = (u64, &Chunk)> {
        self.chunks.iter().map(|(number, chunk)| (*number, &**chunk))
    }

    pub(crate) fn chunks_mut(&mut self) -> impl Iterator<Item = (u64, &mut Chunk)> {
        self.chunks.iter_mut().map(|(number, chunk)| (*number, Arc::make_mut(chunk)))
    }

    pub(crate) fn put_chunk(&mut self, number: u64, chunk: Arc<Chunk>) {
        if !chunk.is_empty() && number < FRAME_END / CHUNK_FRAMES {
            self.chunks.insert(number, chunk);
        }
    }
}

/// Positions of frames in a set.
pub(crate) struct Ranks(Vec<(u64, u64)>);

impl Ranks {
    pub(crate) fn of(set: &FrameSet) -> Self {
        let mut before = 0;
        let count = |(number, chunk): (u64, &Chunk)| {
            let rank = before;
            before += chunk.count();
            (number, rank)
        };
        Self(set.chunks().map(count).collect())
    }

    /// The position of a frame in the set that these ranks were made of.
    pub(crate) fn rank(&self, set: &FrameSet, frame: Pfn) -> Option<u64> {
        if !set.contains(frame) {
            return None;
        }
        let number = frame.number() / CHUNK_FRAMES;
        let index = self.0.binary_search_by_key(&number, |(chunk, _)| *chunk).ok()?;
        let (_, before) = self.0[index];
        Some(before + set.rank_in_chunk(frame))
    }
}

impl std::fmt::Debug for FrameSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.runs()).finish()
    }
}

fn split(frame: u64) -> (u64, usize) {
    (frame / CHUNK_FRAMES, within(frame % CHUNK_FRAMES))
}

/// A number of frames within a chunk.
#[expect(clippy::cast_possible_truncation, reason = "at most CHUNK_FRAMES")]
fn within(frames: u64) -> usize {
    frames as usize
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_empty_set_has_no_end() {
        assert_eq!(FrameSet::new().end(), 0);
        assert_eq!(FrameSet::new().next(0), None);
    }

    #[test]
    fn the_bytes_of_a_chunk_have_the_lowest_frame_in_the_lowest_bit() {
        let mut set = FrameSet::new();
        set.insert(9, 11);
        let (_, chunk) = set.chunks().next().unwrap();
        assert_eq!(chunk.to_bytes()[..3], [0, 0b110, 0]);
        assert!(*Chunk::from_bytes(&chunk.to_bytes()) == *chunk);
    }

    #[test]
    fn frames_beyond_memory_are_ignored() {
        let mut set = FrameSet::new();
        set.insert(FRAME_END - 1, u64::MAX);
        assert_eq!((set.count(), set.end()), (1, FRAME_END));
    }

    #[test]
    fn sets_are_united_and_cut() {
        let (mut a, mut b) = (FrameSet::new(), FrameSet::new());
        a.insert(10, 20);
        a.insert(40_000, 40_010);
        b.insert(15, 25);
        b.insert(80_000, 80_001);
        assert!(a.within(&b).iter().map(Pfn::number).eq(15..20));
        a.unite(b);
        assert!(a.runs().eq([10..25, 40_000..40_010, 80_000..80_001]));
    }

    proptest! {
        #[test]
        fn a_frame_set_is_a_set(
            changes in prop::collection::vec((0_u64..70_000, 0_u64..40_000, any::<bool>()), 0..12),
        ) {
            let (mut set, mut model) = (FrameSet::new(), BTreeSet::new());
            for (from, count, present) in changes {
                if present {
                    set.insert(from, from + count);
                    model.extend(from..from + count);
                } else {
                    let before = model.len();
                    model.retain(|frame| !(from..from + count).contains(frame));
                    prop_assert_eq!(set.remove(from, from + count), (before - model.len()) as u64);
                }
            }
            prop_assert_eq!(set.count(), model.len() as u64);
            prop_assert_eq!(set.end(), model.last().map_or(0, |last| last + 1));
            prop_assert!(set.iter().map(Pfn::number).eq(model.iter().copied()));
            prop_assert!(set.runs().flatten().eq(model.iter().copied()));
            let ranks = Ranks::of(&set);
            for (rank, frame) in set.iter().enumerate().step_by(997) {
                prop_assert_eq!(ranks.rank(&set, frame), Some(rank as u64));
            }
            prop_assert_eq!(set.next(35_000).map(Pfn::number), model.range(35_000..).next().copied());
        }
    }
}
