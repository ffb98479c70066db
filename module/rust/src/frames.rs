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
    pauses: u32,
    /// A signal ended the load: there was no lack of memory.
    pub interrupted: bool,
}

/// Frames handed out between two pauses.
const FRAMES_PER_PAUSE: u32 = 256;

impl KernelFrames {
    /// Without `claims` no destination is taken away from whoever uses it.
    pub fn new(claims: Option<Claims>) -> Self {
        Self { claims, pauses: 0, interrupted: false }
    }

    /// Nothing more will be claimed.
    pub fn end_claims(&mut self) {
        self.claims = None;
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
        while self.ready.start < self.ready.end {
            if let Some(frame) = Pfn::starting_at(self.ready.start) {
                // SAFETY: claimed, and handed out to nobody.
                unsafe { blocks::free(frame) };
            }
            self.ready.start += phys::PAGE_SIZE;
        }
    }
}
