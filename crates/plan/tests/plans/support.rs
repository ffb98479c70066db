use kernel_file::BzImage;
use phys::PhysRange;
use plan::linux::{Home, Initrd, Kernel, Request};
use plan::purgatory::Purgatory;
use plan::{LoadPlan, MemoryKind, MemoryRange};

pub(crate) const MIB: u64 = 1 << 20;

static CODE: [u8; 0x3000] = [0x90; 0x3000];

/// A purgatory for plans that are compared as text: its code has a size that does not depend on the
/// compiler. It checks, and prints nothing.
pub(crate) const QUIET: Purgatory<'static> =
    Purgatory { image: &CODE, check: true, serial: None, vga: false, reset_vga: false, pause: 10 };

pub(crate) fn pages(start: u64, end: u64) -> PhysRange {
    PhysRange::from_bytes(start, end - start).unwrap()
}

/// A range of the firmware's memory map.
pub(crate) fn range(first: u64, last: u64, kind: MemoryKind) -> MemoryRange {
    MemoryRange::new(first, last, kind).unwrap()
}

pub(crate) fn request<'a>(file: &'a [u8], initrds: &[&'a [u8]], home: Home) -> Request<'a> {
    Request {
        kernel: Kernel::BzImage(BzImage::parse(file).unwrap()),
        mode: None,
        initrds: initrds.iter().map(|bytes| Initrd { name: "initrd.img", bytes }).collect(),
        command_line: b"console=ttyS0 quiet".to_vec(),
        home,
        purgatory: QUIET,
        no_efi: false,
        seed: None,
        device_tree: None,
    }
}

/// The bytes that the plan loads at an address.
pub(crate) fn memory(plan: &LoadPlan<'_>, address: u64, size: usize) -> Vec<u8> {
    let holds = |range: PhysRange| range.start().get() <= address && address + size as u64 <= range.end();
    let segment =
        plan.segments().iter().find(|segment| holds(segment.range)).expect("the address is in a segment");
    let offset = (address - segment.range.start().get()) as usize;
    let bytes = segment.bytes.get(offset..).unwrap_or(&[]);
    (0..size).map(|index| bytes.get(index).copied().unwrap_or(0)).collect()
}
