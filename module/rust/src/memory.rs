// SPDX-License-Identifier: GPL-2.0-only
//! The kernel's memory management, as the crate `claims` uses it.

use claims::{Blocks, Memory};
use phys::{Pfn, PhysRange};

use crate::array::Boxed;
use crate::kernel;
use crate::locked::{Held, Locked};

static BLOCKS: Locked<Blocks<Kernel>> = Locked::new(Blocks::new());

/// The kernel's page frames. Sizes are Linux' own: `pageblock_nr_pages` (glue/memory.c asserts it),
/// `MAX_DMA_PFN`.
#[derive(Clone, Copy)]
pub struct Kernel;

impl Memory for Kernel {
    type Boxed<T> = Boxed<T>;
    type Shared = Held<Blocks<Self>>;

    fn alloc(self, order: u32, below_4_gib: bool) -> Option<Pfn> {
        kernel::alloc(order, below_4_gib)
    }

    fn claim_range(self, range: PhysRange) -> bool {
        kernel::claim_range(range)
    }

    fn claim_low(self, range: PhysRange) -> bool {
        kernel::claim_low(range)
    }

    fn free(self, frame: Pfn) {
        // SAFETY: `claims` gives back what it was given, once.
        unsafe { kernel::free(frame) };
    }

    fn free_block(self, first: Pfn) {
        // SAFETY: as above, and one claim took the whole block.
        unsafe { kernel::free_block(first) };
    }

    fn boxed<T>(self, value: T) -> Option<Boxed<T>> {
        Boxed::new(value).ok()
    }

    fn blocks(self) -> Self::Shared {
        BLOCKS.lock()
    }
}
