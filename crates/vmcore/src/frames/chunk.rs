//! The frames of one chunk of memory: as runs if they are few, else as bits.

use std::sync::Arc;

/// Words of a chunk's bits.
const WORDS: usize = 512;

/// Frames of a chunk.
pub(crate) const CHUNK: usize = 64 * WORDS;

/// With more runs than this, bits take less memory.
const MOST_RUNS: usize = 512;

/// Frame `n` is bit `n % 64` of word `n / 64`.
type Words = [u64; WORDS];

/// A run of frames, `from..to`. No run is empty, and runs of a list neither touch nor overlap.
type Run = (u16, u16);

/// The frames of a chunk. Copies share their memory until one of them changes.
#[derive(Clone)]
pub(crate) enum Chunk {
    Empty,
    Run(Run),
    Runs(Arc<Vec<Run>>),
    Bits(Arc<Words>),
}

impl Chunk {
    pub(crate) fn run(from: usize, to: usize) -> Self {
        if from < to { Self::Run((narrow(from), narrow(to))) } else { Self::Empty }
    }

    fn of_runs(mut runs: Vec<Run>) -> Self {
        runs.shrink_to_fit();
        match runs.as_slice() {
            [] => Self::Empty,
            [run] => Self::Run(*run),
            _ if runs.len() <= MOST_RUNS => Self::Runs(Arc::new(runs)),
            _ => {
                let mut words = [0; WORDS];
                runs.iter().for_each(|(from, to)| set(&mut words, (*from).into(), (*to).into(), true));
                Self::Bits(Arc::new(words))
            }
        }
    }

    fn of_words(words: &Words) -> Self {
        let mut runs = runs_in(words);
        let few: Vec<Run> =
            runs.by_ref().take(MOST_RUNS).map(|(from, to)| (narrow(from), narrow(to))).collect();
        if runs.next().is_none() { Self::of_runs(few) } else { Self::Bits(Arc::new(*words)) }
    }

    /// Makes changes and look-ups of single frames fast.
    pub(crate) fn expand(&mut self) {
        if !matches!(self, Self::Bits(_)) {
            *self = Self::Bits(Arc::new(self.words()));
        }
    }

    /// Makes it take as little memory as possible.
    pub(crate) fn shrink(&mut self) {
        if let Self::Bits(words) = self {
            let small = Self::of_words(words);
            if !matches!(small, Self::Bits(_)) {
                *self = small;
            }
        }
    }

    fn words(&self) -> Words {
        let mut words = [0; WORDS];
        match self {
            Self::Bits(bits) => words = **bits,
            _ => self.few().iter().for_each(|(from, to)| set(&mut words, (*from).into(), (*to).into(), true)),
        }
        words
    }

    /// The runs, unless they are stored as bits.
    fn few(&self) -> &[Run] {
        match self {
            Self::Run(run) => std::slice::from_ref(run),
            Self::Runs(runs) => runs,
            Self::Empty | Self::Bits(_) => &[],
        }
    }

    /// All runs, `from..to`.
    pub(crate) fn runs(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        let bits = match self {
            Self::Bits(words) => Some(runs_in(words)),
            _ => None,
        };
        let few = self.few().iter().map(|(from, to)| (usize::from(*from), usize::from(*to)));
        few.chain(bits.into_iter().flatten())
    }

    pub(crate) fn has(&self, frame: usize) -> bool {
        match self {
            Self::Bits(words) => words[frame / 64] >> (frame % 64) & 1 == 1,
            _ => self.next(frame) == Some(frame),
        }
    }

    /// The first frame at or after `from`.
    pub(crate) fn next(&self, from: usize) -> Option<usize> {
        if let Self::Bits(words) = self {
            return next_in(words, from, 0);
        }
        let few = self.few();
        let (start, _) = few.get(few.partition_point(|(_, to)| usize::from(*to) <= from))?;
        Some(from.max((*start).into()))
    }

