//! A machine of a few page frames whose kernel can fail at every request.
#![allow(dead_code, unused_imports, reason = "each test uses some of it")]
#![allow(clippy::unwrap_used, reason = "a simulation that cannot go on fails its test")]
#![allow(clippy::cast_possible_truncation, reason = "a world of a few frames")]

mod choices;

pub(crate) use choices::Choices;

use std::cell::{RefCell, RefMut};
use std::collections::BTreeSet;
use std::ops::Range;

use claims::ranges::Ranges;
use claims::{Blocks, Claims, Memory, Supply};
use phys::{Pfn, PhysRange};

/// Frames of a block in this world, and of the most that is claimed at once.
pub(crate) const BLOCK: usize = 4;
pub(crate) const LARGE: usize = 8;

/// The state of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    /// In the page allocator.
    Free,
    /// In use by the kernel, which can move the contents to a free frame.
    Movable,
    /// In use by the kernel, and bound to its place.
    Bound,
    /// Given to the module.
    Taken,
}

/// The machine.
pub(crate) struct World<'w> {
    pub(crate) frames: RefCell<Vec<Frame>>,
    /// Taken frames that a supply handed out.
    handed_out: RefCell<BTreeSet<u64>>,
    blocks: RefCell<Blocks<Machine<'w>>>,
    choices: &'w Choices,
    /// Blocks that went back whole.
    pub(crate) whole_blocks: RefCell<u64>,
}

/// A world as the module sees it.
#[derive(Clone, Copy)]
pub(crate) struct Machine<'w>(pub(crate) &'w World<'w>);

pub(crate) type Source<'w> = Supply<Machine<'w>, Vec<PhysRange>>;

impl<'w> World<'w> {
    pub(crate) fn new(frames: &[Frame], choices: &'w Choices) -> Self {
        Self {
            frames: RefCell::new(frames.to_vec()),
            handed_out: RefCell::default(),
            blocks: RefCell::new(Blocks::new()),
            choices,
            whole_blocks: RefCell::default(),
        }
    }

    /// Every frame that was ever given to the module is back, and the others are where they were.
    pub(crate) fn assert_all_back(&self, before: &[Frame]) {
        assert_eq!(*self.handed_out.borrow(), BTreeSet::new());
        assert!(self.blocks.borrow().is_empty(), "a block without frames in use is kept");
        let frames = self.frames.borrow();
        let count = |frames: &[Frame], wanted| frames.iter().filter(|&&frame| frame == wanted).count();
        for state in [Frame::Free, Frame::Movable, Frame::Bound, Frame::Taken] {
            assert_eq!(count(&frames, state), count(before, state), "{state:?}: {frames:?}");
        }
        let bound = |frames: &[Frame]| frames.iter().map(|&frame| frame == Frame::Bound).collect::<Vec<_>>();
        assert_eq!(bound(&frames), bound(before));
    }

    fn set(&self, range: Range<usize>, from: &[Frame], to: Frame) {
        for frame in &mut self.frames.borrow_mut()[range] {
            assert!(from.contains(frame), "{frame:?} becomes {to:?}");
            *frame = to;
        }
    }

    fn assert_unused(&self, frames: Range<usize>) {
        let handed_out = self.handed_out.borrow();
        assert!(
            frames.into_iter().all(|frame| !handed_out.contains(&(frame as u64))),
            "a frame in use goes back"
        );
    }

    /// Moves the contents of a range to free frames elsewhere. False if there are not enough.
    fn move_away(&self, range: Range<usize>) -> bool {
        let mut frames = self.frames.borrow_mut();
        let movable: Vec<_> = range.clone().filter(|&frame| frames[frame] == Frame::Movable).collect();
        let elsewhere: Vec<_> = (0..frames.len())
            .filter(|frame| !range.contains(frame) && frames[*frame] == Frame::Free)
            .collect();
        if elsewhere.len() < movable.len() {
            return false;
        }
        for (&from, &to) in movable.iter().zip(&elsewhere) {
            frames[from] = Frame::Free;
            frames[to] = Frame::Movable;
        }
        true
    }
}

