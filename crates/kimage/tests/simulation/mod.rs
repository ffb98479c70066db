//! A machine of a few page frames whose allocator hands them out in whatever order a chooser says.
#![allow(dead_code, reason = "every test takes what it needs")]
#![allow(clippy::unwrap_used, reason = "a simulation that cannot go on fails its test")]

use kimage::model::Memory;
use kimage::{Frames, Rules, Segment, Zone};
use phys::{Pfn, PhysAddr, PhysRange, RangeSet};

pub(crate) const WORDS: usize = 512;

/// Decides what the allocator does next.
pub(crate) trait Chooser {
    /// Picks one of `options` possibilities.
    fn choose(&mut self, options: usize) -> usize;
}

/// Who has a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// The allocator, which may hand it out.
    Free,
    /// The image.
    Image,
    /// The running kernel, all the time.
    Kernel,
}

/// Frames from `base` on, with contents, and who has them.
pub(crate) struct Machine<C> {
    base: u64,
    pub(crate) owners: Vec<Owner>,
    contents: Vec<[u64; WORDS]>,
    pub(crate) chooser: C,
    may_fail: bool,
}

impl<C: Chooser> Machine<C> {
    /// A machine whose every frame holds words of its own.
    pub(crate) fn new(base: u64, owners: Vec<Owner>, may_fail: bool, chooser: C) -> Self {
        let contents = (0..owners.len() as u64).map(own_words).collect();
        Self { base, owners, contents, chooser, may_fail }
    }

    fn index(&self, frame: Pfn) -> usize {
        let index = usize::try_from(frame.number() - self.base).unwrap();
        assert!(index < self.owners.len(), "{frame:?} is no frame of this machine");
        index
    }

    pub(crate) fn frame(&self, index: usize) -> Pfn {
        Pfn::new(self.base + index as u64).unwrap()
    }

    pub(crate) fn ram(&self) -> PhysRange {
        PhysRange::new(Pfn::new(self.base).unwrap(), self.owners.len() as u64).unwrap()
    }

    /// All of memory, to compare it later.
    pub(crate) fn snapshot(&self) -> Vec<[u64; WORDS]> {
        self.contents.clone()
    }

    /// The contents of any frame, whoever has it.
    pub(crate) fn peek(&self, frame: Pfn) -> &[u64; WORDS] {
        &self.contents[self.index(frame)]
    }

    /// Changes any word, whoever has it.
    pub(crate) fn poke(&mut self, frame: Pfn, word: usize, value: u64) {
        let index = self.index(frame);
        self.contents[index][word] = value;
    }

    fn runs(&self, order: u32, zone: Zone) -> Vec<usize> {
        let pages = 1_usize << order;
        let fits = |&index: &usize| {
            let number = self.base + index as u64;
            let low = zone == Zone::Any || number + pages as u64 <= 0x10_0000;
            let run = self.owners.get(index..index + pages);
            number.is_multiple_of(pages as u64)
                && low
                && run.is_some_and(|run| run.iter().all(|&owner| owner == Owner::Free))
        };
        (0..self.owners.len()).filter(fits).collect()
    }
}

fn own_words(frame: u64) -> [u64; WORDS] {
    core::array::from_fn(|word| 0xf0f0_0000_0000_0000 | frame << 16 | word as u64)
}

impl<C: Chooser> Frames for Machine<C> {
    fn alloc(&mut self, order: u32, zone: Zone) -> Option<Pfn> {
        let runs = self.runs(order, zone);
        let options = runs.len() + usize::from(self.may_fail);
        let choice = if options == 0 { 0 } else { self.chooser.choose(options) };
        let first = *runs.get(choice)?;
        self.owners[first..first + (1 << order)].fill(Owner::Image);
        Some(self.frame(first))
    }

    fn free(&mut self, frame: Pfn) {
        let index = self.index(frame);
        assert_eq!(self.owners[index], Owner::Image, "{frame:?} was not handed out");
        self.owners[index] = Owner::Free;
    }

    fn words(&mut self, frame: Pfn) -> &mut [u64; WORDS] {
        let index = self.index(frame);
        assert_eq!(self.owners[index], Owner::Image, "{frame:?} was not handed out");
        &mut self.contents[index]
    }
}

impl<C: Chooser> Memory for Machine<C> {
    fn word(&mut self, address: PhysAddr) -> u64 {
        let word = usize::try_from(address.offset() / 8).unwrap();
        self.peek(address.frame())[word]
    }

    fn copy(&mut self, destination: Pfn, source: Pfn) {
        let (to, from) = (self.index(destination), self.index(source));
        self.contents[to] = self.contents[from];
    }

    fn exchange(&mut self, destination: Pfn, source: Pfn) {
        let (to, from) = (self.index(destination), self.index(source));
        self.contents.swap(to, from);
    }
}

/// Always the first possibility.
pub(crate) struct First;

impl Chooser for First {
    fn choose(&mut self, _: usize) -> usize {
        0
    }
}

/// Tries every sequence of choices, one run after the other.
#[derive(Default)]
pub(crate) struct Every {
    /// The choices of this run so far and how many possibilities each had.
    taken: Vec<(usize, usize)>,
    next: usize,
}

impl Every {
    /// Runs the test once for every sequence of choices; returns how many there were.
    pub(crate) fn sequence(mut test: impl FnMut(&mut Self)) -> u64 {
        let mut every = Self::default();
        for runs in 1.. {
            every.next = 0;
            test(&mut every);
            while every.taken.pop_if(|&mut (choice, options)| choice + 1 == options).is_some() {}
            match every.taken.last_mut() {
                Some((choice, _)) => *choice += 1,
                None => return runs,
            }
        }
        unreachable!()
    }
}

impl Chooser for &mut Every {
    fn choose(&mut self, options: usize) -> usize {
        if self.next == self.taken.len() {
            self.taken.push((0, options));
        }
        let (choice, before) = self.taken[self.next];
        assert_eq!(before, options, "the same choices must lead to the same question");
        self.next += 1;
        choice
    }
}

/// Rules that allow one range.
pub(crate) fn within(range: &PhysRange) -> Rules<'_> {
    Rules { allowed: RangeSet::of(range), entry: None, max_pages: u64::MAX }
}

/// A segment of whole pages.
pub(crate) fn segment(index: u32, first: Pfn, pages: u64) -> Segment {
    Segment::new(index, 0, pages * phys::PAGE_SIZE, first.address().get(), pages * phys::PAGE_SIZE)
}