    pub(crate) fn count(&self) -> u64 {
        self.count_below(CHUNK)
    }

    pub(crate) fn count_below(&self, at: usize) -> u64 {
        if let Self::Bits(words) = self {
            let whole: u64 = words[..at / 64].iter().map(|word| u64::from(word.count_ones())).sum();
            let part = words.get(at / 64).map_or(0, |word| word & !(u64::MAX << (at % 64)));
            return whole + u64::from(part.count_ones());
        }
        let below = |(from, to): &Run| usize::from(*to).min(at).saturating_sub((*from).into()) as u64;
        self.few().iter().map(below).sum()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.next(0).is_none()
    }

    pub(crate) fn is_full(&self) -> bool {
        matches!(self, Self::Run((0, to)) if usize::from(*to) == CHUNK)
    }

    /// The frame after the last one; 0 if it is empty.
    pub(crate) fn end(&self) -> usize {
        match self {
            Self::Bits(words) => words
                .iter()
                .rposition(|word| *word != 0)
                .map_or(0, |high| (high + 1) * 64 - words[high].leading_zeros() as usize),
            _ => self.few().last().map_or(0, |(_, to)| (*to).into()),
        }
    }

    /// Sets or clears frames; returns how many changed.
    pub(crate) fn change(&mut self, from: usize, to: usize, present: bool) -> u64 {
        if from >= to {
            return 0;
        }
        let before = self.count_below(to) - self.count_below(from);
        let changed = if present { (to - from) as u64 - before } else { before };
        if changed == 0 {
            return 0;
        }
        match self {
            Self::Bits(words) => set(Arc::make_mut(words), from, to, present),
            _ if present => *self = self.with(&Self::run(from, to)),
            _ => *self = self.without(&Self::run(from, to)),
        }
        changed
    }

    /// The frames of either.
    pub(crate) fn with(&self, other: &Self) -> Self {
        if self.is_full() || other.is_empty() {
            return self.clone();
        }
        if other.is_full() { other.clone() } else { self.combined(other, |own, theirs| own | theirs) }
    }

    /// The frames of both.
    pub(crate) fn within(&self, other: &Self) -> Self {
        if other.is_full() {
            return self.clone();
        }
        if self.is_full() { other.clone() } else { self.combined(other, |own, theirs| own & theirs) }
    }

    /// The frames that are not in the other one.
    pub(crate) fn without(&self, other: &Self) -> Self {
        if other.is_empty() {
            return self.clone();
        }
        self.combined(other, |own, theirs| own & !theirs)
    }

    /// Combines two chunks bit by bit. Two zeros must give zero.
    fn combined(&self, other: &Self, by: fn(u64, u64) -> u64) -> Self {
        if matches!(self, Self::Bits(_)) || matches!(other, Self::Bits(_)) {
            let mut words = self.words();
            words.iter_mut().zip(&other.words()).for_each(|(word, theirs)| *word = by(*word, *theirs));
            return Self::of_words(&words);
        }
        Self::of_runs(swept(self.few(), other.few(), by))
    }

    /// The bits in the order of the dump format: frame `n` is bit `n % 8` of byte `n / 8`.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        self.words().iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Self {
        let mut words = [0; WORDS];
        for (word, bytes) in words.iter_mut().zip(bytes.chunks(8)) {
            let mut array = [0; 8];
            array[..bytes.len()].copy_from_slice(bytes);
            *word = u64::from_le_bytes(array);
        }
        Self::of_words(&words)
    }

    /// Bytes that it takes apart from itself.
    pub(crate) fn memory(&self) -> u64 {
        let bytes = match self {
            Self::Empty | Self::Run(_) => 0,
            Self::Runs(runs) => 40 + size_of::<Run>() * runs.capacity(),
            Self::Bits(_) => 16 + size_of::<Words>(),
        };
        bytes as u64
    }
}

