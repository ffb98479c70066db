// SPDX-License-Identifier: GPL-2.0-only
//! The page frames of an image.

use claims::Supply;
use kimage::{Frames, Zone};
use phys::{Pfn, PhysRange};

use crate::array::Array;
use crate::kernel;
use crate::memory::Kernel;

/// Destinations to claim from the kernel.
pub type Claims = claims::Claims<Kernel, Array<PhysRange>>;

/// The page frames of an image, and how to reach their contents.
pub struct KernelFrames {
    supply: Supply<Kernel, Array<PhysRange>>,
    pauses: u32,
    /// A signal ended the load; memory did not run out.
    pub interrupted: bool,
}

/// Frames handed out between two pauses.
const FRAMES_PER_PAUSE: u32 = 256;

impl KernelFrames {
    /// For an image of this many pages. Without `claims` no destination is taken away from the
    /// kernel.
    pub const fn new(pages: u64, claims: Option<Claims>) -> Self {
        Self { supply: Supply::new(Kernel, pages, claims), pauses: 0, interrupted: false }
    }

    /// Gives back frames that the finished image does not need.
    pub fn end_supply(&mut self) {
        self.supply.end();
    }

    /// The bytes of a frame of this image.
    pub fn bytes(&mut self, frame: Pfn) -> &mut [u8; 4096] {
        // SAFETY: the frame is the image's own, and the borrow of `self` is the only way to it.
        unsafe { &mut *kernel::virtual_address(frame).cast() }
    }

    /// Pauses every now and then. False when the load is to end.
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
            None
        } else if order == 0 && zone == Zone::Any {
            self.supply.next_frame()
        } else {
            self.supply.run(order, zone == Zone::Below4GiB)
        }
    }

    fn free(&mut self, frame: Pfn) {
        self.supply.give_back(frame);
    }

    fn words(&mut self, frame: Pfn) -> &mut [u64; 512] {
        // SAFETY: as for `bytes`.
        unsafe { &mut *kernel::virtual_address(frame).cast() }
    }
}
