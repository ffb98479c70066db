//! Sets of page frames, as large as memory and as sparse.

mod chunk;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use phys::{FRAME_END, Pfn};

pub(crate) use chunk::{CHUNK, Chunk};

/// Frames in a `Chunk`: 128 MiB of memory, one section of x86-64's sparse memory model.
pub const CHUNK_FRAMES: u64 = CHUNK as u64;

/// Bytes that a chunk takes in the map of a set.
const IN_MAP: u64 = 40;

/// A set of page frames. It takes memory only where it has frames: for each 128 MiB, 40 bytes if
/// they are contiguous, at most 4 KiB otherwise, and only 40 bytes if they are shared with a copy
/// of the set.
#[derive(Clone, Default)]
pub struct FrameSet {
    chunks: BTreeMap<u64, Chunk>,
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
            let new = Chunk::run(start, start + within(end - at));
            match self.chunks.entry(number) {
                Entry::Vacant(place) => {
                    place.insert(new);
                }
                Entry::Occupied(mut own) => *own.get_mut() = own.get().with(&new),
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
            removed += chunk.change(within(start), within(end), false);
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
        self.chunks.values().map(Chunk::count).sum()
    }

    /// The number of the frame after the highest one; 0 if the set is empty.
    #[must_use]
    pub fn end(&self) -> u64 {
        let last = self.chunks.iter().rev().find(|(_, chunk)| !chunk.is_empty());
        last.map_or(0, |(number, chunk)| number * CHUNK_FRAMES + chunk.end() as u64)
    }

    /// Bytes of memory that the set takes. What it shares with copies counts in each.
    #[must_use]
    pub fn memory(&self) -> u64 {
        self.chunks.values().map(|chunk| IN_MAP + chunk.memory()).sum()
    }

    /// Bytes of memory that a set of some of these frames takes at most.
    #[must_use]
    pub fn most_memory(&self) -> u64 {
        let most = |chunk: &Chunk| IN_MAP + chunk::most_memory(chunk.count());
        self.chunks.values().map(most).sum()
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
        self.runs().flatten().filter_map(Pfn::new)
    }

    /// Runs of neighbouring frames as `from..to`, from the lowest to the highest.
    pub fn runs(&self) -> impl Iterator<Item = std::ops::Range<u64>> + '_ {
        let runs = self.chunks.iter().flat_map(|(number, chunk)| {
            let base = number * CHUNK_FRAMES;
            chunk.runs().map(move |(from, to)| base + from as u64..base + to as u64)
        });
        let mut runs = runs.peekable();
        std::iter::from_fn(move || {
            let mut run = runs.next()?;
            while let Some(next) = runs.next_if(|next| next.start == run.end) {
                run.end = next.end;
            }
            Some(run)
        })
    }

    /// The frames of this set that are not in the other one.
    #[must_use]
    pub fn without(&self, other: &Self) -> Self {
        let mut left = Self::new();
        for (number, chunk) in &self.chunks {
            match other.chunks.get(number) {
                Some(taken) => left.put_chunk(*number, chunk.without(taken)),
                None => left.put_chunk(*number, chunk.clone()),
            }
        }
        left
    }

    /// The frames that are in both sets.
    #[must_use]
    pub fn within(&self, other: &Self) -> Self {
        let mut both = Self::new();
        for (number, chunk) in &self.chunks {
            if let Some(other) = other.chunks.get(number) {
                both.put_chunk(*number, chunk.within(other));
            }
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
        let chunks = self.chunks.range(first..end).map(|(number, chunk)| (*number, chunk.clone()));
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
                Entry::Occupied(mut own) => *own.get_mut() = own.get().with(&theirs),
            }
        }
    }

    /// How many frames of its chunk precede the frame.
    fn rank_in_chunk(&self, frame: Pfn) -> u64 {
        let (number, at) = split(frame.number());
        self.chunks.get(&number).map_or(0, |chunk| chunk.count_below(at))
    }

    pub(crate) fn chunks(&self) -> impl Iterator<Item = (u64, &Chunk)> {
        self.chunks.iter().map(|(number, chunk)| (*number, chunk))
    }

    pub(crate) fn chunks_mut(&mut self) -> impl Iterator<Item = (u64, &mut Chunk)> {
        self.chunks.iter_mut().map(|(number, chunk)| (*number, chunk))
    }

    pub(crate) fn put_chunk(&mut self, number: u64, chunk: Chunk) {
        if !chunk.is_empty() && number < FRAME_END / CHUNK_FRAMES {
            self.chunks.insert(number, chunk);
        }
    }
}

impl PartialEq for FrameSet {
    fn eq(&self, other: &Self) -> bool {
        self.runs().eq(other.runs())
    }
}

impl Eq for FrameSet {}

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

    /// Bytes of memory that they take.
    pub(crate) fn memory(&self) -> u64 {
        (self.0.capacity() * size_of::<(u64, u64)>()) as u64
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
        assert!(Chunk::from_bytes(&chunk.to_bytes()) == *chunk);
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
            prop_assert!(set.memory() <= set.most_memory());
            let ranks = Ranks::of(&set);
            for (rank, frame) in set.iter().enumerate().step_by(997) {
                prop_assert_eq!(ranks.rank(&set, frame), Some(rank as u64));
            }
            prop_assert_eq!(set.next(35_000).map(Pfn::number), model.range(35_000..).next().copied());
        }

        /// Sets with many short runs and with few long ones, of which chunks differ in their form.
        #[test]
        fn sets_are_combined_frame_by_frame(
            long in prop::collection::vec((0_u64..70_000, 0_u64..40_000), 0..3),
            step in 2_u64..200,
            ends in (0_u64..70_000, 0_u64..70_000),
        ) {
            let (mut a, mut b) = (FrameSet::new(), FrameSet::new());
            long.iter().for_each(|(from, count)| a.insert(*from, from + count));
            (0..70_000).step_by(usize::try_from(step).unwrap()).for_each(|frame| b.insert(frame, frame + 1));
            let frames = |set: &FrameSet| set.iter().map(Pfn::number).collect::<BTreeSet<_>>();
            let (of_a, of_b) = (frames(&a), frames(&b));
            for (one, other, own, theirs) in [(&a, &b, &of_a, &of_b), (&b, &a, &of_b, &of_a)] {
                prop_assert!(frames(&one.within(other)).iter().eq(own.intersection(theirs)));
                prop_assert!(frames(&one.without(other)).iter().eq(own.difference(theirs)));
                let mut both = one.clone();
                both.unite(other.clone());
                prop_assert!(frames(&both).iter().eq(own.union(theirs)));
                prop_assert!(both.without(other) == one.without(other));
                let part = one.between(ends.0, ends.1);
                prop_assert!(part.iter().all(|frame| own.contains(&frame.number())));
                let inside = own.iter().filter(|frame| (ends.0..ends.1).contains(*frame)).count();
                prop_assert_eq!(part.count(), inside as u64);
            }
        }
    }
}
