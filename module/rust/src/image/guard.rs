// SPDX-License-Identifier: GPL-2.0-only
//! What the CPU that guards an image needs.

use abi::device::reason;
use claims::{guard, quiesce};
use kimage::Zone;
use phys::{Pfn, PhysRange};
use relocator::{GuardPages, GuardSetup};

use crate::failure::Failure;
use crate::kernel::{self, GuardFacts};
use crate::ranges::Destinations;

use super::Image;

/// The CPU that guards an image, and its memory.
pub struct Guard {
    pages: Pfn,
    facts: GuardFacts,
    start_page: Pfn,
}

/// The guard's pages: 2^1.
const GUARD_ORDER: u32 = 1;

impl Guard {
    /// Takes the guard's memory.
    pub fn take(image: &mut Image, ranges: &Destinations) -> Result<Self, Failure> {
        let none = || Failure::new(reason::NO_GUARD, [0; 3]);
        let facts = kernel::guard_facts().ok_or_else(none)?;
        let start_page = guard::start_page(ranges.ram()).ok_or_else(none)?;
        Ok(Self { pages: image.support(GUARD_ORDER, Zone::Below4GiB)?, facts, start_page })
    }

    /// The physical address of the guard's pages.
    pub fn address(&self) -> u64 {
        self.pages.address().get()
    }

    /// The page of the local APIC's registers, if they are in memory.
    pub fn registers(&self) -> Option<PhysRange> {
        PhysRange::around_bytes(Some(self.facts.apic).filter(|&address| address != 0)?, 1).ok()
    }

    /// The rate of the time stamp counter.
    pub fn khz(&self) -> u64 {
        self.facts.tsc_khz
    }

    /// Fills in the guard's pages.
    pub fn install(&self, control_page: u64) {
        let setup = GuardSetup {
            pages: self.address(),
            control_page,
            apic: self.facts.apic,
            cpu: self.facts.cpu,
            low_page: self.start_page.address().get(),
            microsecond: self.facts.tsc_khz / 1000,
        };
        // SAFETY: the frames are the image's own, and any bytes are the guard's pages.
        unsafe { (*self.page()).install(&setup) };
    }

    /// Makes the guard ready for a call with a deadline in milliseconds.
    pub fn prepare(&self, deadline: u64) {
        // `quiesce` refused a deadline of too many ticks.
        let ticks = quiesce::ticks(deadline, self.khz()).unwrap_or(0);
        // SAFETY: as above.
        unsafe { (*self.page()).prepare(ticks) };
    }

    fn page(&self) -> *mut GuardPages {
        kernel::virtual_address(self.pages).cast()
    }
}
