//! The kernel's own image in memory.

use phys::PAGE_SIZE;

use crate::kernel::paging::AddressSpace;
use crate::{Error, FrameSet, PhysRead, Vmcoreinfo};

/// The image starts at a multiple of this (`CONFIG_PHYSICAL_ALIGN`), just below its first symbol.
const ALIGNMENT: u64 = 2 << 20;

/// The most bytes of the image: `KERNEL_IMAGE_SIZE` with address randomisation.
const MOST: u64 = 1 << 30;

/// The frames of the kernel's image: data, and code. Frames that cannot be found are in neither.
pub(super) fn frames(
    memory: &impl PhysRead,
    space: &AddressSpace,
    info: &Vmcoreinfo,
) -> (FrameSet, FrameSet) {
    let (mut data, mut code) = (FrameSet::new(), FrameSet::new());
    let Ok(start) = info.symbol("_stext") else { return (data, code) };
    let start = start & !(ALIGNMENT - 1);
    let size = info.number("KERNEL_IMAGE_SIZE").ok().and_then(|size| u64::try_from(size).ok());
    let end = start.saturating_add(size.unwrap_or(MOST).min(MOST));
    let mut at = start;
    while at < end {
        match space.translate(memory, at) {
            Ok(place) => {
                let first = place.phys / PAGE_SIZE;
                let set = if place.executable { &mut code } else { &mut data };
                set.insert(first, first + place.left.div_ceil(PAGE_SIZE));
                at = at.saturating_add(place.left);
            }
            // Memory that only the start of the kernel needed has been freed.
            Err(Error::NotMapped { level, .. }) => {
                let size = 1 << (12 + 9 * u32::from(level.clamp(1, 4) - 1));
                at = (at | (size - 1)).saturating_add(1);
            }
            Err(_) => break,
        }
    }
    (data, code)
}
