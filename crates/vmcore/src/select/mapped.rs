//! Memory that the kernel has mapped apart from its map of all memory: stacks, modules and whatever
//! else was allocated by vmalloc, and the page tables themselves.

use phys::{PAGE_SIZE, Pfn};

use crate::kernel::paging::AddressSpace;
use crate::{FrameSet, PhysRead};

/// The most page tables to read: 32 MiB of them, which map 16 GiB in pages of 4 KiB.
const MOST_TABLES: usize = 1 << 13;

/// The frames that hold the kernel's page tables, and those that it has mapped in its address space
/// apart from the direct map. `end` is the end of memory in bytes.
pub(super) fn frames(memory: &impl PhysRead, space: &AddressSpace, end: u64) -> FrameSet {
    let mut frames = FrameSet::new();
    // The direct map comes first in the kernel's half of the address space.
    let mut direct = None;
    space.visit_kernel(memory, MOST_TABLES, &mut |entry| {
        let first = entry.phys / PAGE_SIZE;
        if entry.size == 0 {
            frames.insert(first, first + 1);
            // The direct map has a table for each 2 MiB where it is not made of larger pages.
            let is_direct = direct.is_some_and(|base: u64| entry.virt.wrapping_sub(base) < end);
            return entry.level > 2 || !is_direct;
        }
        let base = entry.virt.wrapping_sub(entry.phys);
        // Damaged tables map the same pages many times.
        let is_new = entry.size > PAGE_SIZE || Pfn::new(first).is_some_and(|frame| !frames.contains(frame));
        if *direct.get_or_insert(base) != base && is_new {
            frames.insert(first, first + entry.size / PAGE_SIZE);
        }
        false
    });
    frames
}
