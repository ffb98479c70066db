use phys::PhysRange;

use super::boot_info::BootInfo;
use super::home::Site;
use super::kernel::{KernelTraits, Prepared};
use super::{Kernel, Request, initrd};
use crate::demand::{LAST_BELOW_4G, LOW_END, whole_pages};
use crate::place::FreePages;
use crate::{CpuMode, Demand, Error, Search, purgatory};

/// The parts of a load that need a place.
pub(super) struct Demands {
    /// The kernel of a bzImage; an executable has fixed addresses.
    kernel: Option<Demand>,
    boot_info: Demand,
    purgatory: Demand,
    initrd: Option<Demand>,
    is_real_mode: bool,
}

/// The places that they get.
pub(super) struct Places {
    pub(super) kernel: Option<PhysRange>,
    pub(super) boot_info: PhysRange,
    pub(super) purgatory: PhysRange,
    pub(super) initrd: Option<PhysRange>,
}

/// No limits.
const ALL: (u64, u64) = (0, u64::MAX);

impl Demands {
    pub(super) fn new(
        request: &Request<'_>,
        mode: CpuMode,
        traits: &KernelTraits<'_>,
        site: &Site,
        boot_info: &BootInfo<'_>,
    ) -> Self {
        let is_real_mode = mode == CpuMode::Real;
        let limits = Limits { site: site.limits, above_4g: mode == CpuMode::Long && traits.above_4g };
        let high = |name, size, window| limits.demand(name, size, 1, Search::TopDown, window);
        let small = |name, size| if is_real_mode { low(name, size) } else { high(name, size, ALL) };
        Self {
            kernel: kernel(request, &limits, &site.free),
            boot_info: small(boot_info.name(), boot_info.size()),
            purgatory: small(purgatory::NAME, purgatory::SIZE),
            initrd: initrd::size(&request.initrds).map(|size| high("initrd", size, (0, traits.initrd_last))),
            is_real_mode,
        }
    }

    /// Kernel first: it is the largest and has the least choice. In real mode, the parts in low
    /// memory have even less.
    pub(super) fn place(&self, free: &[PhysRange]) -> Result<Places, Error> {
        let mut free = FreePages::new(free);
        let (boot_info, purgatory, kernel);
        if self.is_real_mode {
            boot_info = free.take(&self.boot_info)?;
            purgatory = free.take(&self.purgatory)?;
            kernel = free.take_if_any(self.kernel.as_ref())?;
        } else {
            kernel = free.take_if_any(self.kernel.as_ref())?;
            boot_info = free.take(&self.boot_info)?;
            purgatory = free.take(&self.purgatory)?;
        }
        let initrd = free.take_if_any(self.initrd.as_ref())?;
        Ok(Places { kernel, boot_info, purgatory, initrd })
    }
}

fn kernel(request: &Request<'_>, limits: &Limits, free: &[PhysRange]) -> Option<Demand> {
    let kernel = match &request.kernel {
        Kernel::BzImage(kernel) => kernel,
        Kernel::Prepared(prepared) => return Some(prepared_kernel(prepared, limits, free)),
        Kernel::Executable(_) => return None,
    };
    let (align, highest) = match kernel.alignment {
        Some(alignment) => (alignment, u64::MAX),
        None => (1, kernel.preferred.saturating_add(kernel.memory - 1)),
    };
    let window = (kernel.preferred, highest);
    Some(limits.demand("kernel", kernel.memory, align, Search::BottomUp, window))
}

/// A kernel that does not move itself gets its final place here.
fn prepared_kernel(prepared: &Prepared<'_>, limits: &Limits, free: &[PhysRange]) -> Demand {
    let align = prepared.file.alignment.unwrap_or(0).max(LARGE_PAGE);
    let window = (prepared.image.linked_at, u64::MAX);
    let mut demand = limits.demand("kernel", prepared.image.memory, align, Search::BottomUp, window);
    let place = prepared.random.and_then(|random| random_place(&demand, free, random));
    let random = place.map(|start| (start, start.saturating_add(demand.size - 1)));
    demand.windows.splice(0..0, random);
    demand
}

/// Linux maps itself with pages of this size.
const LARGE_PAGE: u64 = 2 << 20;

/// One of all places that a demand can have, each as likely as the others.
fn random_place(demand: &Demand, free: &[PhysRange], random: u64) -> Option<u64> {
    let &(lowest, highest) = demand.windows.last()?;
    let size = demand.size.checked_next_multiple_of(phys::PAGE_SIZE)?;
    // The first place in a hole, and how many there are.
    let places = |hole: &PhysRange| {
        let first = hole.start().get().max(lowest).checked_next_multiple_of(demand.align)?;
        let last = hole.end().min(highest.saturating_add(1)).checked_sub(size)?;
        Some((first, last.checked_sub(first)? / demand.align + 1))
    };
    let holes: Vec<(u64, u64)> = free.iter().filter_map(places).collect();
    let count = holes.iter().map(|(_, count)| count).sum::<u64>();
    let mut index = random.checked_rem(count)?;
    for (first, count) in holes {
        match index.checked_sub(count) {
            None => return Some(first + index * demand.align),
            Some(rest) => index = rest,
        }
    }
    None
}

/// A part that real mode must reach. The first 64 KiB hold data of BIOSes and old kernels.
fn low(name: &'static str, size: u64) -> Demand {
    let windows = vec![(0x1_0000, LOW_END - 1)];
    Demand { name, size, align: 1, windows, search: Search::BottomUp }
}

/// Limits of all places.
struct Limits {
    /// Lowest and highest address in the site.
    site: (u64, u64),
    /// Whether the kernel and its data may be above 4 GiB.
    above_4g: bool,
}

impl Limits {
    /// Prefers places below 4 GiB, which need less of the kernel.
    fn demand(
        &self,
        name: &'static str,
        size: u64,
        align: u64,
        search: Search,
        (lowest, highest): (u64, u64),
    ) -> Demand {
        let lowest = lowest.max(self.site.0).max(LOW_END);
        let highest = highest.min(whole_pages(self.site.1));
        let mut windows = vec![(lowest, highest.min(LAST_BELOW_4G))];
        if self.above_4g && highest > LAST_BELOW_4G {
            windows.push((lowest, highest));
        }
        Demand { name, size, align, windows, search }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_is_found_by_some_number_and_none_is_outside() {
        const MIB: u64 = 1 << 20;
        let hole = |start: u64, mib: u64| PhysRange::from_bytes(start * MIB, mib * MIB).unwrap();
        let free = [hole(1, 20), hole(31, 3), hole(40, 8)];
        let demand = Demand {
            name: "kernel",
            size: 4 * MIB - 1,
            align: 2 * MIB,
            windows: vec![(16 * MIB, u64::MAX)],
            search: Search::BottomUp,
        };
        let places: Vec<u64> =
            (0..5).map(|random| random_place(&demand, &free, random).unwrap() / MIB).collect();
        assert_eq!(places, [16, 40, 42, 44, 16]);
        assert_eq!(random_place(&demand, &free[1..2], 0), None);
    }
}
