// SPDX-License-Identifier: GPL-2.0-only
//! Page frames by their address: taken away from whoever uses them, and given back one by one.
//!
//! The kernel clears a range only if nothing is bound to its place in all the blocks that the range touches, and the
//! frames of images are. So blocks are claimed whole, and what is not wanted of one waits here for the next segment or
//! image, until all of the block has been given back.

use phys::{PAGE_SIZE, Pfn, PhysRange};

use crate::kernel::{self, Boxed, Locked};

/// What the kernel moves its pages by, in bytes: `pageblock_nr_pages` (glue/memory.c asserts it).
pub const BLOCK: u64 = 2 << 20;
const PAGES: u64 = BLOCK / PAGE_SIZE;
/// Where the kernel's zone for ISA DMA ends (`MAX_DMA_PFN`).
const LOW_END: u64 = 16 << 20;

static BLOCKS: Locked<Blocks> = Locked::new(Blocks { first: None });

/// Takes these frames, which are System RAM, away from whoever uses them. Each is given back by [`free`].
pub fn claim(range: PhysRange) -> bool {
    let mut blocks = BLOCKS.lock();
    blocks.take_spare(range)
        || blocks.claim_whole(range)
        || kernel::claim_range(range)
        || range.end() <= LOW_END && kernel::claim_low(range)
}

/// Gives one frame back.
///
/// # Safety
/// The frame came from [`claim`] or [`kernel::alloc`], and nobody uses it.
pub unsafe fn free(frame: Pfn) {
    if !BLOCKS.lock().make_spare(frame.address().get()) {
        // SAFETY: it is in no block; the rest is the caller's promise.
        unsafe { kernel::free(frame) };
    }
}

/// Blocks with frames to spare, or with frames that are not all given back; in no order.
struct Blocks {
    first: Option<Boxed<Block>>,
}

impl Blocks {
    /// Whether all of the range was to spare in one block.
    fn take_spare(&mut self, range: PhysRange) -> bool {
        self.find(range.start().get()).is_some_and(|block| block.take(range))
    }

    /// Claims all blocks that a range touches. Only the first and the last can have frames to spare.
    fn claim_whole(&mut self, range: PhysRange) -> bool {
        let [first, last] = [range.start().get(), range.end() - 1].map(|address| address - address % BLOCK);
        let Ok(whole) = PhysRange::from_bytes(first, last + BLOCK - first) else {
            return false;
        };
        let Some(head) = Block::without(first, range) else {
            return false;
        };
        let tail = (last != first).then(|| Block::without(last, range));
        if tail.as_ref().is_some_and(Option::is_none) || !kernel::claim_range(whole) {
            return false;
        }
        self.add(head);
        if let Some(tail) = tail.flatten() {
            self.add(tail);
        }
        true
    }

    /// Whether the frame is one of a block; the block goes back to the kernel with the last of its frames.
    fn make_spare(&mut self, address: u64) -> bool {
        let Some(block) = self.find(address) else {
            return false;
        };
        block.give_back(address);
        if block.is_spare() {
            let start = block.start;
            self.remove(start);
            // SAFETY: all of its frames came from one claim of the block, and nobody has any of them.
            unsafe { kernel::free_block(start) };
        }
        true
    }

    fn find(&mut self, address: u64) -> Option<&mut Block> {
        let mut at = self.first.as_deref_mut();
        while let Some(block) = at {
            if block.start == address - address % BLOCK {
                return Some(block);
            }
            at = block.next.as_deref_mut();
        }
        None
    }

    fn add(&mut self, mut block: Boxed<Block>) {
        block.next = self.first.take();
        self.first = Some(block);
    }

    fn remove(&mut self, start: u64) {
        let mut link = &mut self.first;
        while let Some(mut block) = link.take() {
            if block.start == start {
                *link = block.next.take();
                return;
            }
            link = &mut link.insert(block).next;
        }
    }
}

/// All of its frames are the module's: those of images, and the spare ones.
struct Block {
    start: u64,
    /// A bit for each frame.
    spare: [u64; WORDS],
    next: Option<Boxed<Block>>,
}

const WORDS: usize = (PAGES / 64) as usize;

impl Block {
    /// The block at `start`, of which the frames of `used` are not spare.
    fn without(start: u64, used: PhysRange) -> Option<Boxed<Self>> {
        let mut block = Boxed::new(Self { start, spare: [u64::MAX; WORDS], next: None }).ok()?;
        for frame in block.frames().filter(|&address| used.start().get() <= address && address < used.end()) {
            block.mark(frame, false);
        }
        Some(block)
    }

    /// Takes the range, if all of it is here and spare.
    fn take(&mut self, range: PhysRange) -> bool {
        let wanted = || (range.start().get()..range.end()).step_by(PAGE_SIZE as usize);
        let here = range.end() <= self.start + BLOCK && wanted().all(|address| self.has_spare(address));
        if here {
            wanted().for_each(|address| self.mark(address, false));
        }
        here
    }

    fn give_back(&mut self, address: u64) {
        self.mark(address, true);
    }

    fn is_spare(&self) -> bool {
        self.spare == [u64::MAX; WORDS]
    }

    fn frames(&self) -> impl Iterator<Item = u64> + use<> {
        (self.start..self.start + BLOCK).step_by(PAGE_SIZE as usize)
    }

    fn has_spare(&self, address: u64) -> bool {
        let (word, bit) = place(address);
        self.spare.get(word).is_some_and(|bits| bits & bit != 0)
    }

    fn mark(&mut self, address: u64, spare: bool) {
        let (word, bit) = place(address);
        if let Some(bits) = self.spare.get_mut(word) {
            *bits = if spare { *bits | bit } else { *bits & !bit };
        }
    }
}

/// Where a frame's bit is: the word's number, and the bit in it.
const fn place(address: u64) -> (usize, u64) {
    let page = address % BLOCK / PAGE_SIZE;
    ((page / 64) as usize, 1 << (page % 64))
}
