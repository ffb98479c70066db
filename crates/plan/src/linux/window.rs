use phys::{PhysRange, RangeSet};

use crate::demand::{LAST_BELOW_4G, LOW_END};
use crate::place::FreePages;
use crate::{Demand, Error, Machine, MemoryKind, Search};
use kernel_file::BzImage;

/// Alignment of a window: a large page, by which a kernel maps memory.
const ALIGNMENT: u64 = 2 << 20;

/// Chooses a window of this size in the running kernel's RAM. Below 4 GiB, it is the highest of the
/// places that cover least of the pinned ranges: the running kernel cannot move those pages, so
/// they are exchanged whenever the peer is entered or left. Without a place below 4 GiB, it is the
/// highest above, if the kernel supports that.
///
/// # Errors
/// [`Error::NoRoom`].
pub fn window(
    kernel: &BzImage<'_>,
    size: u64,
    machine: &Machine,
    pinned: &[PhysRange],
) -> Result<PhysRange, Error> {
    let lowest = kernel.preferred.max(LOW_END);
    let mut windows = vec![(lowest, LAST_BELOW_4G)];
    if kernel.above_4g {
        windows.push((lowest, u64::MAX));
    }
    let demand = Demand { name: "the window", size, align: ALIGNMENT, windows, search: Search::TopDown };
    let usable = machine.usable_ram();
    let highest = FreePages::new(&usable).take(&demand)?;
    Ok(clearest_below(highest, lowest, &usable, pinned))
}

/// Of the given place and those of its size below, the one that covers least of the pinned ranges.
fn clearest_below(highest: PhysRange, lowest: u64, usable: &[PhysRange], pinned: &[PhysRange]) -> PhysRange {
    let covered = |window: &PhysRange| -> u64 {
        pinned.iter().filter_map(|range| range.intersection(*window)).map(PhysRange::bytes).sum()
    };
    // Pinned ranges are only known below 4 GiB.
    if highest.end() > LAST_BELOW_4G + 1 {
        return highest;
    }
    let steps = (highest.start().get() - lowest.min(highest.start().get())) / ALIGNMENT;
    let starts = (0..=steps).map(|step| highest.start().get() - step * ALIGNMENT);
    let places = starts.filter_map(|start| PhysRange::from_bytes(start, highest.bytes()).ok());
    let within = |window: &PhysRange| {
        usable.iter().any(|hole| hole.start() <= window.start() && window.end() <= hole.end())
    };
    places.filter(within).min_by_key(covered).unwrap_or(highest)
}

/// Whether a valid window is RAM of the running kernel.
pub(super) fn check_window(window: PhysRange, machine: &Machine) -> Result<bool, Error> {
    let bad = |what: &str| Err(Error::BadWindow { window, what: what.into() });
    if window.start().get() < LOW_END {
        return bad("the memory below 1 MiB, which every peer has");
    }
    let other = machine.firmware.iter().find(|range| {
        range.kind() != MemoryKind::Ram
            && range.first() < window.end()
            && range.last() >= window.start().get()
    });
    if let Some(range) = other {
        let (first, last) = (range.first(), range.last());
        return bad(&format!("{first:#x}-{last:#x}, which the firmware reports as {}", range.kind()));
    }
    let ram = machine.firmware.iter().filter(|range| range.kind() == MemoryKind::Ram);
    let mut ram: Vec<PhysRange> = ram.filter_map(|range| range.pages()).collect();
    if !RangeSet::sort(&mut ram).contains_range(window) {
        let end = ram.iter().map(|range| range.end()).max().unwrap_or(0);
        if window.end() > end {
            return bad(&format!("memory beyond the end of RAM, {end:#x}"));
        }
        return bad("memory that the firmware does not report as RAM");
    }
    let mut ram = machine.ram.clone();
    let ram = RangeSet::sort(&mut ram);
    let touches = ram.ranges().iter().any(|range| range.intersection(window).is_some());
    match (touches, ram.contains_range(window)) {
        (true, false) => bad("the end of the running kernel's RAM; it must lie inside or outside as a whole"),
        (is_ram, _) => Ok(is_ram),
    }
}
