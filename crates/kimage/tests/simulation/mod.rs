//! A machine of a few page frames whose allocator hands them out in any order that a chooser picks.
#![allow(dead_code, unused_imports, reason = "each test uses some of it")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a simulation that cannot go on fails its test")]

mod choosers;
mod hostile;
mod story;

pub(crate) use choosers::{Chooser, Every, Randomly, Script};
pub(crate) use hostile::{Outcome, hostile_load};
pub(crate) use story::{fill, segment, slots, story, within};

use kimage::model::Memory;
use kimage::{Frames, Zone};
use phys::{Pfn, PhysAddr, PhysRange};

pub(crate) const WORDS: usize = 512;

/// The first frame number beyond 4 GiB.
pub(crate) const FOUR_GIB: u64 = 0x10_0000;

/// The owner of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// The allocator, which may hand it out.
    Free,
    /// The image.
    Image,
    /// The running kernel, all the time.
    Kernel,
}

/// Frames from `base` on, their contents, and their owners.
pub(crate) struct Machine<C> {
    base: u64,
    pub(crate) owners: Vec<Owner>,
    contents: Vec<[u64; WORDS]>,
    pub(crate) chooser: C,
    /// The total of frames handed out.
    pub(crate) handed_out: u64,
}

impl<C: Chooser> Machine<C> {
    /// A machine in which every frame has unique contents.
    pub(crate) fn new(base: u64, owners: Vec<Owner>, chooser: C) -> Self {
        let contents = (base..).take(owners.len()).map(|frame| words_of(0xf0f0, frame)).collect();
        Self { base, owners, contents, chooser, handed_out: 0 }
    }

    pub(crate) fn frame(&self, index: usize) -> Pfn {
        Pfn::new(self.base + index as u64).unwrap()
    }

    /// All of its memory.
    pub(crate) fn ram(&self) -> PhysRange {
        PhysRange::new(self.frame(0), self.owners.len() as u64).unwrap()
    }

    /// The contents of all frames, to compare them later.
    pub(crate) fn snapshot(&self) -> Vec<[u64; WORDS]> {
        self.contents.clone()
    }

    /// The contents of any frame, whatever its owner.
    pub(crate) fn peek(&self, frame: Pfn) -> &[u64; WORDS] {
        &self.contents[self.index(frame)]
    }

    /// Changes any word, whatever its owner, and returns the old one.
    pub(crate) fn poke(&mut self, frame: Pfn, word: usize, value: u64) -> u64 {
        let index = self.index(frame);
        std::mem::replace(&mut self.contents[index][word], value)
    }

    pub(crate) fn owner(&self, frame: Pfn) -> Owner {
        self.owners[self.index(frame)]
    }

    fn index(&self, frame: Pfn) -> usize {
        let index = frame.number().checked_sub(self.base).and_then(|index| usize::try_from(index).ok());
        match index {
            Some(index) if index < self.owners.len() => index,
            _ => panic!("{frame:?} is not a frame of this machine"),
        }
    }

    /// Where 2^`order` free frames of the zone start.
    fn runs(&self, order: u32, zone: Zone) -> Vec<usize> {
        let pages = 1_usize << order;
        let fits = |&index: &usize| {
            let number = self.base + index as u64;
            let run = self.owners.get(index..index + pages);
            number.is_multiple_of(pages as u64)
                && (zone == Zone::Any || number + pages as u64 <= FOUR_GIB)
                && run.is_some_and(|run| run.iter().all(|&owner| owner == Owner::Free))
        };
        (0..self.owners.len()).filter(fits).collect()
    }
}

/// Words that identify a page and the offset in it. Offsets take Miri too long.
fn words_of(tag: u64, frame: u64) -> [u64; WORDS] {
    let first = (tag << 48) | (frame << 16);
    if cfg!(miri) { [first; WORDS] } else { std::array::from_fn(|word| first | word as u64) }
}

impl<C: Chooser> Frames for Machine<C> {
    fn alloc(&mut self, order: u32, zone: Zone) -> Option<Pfn> {
        let runs = self.runs(order, zone);
        let first = *runs.get(self.chooser.choose(&runs)?)?;
        self.owners[first..first + (1 << order)].fill(Owner::Image);
        self.handed_out += 1 << order;
        Some(self.frame(first))
    }

    fn free(&mut self, frame: Pfn) {
        assert_eq!(self.owner(frame), Owner::Image, "{frame:?} was not handed out");
        let index = self.index(frame);
        self.owners[index] = Owner::Free;
    }

    fn words(&mut self, frame: Pfn) -> &mut [u64; WORDS] {
        assert_eq!(self.owner(frame), Owner::Image, "{frame:?} was not handed out");
        let index = self.index(frame);
        &mut self.contents[index]
    }
}

impl<C: Chooser> Memory for Machine<C> {
    fn word(&mut self, address: PhysAddr) -> u64 {
        self.peek(address.frame())[usize::try_from(address.offset() / 8).unwrap()]
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
