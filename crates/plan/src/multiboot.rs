//! Multiboot kernels: specifications 0.6.96, section 3.3, and 2.0, section 3.6.

mod one;
mod two;

use std::borrow::Cow;

use crate::goal::register::{RAX, RBX};
use crate::linux::{Initrd, initrd};
use crate::load_plan::Draft;
use crate::place::beside;
use crate::purgatory::{self, Besides, Purgatory};
use crate::{
    CpuMode, Demand, Error, Goal, LoadPlan, Machine, MemoryKind, MemoryRange, Part, Search, Segment, Way,
    place,
};
use kernel_file::multiboot::{Image, Multiboot};

/// A multiboot kernel to load.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// The kernel.
    pub image: Image<'a>,
    /// Its command line, the name of the file first.
    pub command_line: Vec<u8>,
    /// What it is given along.
    pub modules: Vec<Module<'a>>,
    /// Lowest and highest address of a byte of what is added to it.
    pub room: (u64, u64),
    /// What leads there.
    pub purgatory: Purgatory<'a>,
}

/// Something that a multiboot kernel is given along.
#[derive(Clone, Copy, Debug)]
pub struct Module<'a> {
    /// The words it is named with.
    pub words: &'a [u8],
    /// The file.
    pub bytes: &'a [u8],
}

/// What is told, with every address that it speaks of; the same bytes for any addresses are as many.
struct Told<'t> {
    command_line: &'t [u8],
    /// Where each module starts and ends, and its words.
    modules: Vec<(u64, u64, &'t [u8])>,
    memory: &'t [MemoryRange],
    /// Where the kernel is loaded, if it asks to be told.
    base: Option<u64>,
}

const LOADER: &[u8] = concat!("kjump ", env!("CARGO_PKG_VERSION")).as_bytes();
const INFORMATION: &str = "multiboot information";
const MODULES: &str = "modules";
const BELOW_4G: u64 = 0xffff_ffff;

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
    let mut segments: Vec<_> = request.image.program.segments.iter().filter_map(Segment::of_file).collect();
    let base = segments.first().map(|segment| segment.range.start().get());
    let base = base.filter(|_| request.image.is_relocatable);
    let free = beside(&machine.usable_ram(), &segments);
    let told = |address: u64| Told {
        command_line: &request.command_line,
        modules: places(address, &request.modules, &modules),
        memory: &machine.firmware,
        base,
    };
    let render = |information_at, modules_at| match request.image.version {
        Multiboot::One => one::bytes(&told(modules_at), information_at),
        Multiboot::Two => two::bytes(&told(modules_at)),
    };
    let demands = demands(render(0, 0).len() as u64, &modules, request);
    let places = place(&demands, &free)?;
    let found =
        |name| demands.iter().zip(&places).find(|(demand, _)| demand.name == name).map(|(_, &place)| place);
    let modules_at = found(MODULES).map_or(0, |place| place.start().get());
    segments.extend(initrd::segments(&modules, modules_at));
    let mut goal =
        Goal::at(CpuMode::Protected, request.image.program.entry).with(RAX, magic(request.image.version));
    let mut parts = Vec::new();
    if let Some(range) = found(INFORMATION) {
        let address = range.start().get();
        let bytes = render(address, modules_at);
        parts.push(Part { name: INFORMATION, address, size: bytes.len() as u64 });
        segments.push(Segment { name: INFORMATION, range, bytes: Cow::Owned(bytes) });
        goal = goal.with(RBX, address);
    }
    let range = found(purgatory::NAME).ok_or(Error::NoPlace)?;
    let (purgatory, entry) = request.purgatory.lead(range, &goal, &Besides::default(), &segments)?;
    segments.push(purgatory);
    let draft = Draft {
        way: Way::KexecLoad,
        segments,
        parts,
        entry,
        goal,
        memory: machine.firmware.clone(),
        command_line: request.command_line.clone(),
        vouched: Vec::new(),
        view: None,
    };
    LoadPlan::new(draft, machine)
}

/// What a kernel finds in `eax`.
const fn magic(version: Multiboot) -> u64 {
    match version {
        Multiboot::One => 0x2bad_b002,
        Multiboot::Two => 0x36d7_6289,
    }
}

fn demands(information: u64, modules: &[Initrd<'_>], request: &Request<'_>) -> Vec<Demand> {
    let (lowest, highest) = request.room;
    let window = (lowest.max(0x10_0000), highest.min(BELOW_4G));
    let demand = |name, size| Demand { name, size, align: 1, windows: vec![window], search: Search::TopDown };
    let modules = initrd::size(modules).map(|size| demand(MODULES, size));
    modules
        .into_iter()
        .chain([demand(INFORMATION, information), demand(purgatory::NAME, purgatory::SIZE)])
        .collect()
}

/// Where each module starts and ends.
fn places<'t>(first: u64, modules: &[Module<'t>], files: &[Initrd<'_>]) -> Vec<(u64, u64, &'t [u8])> {
    let offsets = initrd::offsets(files).zip(modules);
    offsets
        .map(|(offset, module)| (first + offset, first + offset + module.bytes.len() as u64, module.words))
        .collect()
}

/// KiB of memory from 0 on, and from 1 MiB on.
fn lower_and_upper(memory: &[MemoryRange]) -> (u32, u32) {
    const MIB: u64 = 1 << 20;
    let kib = |bytes: u64| u32::try_from(bytes >> 10).unwrap_or(u32::MAX);
    let ram = || memory.iter().filter(|range| range.kind() == MemoryKind::Ram);
    // The kernel's first page need not be told.
    let lower = ram().filter(|range| range.first() <= 0x1_0000).map(|range| range.last() + 1).max();
    let upper = ram()
        .filter(|range| range.first() <= MIB && range.last() > MIB)
        .map(|range| range.last() + 1 - MIB)
        .max();
    (kib(lower.unwrap_or(0).min(MIB)), kib(upper.unwrap_or(0)))
}

/// A memory type's number: 1 free, 3 ACPI tables, 4 ACPI storage, 5 broken, 2 all else.
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