impl<'w> Machine<'w> {
    /// A supply for an image of this many pages that claims these ranges, all of the machine being
    /// RAM.
    pub(crate) fn supply(self, pages: u64, wanted: &[PhysRange]) -> Source<'w> {
        let ram = range(0, self.0.frames.borrow().len());
        self.supply_of_ram(pages, wanted, ram)
    }

    /// The same where only a part of the machine is RAM.
    pub(crate) fn supply_of_ram(self, pages: u64, wanted: &[PhysRange], ram: PhysRange) -> Source<'w> {
        let claims = Claims::new(self, wanted.to_vec(), Ranges::new(vec![ram]));
        Supply::new(self, pages, Some(claims))
    }

    /// Takes the next frame from a supply, or 2^`order` neighbouring ones.
    pub(crate) fn take(self, supply: &mut Source<'w>, order: u32) -> Option<Pfn> {
        let first = if order == 0 { supply.next_frame()? } else { supply.run(order, false)? };
        for number in first.number()..first.number() + (1 << order) {
            assert_eq!(self.0.frames.borrow()[number as usize], Frame::Taken);
            assert!(self.0.handed_out.borrow_mut().insert(number), "{number} is handed out twice");
        }
        Some(first)
    }

    pub(crate) fn give_back(self, supply: &Source<'w>, frame: Pfn) {
        assert!(self.0.handed_out.borrow_mut().remove(&frame.number()));
        supply.give_back(frame);
    }
}

pub(crate) fn range(first: usize, pages: usize) -> PhysRange {
    PhysRange::new(Pfn::new(first as u64).unwrap(), pages as u64).unwrap()
}

fn indexes(range: PhysRange) -> Range<usize> {
    range.first().number() as usize..range.end_number() as usize
}

impl<'w> Memory for Machine<'w> {
    const BLOCK: u64 = BLOCK as u64;
    const LARGE: u64 = LARGE as u64;
    const LARGEST_ORDER: u32 = 2;
    const LOW_END: u64 = BLOCK as u64;

    type Boxed<T> = Box<T>;
    type Shared = RefMut<'w, Blocks<Self>>;

    /// The lowest or the highest run of free frames.
    fn alloc(self, order: u32, _: bool) -> Option<Pfn> {
        let pages = 1 << order;
        let runs: Vec<usize> = {
            let frames = self.0.frames.borrow();
            (0..frames.len() / pages)
                .map(|run| run * pages)
                .filter(|&run| frames[run..run + pages].iter().all(|&frame| frame == Frame::Free))
                .collect()
        };
        let mut outcomes: Vec<_> = runs.first().into_iter().chain(runs.last()).map(Some).collect();
        outcomes.dedup();
        outcomes.push(None);
        let run = *outcomes[self.0.choices.pick(outcomes.len())]?;
        self.0.set(run..run + pages, &[Frame::Free], Frame::Taken);
        Pfn::new(run as u64)
    }

    /// As the kernel: nothing in the blocks that the range touches may be bound to its place.
    fn claim_range(self, range: PhysRange) -> bool {
        let wanted = indexes(range);
        let touched = wanted.start / BLOCK * BLOCK..wanted.end.next_multiple_of(BLOCK);
        let bound = |frame: &Frame| matches!(frame, Frame::Bound | Frame::Taken);
        let refused = self.0.frames.borrow().get(touched).is_none_or(|frames| frames.iter().any(bound));
        if refused || !self.0.choices.succeeds() || !self.0.move_away(wanted.clone()) {
            return false;
        }
        self.0.set(wanted, &[Frame::Free], Frame::Taken);
        true
    }

    fn claim_low(self, range: PhysRange) -> bool {
        assert!(range.end_number() <= Self::LOW_END);
        let wanted = indexes(range);
        let free = self.0.frames.borrow()[wanted.clone()].iter().all(|&frame| frame == Frame::Free);
        if free && self.0.choices.succeeds() {
            self.0.set(wanted, &[Frame::Free], Frame::Taken);
            return true;
        }
        false
    }

    fn free(self, frame: Pfn) {
        let frames = indexes(PhysRange::single(frame));
        self.0.assert_unused(frames.clone());
        self.0.set(frames, &[Frame::Taken], Frame::Free);
    }

    fn free_block(self, first: Pfn) {
        let frames = indexes(PhysRange::new(first, Self::BLOCK).unwrap());
        self.0.assert_unused(frames.clone());
        self.0.set(frames, &[Frame::Taken], Frame::Free);
        *self.0.whole_blocks.borrow_mut() += 1;
    }

    fn boxed<T>(self, value: T) -> Option<Box<T>> {
        self.0.choices.succeeds().then(|| Box::new(value))
    }

    fn blocks(self) -> Self::Shared {
        self.0.blocks.borrow_mut()
    }
}