/// The most bytes that [`Chunk::memory`] returns for this number of frames.
pub(crate) fn most_memory(frames: u64) -> u64 {
    let runs = 40 + frames * size_of::<Run>() as u64;
    runs.min(16 + size_of::<Words>() as u64)
}

impl PartialEq for Chunk {
    fn eq(&self, other: &Self) -> bool {
        self.runs().eq(other.runs())
    }
}

impl Eq for Chunk {}

/// Combines two lists of runs, border by border.
fn swept(own: &[Run], theirs: &[Run], by: fn(u64, u64) -> u64) -> Vec<Run> {
    let borders = |runs: &[Run]| runs.iter().flat_map(|(from, to)| [*from, *to]).collect::<Vec<_>>();
    let (own, theirs) = (borders(own), borders(theirs));
    let (mut own, mut theirs) = (own.into_iter().peekable(), theirs.into_iter().peekable());
    let (mut in_own, mut in_theirs, mut open) = (0, 0, None);
    let mut runs = Vec::new();
    while let Some(at) = own.peek().copied().into_iter().chain(theirs.peek().copied()).min() {
        if own.next_if_eq(&at).is_some() {
            in_own = !in_own;
        }
        if theirs.next_if_eq(&at).is_some() {
            in_theirs = !in_theirs;
        }
        match (open, by(in_own, in_theirs) & 1 == 1) {
            (None, true) => open = Some(at),
            (Some(from), false) => {
                runs.push((from, at));
                open = None;
            }
            _ => {}
        }
    }
    runs
}

fn set(words: &mut Words, from: usize, to: usize, present: bool) {
    let mut at = from;
    while at < to {
        let count = (64 - at % 64).min(to - at);
        let mask = (u64::MAX >> (64 - count)) << (at % 64);
        let word = &mut words[at / 64];
        *word = if present { *word | mask } else { *word & !mask };
        at += count;
    }
}

/// The first frame at or after `from` whose bit, combined with `with` by exclusive or, is 1.
fn next_in(words: &Words, from: usize, with: u64) -> Option<usize> {
    let mut index = from / 64;
    let mut word = (words.get(index)? ^ with) & (u64::MAX << (from % 64));
    while word == 0 {
        index += 1;
        word = words.get(index)? ^ with;
    }
    Some(index * 64 + word.trailing_zeros() as usize)
}

fn runs_in(words: &Words) -> impl Iterator<Item = (usize, usize)> + '_ {
    let mut at = 0;
    std::iter::from_fn(move || {
        let from = next_in(words, at, 0)?;
        at = next_in(words, from, u64::MAX).unwrap_or(CHUNK);
        Some((from, at))
    })
}

/// A number of frames within a chunk.
#[expect(clippy::cast_possible_truncation, reason = "at most CHUNK, which has 16 bits")]
fn narrow(frames: usize) -> u16 {
    frames as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_is_bits_only_while_it_has_many_runs() {
        let mut chunk = Chunk::run(0, CHUNK);
        assert!(chunk.is_full() && chunk.memory() == 0);
        for n in 0..MOST_RUNS {
            assert_eq!(chunk.change(n * 3 + 1, n * 3 + 2, false), 1);
        }
        assert!(matches!(chunk, Chunk::Bits(_)));
        assert_eq!(chunk.runs().count(), MOST_RUNS + 1);
        assert_eq!(chunk.change(0, 3, true), 1);
        chunk.shrink();
        assert!(matches!(chunk, Chunk::Runs(_)));
        let other = chunk.clone();
        chunk.expand();
        assert!(chunk == other && matches!(chunk, Chunk::Bits(_)));
        assert_eq!(chunk.change(0, CHUNK, true), MOST_RUNS as u64 - 1);
        chunk.shrink();
        assert!(chunk.is_full());
    }

    #[test]
    fn a_chunk_takes_little_space_in_a_set() {
        assert_eq!(size_of::<Chunk>(), 16);
    }
}
