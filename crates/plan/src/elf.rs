//! ELF files that are not Linux kernels: each is loaded at its own addresses and entered in the
//! mode it was built for.

mod notes;

use kernel_file::{Mode, Program};

use crate::draft::Draft;
use crate::entry::register::{RDI, RSP};
use crate::place::FreePages;
use crate::purgatory::{self, Purgatory};
use crate::{Demand, Entry, Error, Interface, LoadPlan, Machine, Segment};
use notes::Notes;

/// An ELF file to load.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// The file.
    pub program: Program<'a>,
    /// Whether it gets its command line in ELF boot notes, or nothing.
    pub notes: bool,
    /// Its command line.
    pub command_line: Vec<u8>,
    /// Lowest and highest address of what is added to it, both included.
    pub limits: (u64, u64),
    /// The code that enters it.
    pub purgatory: Purgatory<'a>,
}

/// Plans its load by `kexec_load`.
///
/// # Errors
/// [`Error::NoRoom`], and those of the plan.
pub fn plan<'a>(request: &Request<'a>, machine: &Machine) -> Result<LoadPlan<'a>, Error> {
    let program = &request.program;
    let mut draft = Draft::new(Interface::KexecLoad, Entry::at(program.mode.into(), program.entry));
    draft.segments = program.segments.iter().filter_map(Segment::of_file).collect();
    let mut free = FreePages::new(&machine.usable_ram()).without(&draft.segments);
    if request.notes {
        let notes = Notes::new(&request.command_line);
        let place = free.take(&Demand::for_32_bits(notes::NAME, notes.size(), request.limits))?;
        let address = place.start().get();
        draft.kernel_entry = match program.mode {
            Mode::Long => draft.kernel_entry.with(RDI, address),
            Mode::Protected => draft.kernel_entry.with(RSP, notes.stack(address)),
        };
        draft.parts.extend(notes.parts(address));
        draft.segments.push(notes.segment(place));
        draft.command_line.clone_from(&request.command_line);
    }
    let purgatory = free.take(&Demand::for_32_bits(purgatory::NAME, purgatory::SIZE, request.limits))?;
    draft.finish(&request.purgatory, purgatory, machine)
}
