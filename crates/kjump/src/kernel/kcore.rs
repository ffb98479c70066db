//! `/proc/kcore`: the running kernel's memory, and the virtual addresses of it.

use std::ops::Range;
use std::path::Path;

use machine::Machine;
use plan::elfcorehdr::{KernelImage, VirtualMap};
use vmcore::MemoryImage;

use crate::dump::source;

const PATH: &str = "/proc/kcore";
/// The virtual address that the kernel's image is linked to (`__START_KERNEL_map` of
/// `arch/x86/include/asm/page_64_types.h`).
const IMAGE_MAP: u64 = 0xffff_ffff_8000_0000;

/// Opens it, which requires root.
pub(crate) fn open() -> anyhow::Result<MemoryImage<'static>> {
    source::image(Path::new(PATH))
}

/// The virtual addresses of the running kernel's memory. Facts that cannot be read are left out.
pub(crate) fn virtual_map(machine: &Machine) -> VirtualMap {
    open().map_or(VirtualMap::default(), |core| map_of(&core, machine))
}

/// The same, from an open `/proc/kcore`.
pub(crate) fn map_of(core: &MemoryImage<'_>, machine: &Machine) -> VirtualMap {
    let phys = machine.memory.as_ref().ok().and_then(machine::iomem::MemoryMap::kernel_image);
    VirtualMap { direct: direct(core), image: phys.and_then(|phys| image(core, phys)) }
}

/// The virtual address of the direct map.
fn direct(core: &MemoryImage<'_>) -> Option<u64> {
    let first = core.present().runs().next().map(|frames| frames.start << phys::PAGE_SHIFT)?;
    Some(core.virtual_address(first)?.wrapping_sub(first))
}

fn image(core: &MemoryImage<'_>, phys: Range<u64>) -> Option<KernelImage> {
    let base = core.vmcoreinfo().ok()?.number("phys_base").ok()?;
    let virt = IMAGE_MAP.wrapping_add(phys.start).wrapping_sub(base.cast_unsigned());
    Some(KernelImage { phys, virt }).filter(|image| image.virt >= IMAGE_MAP)
}
