//! Lists written word by word, with more variety than programs build.

use std::collections::BTreeSet;

use abi::page_list::{DESTINATION, DONE, INDIRECTION, SOURCE};
use anyhow::{Context as _, Result};
use phys::{Pfn, PhysRange};

use crate::arena::{Arena, WORDS};
use crate::kind::Kind;
use crate::random::Random;

/// Writes a list of this kind into the arena and returns its head.
pub(crate) fn list(arena: &mut Arena, kind: Kind, random: &mut Random) -> Result<u64> {
    if kind == Kind::Empty && random.once_in(2) {
        return Ok(DONE);
    }
    let mut pool = Pool { range: arena.range(), free: arena.frames().collect() };
    let most = 2 + arena.range().pages() / 128;
    let frames: Vec<Pfn> = (0..1 + random.below(most)).filter_map(|_| pool.any(random)).collect();
    let movable: Vec<Pfn> = pool.free.iter().copied().collect();
    let mut list = Writer::new(arena, frames).context("no free frame for a list")?;
    let pieces = if kind == Kind::Empty { 0 } else { 1 + random.below(most * 8) };
    for _ in 0..pieces {
        for word in piece(kind, &mut pool, &movable, random) {
            list.push(word, random);
        }
    }
    Ok(list.finish())
}

/// A destination and its source pages.
fn piece(kind: Kind, pool: &mut Pool, movable: &[Pfn], random: &mut Random) -> Vec<u64> {
    match kind {
        Kind::Empty | Kind::Kimage => Vec::new(),
        Kind::Scattered => words(&pool.run(1, random), &pool.run(1, random)),
        Kind::Runs => run(pool, random),
        Kind::OwnSources => own_sources(pool, random),
        Kind::Disordered => disordered(movable, random),
        Kind::Mixed => {
            let kinds = [Kind::Scattered, Kind::Runs, Kind::OwnSources, Kind::Disordered];
            piece(random.pick(&kinds).unwrap_or(Kind::Runs), pool, movable, random)
        }
    }
}

/// A run of pages with a run of sources.
fn run(pool: &mut Pool, random: &mut Random) -> Vec<u64> {
    let destinations = pool.run(1 + random.below(64), random);
    let sources = pool.run(destinations.len() as u64, random);
    words(&destinations, &sources)
}

/// A run of pages, some of which are in place already.
fn own_sources(pool: &mut Pool, random: &mut Random) -> Vec<u64> {
    let destinations = pool.run(1 + random.below(32), random);
    let source = |own: &Pfn| if random.once_in(2) { *own } else { pool.any(random).unwrap_or(*own) };
    let sources: Vec<Pfn> = destinations.iter().map(source).collect();
    words(&destinations, &sources)
}

/// Pages that several words name: the result depends on the order.
fn disordered(movable: &[Pfn], random: &mut Random) -> Vec<u64> {
    let sources: Vec<Pfn> = (0..1 + random.below(12)).filter_map(|_| random.pick(movable)).collect();
    let neighbours = |first: &Pfn| {
        let run = (0..sources.len() as u64).map_while(|number| first.checked_add(number));
        run.filter(|frame| movable.binary_search(frame).is_ok()).count() == sources.len()
    };
    let destination = (0..8).filter_map(|_| random.pick(movable)).find(neighbours);
    destination.map(|first| words(&[first], &sources)).unwrap_or_default()
}

/// The words for the first destination and these sources, which go to it and the pages after it.
/// Empty without sources.
fn words(destinations: &[Pfn], sources: &[Pfn]) -> Vec<u64> {
    let (Some(first), Some(_)) = (destinations.first(), sources.first()) else { return Vec::new() };
    let sources = sources.iter().map(|frame| frame.address().get() | SOURCE);
    [first.address().get() | DESTINATION].into_iter().chain(sources).collect()
}

/// Unused frames of the arena.
struct Pool {
    range: PhysRange,
    free: BTreeSet<Pfn>,
}

impl Pool {
    fn any(&mut self, random: &mut Random) -> Option<Pfn> {
        self.run(1, random).first().copied()
    }

    /// Takes up to this number of adjacent frames, from a random free frame on.
    fn run(&mut self, length: u64, random: &mut Random) -> Vec<Pfn> {
        let place = self.range.first().checked_add(random.below(self.range.pages()));
        let behind = place.and_then(|place| self.free.range(place..).next());
        let Some(start) = behind.or_else(|| self.free.first()).copied() else { return Vec::new() };
        let neighbours = (0..length).map_while(|number| start.checked_add(number));
        neighbours.take_while(|frame| self.free.remove(frame)).collect()
    }
}

/// Writes words one after the other into list frames that link to each other.
struct Writer<'a> {
    arena: &'a mut Arena,
    /// Empty list frames.
    spare: Vec<Pfn>,
    first: Pfn,
    frame: Pfn,
    place: usize,
}

/// The last word of a list frame must be a link or the end.
const LAST: usize = WORDS - 1;

impl<'a> Writer<'a> {
    fn new(arena: &'a mut Arena, mut spare: Vec<Pfn>) -> Option<Self> {
        let first = spare.pop()?;
        Some(Self { arena, spare, first, frame: first, place: 0 })
    }

    /// Writes a word, unless the frames are full. At random, a word without a tag, which has no
    /// effect, precedes it, or the frame is left before it is full.
    fn push(&mut self, word: u64, random: &mut Random) {
        if random.once_in(64) && self.place < LAST {
            self.put(0);
        }
        if (self.place == LAST || random.once_in(128))
            && let Some(next) = self.spare.pop()
        {
            self.put(next.address().get() | INDIRECTION);
            (self.frame, self.place) = (next, 0);
        }
        if self.place < LAST {
            self.put(word);
        }
    }

    fn finish(mut self) -> u64 {
        self.put(DONE);
        self.first.address().get() | INDIRECTION
    }

    fn put(&mut self, word: u64) {
        self.arena.page(self.frame)[self.place] = word;
        self.place += 1;
    }
}
