use phys::PhysRange;

use super::{BELOW_4G, LOW_END};
use crate::{Demand, Error, Machine, Search, place};
use kernel_file::BzImage;

/// What a window starts with a multiple of: a large page, as a kernel maps memory by them.
const ALIGNMENT: u64 = 2 << 20;

/// A window of this size in the running kernel's own RAM, where this kernel can live: the highest below 4 GiB, else the
/// highest above if the kernel can be there.
///
/// # Errors
/// [`Error::NoRoom`].
pub fn window(kernel: &BzImage<'_>, size: u64, machine: &Machine) -> Result<PhysRange, Error> {
    let lowest = kernel.preferred.max(LOW_END);
    let mut windows = vec![(lowest, BELOW_4G)];
    if kernel.above_4g {
        windows.push((lowest, u64::MAX));
    }
    let demand = Demand { name: "the window", size, align: ALIGNMENT, windows, search: Search::TopDown };
    let no_room =
        Error::NoRoom { name: "the window", size, align: ALIGNMENT, lowest, highest: u64::MAX, largest: 0 };
    place(&[demand], &machine.usable_ram())?.first().copied().ok_or(no_room)
}
