//! Multiboot kernels: specifications 0.6.96, section 3.3, and 2.0, section 3.6.

mod one;
mod two;

use std::borrow::Cow;

use crate::draft::Draft;
use crate::entry::register::{RAX, RBX};
use crate::linux::{Initrd, initrd};
use crate::place::FreePages;
use crate::purgatory::{self, Purgatory};
use crate::{
    CpuMode, Demand, Entry, Error, Interface, LoadPlan, Machine, MemoryKind, MemoryRange, Part, Segment,
};
use kernel_file::multiboot::{Kernel, Multiboot};

/// A multiboot kernel to load.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// The kernel.
    pub kernel: Kernel<'a>,
    /// Its command line, the name of the file first.
    pub command_line: Vec<u8>,
    /// Files that are loaded with it.
    pub modules: Vec<Module<'a>>,
    /// Lowest and highest address of what is added to it, both included.
    pub limits: (u64, u64),
    /// The code that enters it.
    pub purgatory: Purgatory<'a>,
}

/// A file that is loaded with a multiboot kernel.
#[derive(Clone, Copy, Debug)]
pub struct Module<'a> {
    /// The string that the kernel gets with it, by convention name and arguments.
    pub string: &'a [u8],
    /// The file.
    pub bytes: &'a [u8],
}

/// The facts that the kernel is passed.
struct BootInformation<'t> {
    command_line: &'t [u8],
    /// Where each module starts and ends, and its string.
    modules: Vec<(u64, u64, &'t [u8])>,
    memory: &'t [MemoryRange],
    /// Load address, for a relocatable kernel.
    base: Option<u64>,
}

impl BootInformation<'_> {
    /// Its bytes at this address. Their number does not depend on the address.
    fn bytes(&self, version: Multiboot, address: u64) -> Vec<u8> {
        match version {
            Multiboot::One => one::bytes(self, address),
            Multiboot::Two => two::bytes(self),
        }
    }
}

const LOADER: &[u8] = concat!("kjump ", env!("CARGO_PKG_VERSION")).as_bytes();
const INFORMATION: &str = "multiboot information";

/// Plans its load by `kexec_load`.
///
/// # Errors
/// [`Error::NoRoom`], [`Error::EmptyInitrd`] for an empty module, and those of the plan.
pub fn plan<'a>(request: &Request<'a>, machine: &Machine) -> Result<LoadPlan<'a>, Error> {
    if machine.firmware.is_empty() {
        return Err(Error::NoFirmwareMap);
    }
    let modules: Vec<_> =
        request.modules.iter().map(|module| Initrd { name: "module", bytes: module.bytes }).collect();
    initrd::check(&modules)?;
    let kernel = &request.kernel;
    let kernel_entry = Entry::at(CpuMode::Protected, kernel.program.entry).with(RAX, magic(kernel.version));
    let mut draft = Draft::new(Interface::KexecLoad, kernel_entry);
    draft.segments = kernel.program.segments.iter().filter_map(Segment::of_file).collect();
    draft.memory.clone_from(&machine.firmware);
    draft.command_line.clone_from(&request.command_line);
    let base = draft.segments.first().map(|segment| segment.range.start().get());
    let base = base.filter(|_| kernel.is_relocatable);
    let mut free = FreePages::new(&machine.usable_ram()).without(&draft.segments);
    let demand = |name, size| Demand::for_32_bits(name, size, request.limits);

    let modules_demand = initrd::size(&modules).map(|size| demand("modules", size));
    let modules_at = free.take_if_any(modules_demand.as_ref())?.map_or(0, |place| place.start().get());
    draft.segments.extend(initrd::segments(&modules, modules_at));

    let information = BootInformation {
        command_line: &request.command_line,
        modules: places(modules_at, &request.modules, &modules),
        memory: &machine.firmware,
        base,
    };
    let place = free.take(&demand(INFORMATION, information.bytes(kernel.version, 0).len() as u64))?;
    let address = place.start().get();
    let bytes = information.bytes(kernel.version, address);
    draft.parts.push(Part { name: INFORMATION, address, size: bytes.len() as u64 });
    draft.segments.push(Segment { name: INFORMATION, range: place, bytes: Cow::Owned(bytes) });
    draft.kernel_entry = draft.kernel_entry.with(RBX, address);

    let purgatory = free.take(&demand(purgatory::NAME, purgatory::SIZE))?;
    draft.finish(&request.purgatory, purgatory, machine)
}

/// The value in `eax`.
const fn magic(version: Multiboot) -> u64 {
    match version {
        Multiboot::One => 0x2bad_b002,
        Multiboot::Two => 0x36d7_6289,
    }
}

/// Where each module starts and ends.
fn places<'t>(first: u64, modules: &[Module<'t>], files: &[Initrd<'_>]) -> Vec<(u64, u64, &'t [u8])> {
    let offsets = initrd::offsets(files).zip(modules);
    offsets
        .map(|(offset, module)| (first + offset, first + offset + module.bytes.len() as u64, module.string))
        .collect()
}

/// KiB of contiguous memory from 0, and from 1 MiB.
fn lower_and_upper(memory: &[MemoryRange]) -> (u32, u32) {
    const MIB: u64 = 1 << 20;
    let kib = |bytes: u64| u32::try_from(bytes >> 10).unwrap_or(u32::MAX);
    let ram = || memory.iter().filter(|range| range.kind() == MemoryKind::Ram);
    // The first page may be missing in the map.
    let lower = ram().filter(|range| range.first() <= 0x1_0000).map(|range| range.last() + 1).max();
    let upper = ram()
        .filter(|range| range.first() <= MIB && range.last() > MIB)
        .map(|range| range.last() + 1 - MIB)
        .max();
    (kib(lower.unwrap_or(0).min(MIB)), kib(upper.unwrap_or(0)))
}

/// Number of a memory kind: 1 RAM, 3 ACPI tables, 4 ACPI non-volatile storage, 5 unusable, 2 any
/// other.
const fn kind(range: MemoryRange) -> u32 {
    match range.kind() {
        MemoryKind::Ram => 1,
        MemoryKind::AcpiTables => 3,
        MemoryKind::AcpiNvs => 4,
        MemoryKind::Unusable => 5,
        _ => 2,
    }
}

/// The lower half of an address, which lies below 4 GiB.
fn word(address: u64) -> [u8; 4] {
    u32::try_from(address).unwrap_or(u32::MAX).to_le_bytes()
}
