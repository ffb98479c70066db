// SPDX-License-Identifier: GPL-2.0-only
//! The kernel's page frames, for images.

use abi::device::Range;
use kimage::{Frames, Zone};
use phys::{Pfn, PhysRange};

use crate::blocks;
use crate::kernel::{self, Array};
use crate::ranges::Ranges;

/// Page frames of an image: destinations claimed from the kernel first, then whatever it has.
pub struct KernelFrames {
    claims: Option<Claims>,
    blocks: FreeBlocks,
    pauses: u32,
    /// A signal ended the load: there was no lack of memory.
    pub interrupted: bool,
}

/// Frames handed out between two pauses.
const FRAMES_PER_PAUSE: u32 = 256;

impl KernelFrames {
    /// For an image of so many pages. Without `claims` no destination is taken away from whoever uses it.
    pub fn new(pages: u64, claims: Option<Claims>) -> Self {
        Self { claims, blocks: FreeBlocks::new(pages), pauses: 0, interrupted: false }
    }

    /// The image has all it needs.
    pub fn end_taking(&mut self) {
        self.claims = None;
        self.blocks = FreeBlocks::new(0);
    }

    /// The bytes of a frame of this image.
    pub fn bytes(&mut self, frame: Pfn) -> &mut [u8; 4096] {
        // SAFETY: the frame is the image's own, and the borrow of `self` is the only way to it.
        unsafe { &mut *kernel::virtual_address(frame).cast() }
    }

    /// False when the load is to end.
    pub fn pause_now_and_then(&mut self) -> bool {
        self.pauses += 1;
        if self.pauses >= FRAMES_PER_PAUSE {
            self.pauses = 0;
            self.interrupted |= !kernel::pause();
        }
        !self.interrupted
    }
}

impl Frames for KernelFrames {
    fn alloc(&mut self, order: u32, zone: Zone) -> Option<Pfn> {
        if !self.pause_now_and_then() {
            return None;
        }
        if order == 0
            && zone == Zone::Any
            && let Some(claims) = &mut self.claims
            && let Some(frame) = claims.next()
        {
            return Some(frame);
        }
        if order == 0 && zone == Zone::Any {
            return self.blocks.next();
        }
        kernel::alloc(order, zone == Zone::Below4GiB)
    }

    fn free(&mut self, frame: Pfn) {
        // SAFETY: kimage gives back what it was given, once.
        unsafe { blocks::free(frame) };
    }

    fn words(&mut self, frame: Pfn) -> &mut [u64; 512] {
        // SAFETY: as for `bytes`.
        unsafe { &mut *kernel::virtual_address(frame).cast() }
    }
}

/// Free memory in blocks as large as the kernel has them, handed out page by page: so neighbouring pages of an image
/// mostly wait in neighbouring frames, and where they wait is told in few words.
struct FreeBlocks {
    /// Pages that are still needed.
    needed: u64,
    /// The size that the kernel had last.
    order: u32,
    /// Taken and not handed out: physical addresses.
    ready: Range,
}

impl FreeBlocks {
    fn new(needed: u64) -> Self {
        Self { needed, order: LARGEST_BLOCK, ready: Range { start: 0, end: 0 } }
    }

    fn next(&mut self) -> Option<Pfn> {
        if self.ready.start == self.ready.end {
            self.take_block()?;
        }
        self.needed = self.needed.saturating_sub(1);
        let frame = Pfn::starting_at(self.ready.start);
        self.ready.start += phys::PAGE_SIZE;
        frame
    }

    /// Takes a block, of pages that are needed all.
    fn take_block(&mut self) -> Option<()> {
        self.order = self.order.min(self.needed.max(1).ilog2());
        let block = loop {
            match kernel::alloc(self.order, false) {
                Some(block) => break block,
                None => self.order = self.order.checked_sub(1)?,
            }
        };
        let start = block.address().get();
        self.ready = Range { start, end: start + (phys::PAGE_SIZE << self.order) };
        Some(())
    }
}

/// 4 MiB, what Linux hands out in one piece.
const LARGEST_BLOCK: u32 = 10;

impl Drop for FreeBlocks {
    fn drop(&mut self) {
        give_back(self.ready);
    }
}

/// Claims destinations from the kernel, as large pieces as it gives, and hands out their frames one by one.
pub struct Claims {
    wanted: Array<Range>,
    ram: Ranges,
    /// The wanted range at hand, and where in it to go on.
    index: usize,
    position: u64,
    /// Claimed and not handed out: physical addresses.
    ready: Range,
}

/// Most to claim at once: the kernel clears all of it without a pause.
const LARGE: u64 = 32 << 20;

impl Claims {
    /// Will try these ranges as far as they are System RAM.
    pub fn new(wanted: Array<Range>, ram: Ranges) -> Self {
        Self { wanted, ram, index: 0, position: 0, ready: Range { start: 0, end: 0 } }
    }

    fn next(&mut self) -> Option<Pfn> {
        while self.ready.start == self.ready.end {
            self.claim_more()?;
        }
        let frame = Pfn::starting_at(self.ready.start);
        self.ready.start += phys::PAGE_SIZE;
        frame
    }

    /// Tries a large part of the range at hand, or else its next piece. `None` at the end.
    fn claim_more(&mut self) -> Option<()> {
        let range = *self.wanted.get(self.index)?;
        let start = range.start + self.position;
        if start >= range.end {
            self.index += 1;
            self.position = 0;
            return Some(());
        }
        let [large, end] = [LARGE, blocks::BLOCK].map(|size| (start / size + 1).saturating_mul(size).min(range.end));
        let is_large = self.position == 0 || start % LARGE == 0;
        if is_large && self.claim(start, large) {
            return Some(());
        }
        if is_large && end == large || !self.claim(start, end) {
            self.position = end - range.start;
        }
        Some(())
    }

    fn claim(&mut self, start: u64, end: u64) -> bool {
        let Ok(range) = PhysRange::from_bytes(start, end - start) else {
            return false;
        };
        let claimed = self.ram.set().contains_range(range) && blocks::claim(range);
        if claimed {
            self.ready = Range { start, end };
            self.position += end - start;
        }
        claimed
    }
}

impl Drop for Claims {
    fn drop(&mut self) {
        give_back(self.ready);
    }
}

/// Gives frames back that were taken and handed out to nobody.
fn give_back(frames: Range) {
    for address in (frames.start..frames.end).step_by(4096) {
        if let Some(frame) = Pfn::starting_at(address) {
            // SAFETY: taken, and handed out to nobody.
            unsafe { blocks::free(frame) };
        }
    }
}
