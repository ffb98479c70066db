//! ELF files that are no Linux kernels: each at the addresses it names, entered in the mode it is made for.

mod notes;

use std::borrow::Cow;

use kernel_file::{Mode, Program};
use phys::PhysRange;

use crate::goal::register::{RDI, RSP};
use crate::load_plan::Draft;
use crate::place::beside;
use crate::purgatory::{self, Besides, Purgatory};
use crate::{CpuMode, Demand, Error, Goal, LoadPlan, Machine, Part, Search, Segment, Way, place};

/// An ELF file to load.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// The file.
    pub program: Program<'a>,
    /// Whether it is told its command line in ELF boot notes, or nothing.
    pub notes: bool,
    /// Its command line.
    pub command_line: Vec<u8>,
    /// Lowest and highest address of a byte of what is added to it.
    pub room: (u64, u64),
    /// What leads there.
    pub purgatory: Purgatory<'a>,
}

/// Plans its load by `kexec_load`.
///
/// # Errors
/// [`Error::NoRoom`], and those of the plan.
pub fn plan<'a>(request: &Request<'a>, machine: &Machine) -> Result<LoadPlan<'a>, Error> {
    let program = &request.program;
    let mut segments: Vec<_> = program.segments.iter().filter_map(Segment::of_file).collect();
    let free = beside(&machine.usable_ram(), &segments);
    let demands = demands(request);
    let places = place(&demands, &free)?;
    let found =
        |name| demands.iter().zip(&places).find(|(demand, _)| demand.name == name).map(|(_, &place)| place);
    let mut goal = Goal::at(cpu_mode(program.mode), program.entry);
    let mut parts = Vec::new();
    if let Some(range) = found(NOTES) {
        let notes = notes::segment(range, &request.command_line);
        parts.extend(notes.parts);
        goal = match program.mode {
            Mode::Long => goal.with(RDI, range.start().get()),
            Mode::Protected => goal.with(RSP, notes.stack),
        };
        segments.push(notes.segment);
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
        memory: Vec::new(),
        command_line: if request.notes { request.command_line.clone() } else { Vec::new() },
        vouched: Vec::new(),
        view: None,
    };
    LoadPlan::new(draft, machine)
}

const NOTES: &str = "boot notes";
/// The last byte that 32-bit code reaches.
const BELOW_4G: u64 = 0xffff_ffff;

/// What is added.
fn demands(request: &Request<'_>) -> Vec<Demand> {
    let (lowest, highest) = (request.room.0.max(0x10_0000), request.room.1.min(BELOW_4G));
    let demand = |name, size| Demand {
        name,
        size,
        align: 1,
        windows: vec![(lowest, highest)],
        search: Search::TopDown,
    };
    let notes = request.notes.then(|| demand(NOTES, notes::size(&request.command_line)));
    notes.into_iter().chain([demand(purgatory::NAME, purgatory::SIZE)]).collect()
}

pub(crate) const fn cpu_mode(mode: Mode) -> CpuMode {
    match mode {
        Mode::Long => CpuMode::Long,
        Mode::Protected => CpuMode::Protected,
    }
}

/// The boot notes, and what goes with them.
struct Notes {
    segment: Segment<'static>,
    parts: [Part; 2],
    /// The stack pointer for 32-bit code.
    stack: u64,
}

impl Notes {
    fn new(range: PhysRange, bytes: Vec<u8>, notes: u64, stack: u64) -> Self {
        let start = range.start().get();
        Self {
            segment: Segment { name: NOTES, range, bytes: Cow::Owned(bytes) },
            parts: [
                Part { name: "boot notes", address: start, size: notes },
                Part { name: "arguments on the stack", address: start + stack, size: 8 },
            ],
            stack: start + stack,
        }
    }
}
