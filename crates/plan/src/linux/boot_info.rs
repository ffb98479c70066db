use std::borrow::Cow;

use phys::PhysRange;

use super::command_line::CommandLine;
use super::facts::HandoffFacts;
use super::handoff::Handoff;
use super::kernel::KernelTraits;
use super::neighbours::Neighbours;
use super::setup::Setup;
use super::{Kernel, Request};
use crate::entry::register::RSI;
use crate::{CpuMode, Entry, Error, Machine, MemoryRange, Part, Segment};

/// How the kernel gets its boot parameters.
pub(super) enum BootInfo<'r> {
    /// In real mode: the kernel's own setup code asks the BIOS.
    Setup(Setup<'r>),
    /// Otherwise: `boot_params` are made here.
    Handoff(Handoff),
}

/// Boot information at its address.
pub(super) struct PlacedBootInfo {
    pub(super) segment: Segment<'static>,
    pub(super) parts: Vec<Part>,
    /// Address of `boot_params`, unless the setup code makes them.
    pub(super) boot_params: Option<u64>,
    /// Address of the command line.
    pub(super) command_line: u64,
    /// How the kernel is entered.
    pub(super) entry: Entry,
}

impl<'r> BootInfo<'r> {
    pub(super) fn new(
        request: &'r Request<'_>,
        mode: CpuMode,
        traits: &KernelTraits<'_>,
        memory: &[MemoryRange],
        command_line: CommandLine,
        machine: &Machine,
    ) -> Result<Self, Error> {
        match &request.kernel {
            Kernel::BzImage(kernel) if mode == CpuMode::Real => {
                Setup::new(kernel, command_line).map(Self::Setup)
            }
            _ => {
                let facts = HandoffFacts::new(request, traits, memory, machine);
                Ok(Self::Handoff(Handoff::new(traits, command_line, &facts)))
            }
        }
    }

    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Setup(_) => "setup",
            Self::Handoff(_) => "handoff",
        }
    }

    pub(super) fn size(&self) -> u64 {
        match self {
            Self::Setup(setup) => setup.size(),
            Self::Handoff(handoff) => handoff.size(),
        }
    }

    pub(super) const fn command_line(&self) -> &CommandLine {
        match self {
            Self::Setup(setup) => setup.command_line(),
            Self::Handoff(handoff) => handoff.command_line(),
        }
    }

    /// `entry` is how a kernel is entered that gets `boot_params`.
    pub(super) fn at(&self, range: PhysRange, neighbours: Neighbours, entry: Entry) -> PlacedBootInfo {
        let address = range.start().get();
        let segment = |bytes| Segment { name: self.name(), range, bytes: Cow::Owned(bytes) };
        match self {
            Self::Setup(setup) => PlacedBootInfo {
                segment: segment(setup.bytes(address, neighbours)),
                parts: setup.parts(address).into(),
                boot_params: None,
                command_line: Setup::command_line_at(address),
                entry: Setup::entry(address),
            },
            Self::Handoff(handoff) => PlacedBootInfo {
                segment: segment(handoff.bytes(address, neighbours)),
                parts: handoff.parts(address),
                boot_params: Some(address),
                command_line: Handoff::command_line_at(address),
                entry: entry.with(RSI, address),
            },
        }
    }
}
