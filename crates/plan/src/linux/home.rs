use phys::PhysRange;

use super::crash::{self, DumpArea};
use super::window::check_window;
use super::{Kernel, Request};
use crate::demand::LOW_END;
use crate::memory_map::with_own_ram;
use crate::place::gaps;
use crate::view::{View, ViewPlace};
use crate::{Error, Interface, Machine, MemoryRange, Part, Segment};

/// Where a kernel is to live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Home {
    /// In place of the running kernel. Everything is loaded between these addresses, both included.
    Replace {
        /// Lowest address of a byte.
        lowest: u64,
        /// Highest address of a byte.
        highest: u64,
    },
    /// Alongside the running kernel, in a window and in the memory below 1 MiB. A window in the
    /// running kernel's RAM is exchanged as a whole. For one outside, the caller guarantees that it
    /// is unused.
    Peer {
        /// The window.
        window: PhysRange,
        /// Whether and how the kernel sees the running one's memory.
        view: Option<View>,
    },
    /// In the memory that the running kernel reserves for it, until the running kernel crashes.
    Crash {
        /// Bytes of the elfcorehdr, if the running kernel updates it when CPUs or memory come and
        /// go.
        update_size: Option<u64>,
    },
}

impl Home {
    /// In place of the running kernel, at any address.
    pub const ANYWHERE: Self = Self::Replace { lowest: 0, highest: u64::MAX };

    /// Whether the running kernel continues later.
    pub(super) const fn is_peer(self) -> bool {
        matches!(self, Self::Peer { .. })
    }

    pub(super) const fn interface(self) -> Interface {
        match self {
            Self::Replace { .. } | Self::Crash { .. } => Interface::KexecLoad,
            Self::Peer { .. } => Interface::Device,
        }
    }
}

/// A home on a given machine.
pub(super) struct Site {
    /// Where the load may be placed.
    pub(super) free: Vec<PhysRange>,
    /// Lowest and highest address of the load, both included.
    pub(super) limits: (u64, u64),
    /// The memory map that the kernel gets.
    pub(super) memory: Vec<MemoryRange>,
    /// Pages that the two kernels exchange, even if nothing is loaded there.
    pub(super) exchanged: Vec<PhysRange>,
    /// A window outside of the running kernel's RAM.
    pub(super) vouched: Option<PhysRange>,
    /// How the kernel finds the running one's memory, if it may see it.
    pub(super) old_memory: Option<OldMemory>,
}

/// An elfcorehdr that describes the running kernel's memory.
pub(super) enum OldMemory {
    /// A crash kernel's.
    Dump(DumpArea),
    /// A peer's.
    View(ViewPlace),
}

impl Site {
    pub(super) fn new(request: &Request<'_>, machine: &Machine) -> Result<Self, Error> {
        let site = match request.home {
            Home::Replace { lowest, highest } => Self::whole_machine((lowest, highest), machine),
            Home::Peer { window, view } => Self::window(window, view, machine)?,
            Home::Crash { update_size } => Self::crash_memory(update_size, machine)?,
        };
        site.clear_of_executable(&request.kernel)
    }

    fn whole_machine(limits: (u64, u64), machine: &Machine) -> Self {
        Self {
            free: machine.usable_ram(),
            limits,
            memory: machine.firmware.clone(),
            exchanged: Vec::new(),
            vouched: None,
            old_memory: None,
        }
    }

    fn window(window: PhysRange, view: Option<View>, machine: &Machine) -> Result<Self, Error> {
        let view = view.map(|view| ViewPlace::new(view, window)).transpose()?;
        let low = low_memory(machine)?;
        let is_ram = check_window(window, machine)?;
        let free = match &view {
            Some(view) => gaps(window, &[view.pages()]),
            None => vec![window],
        };
        let own: Vec<_> = low.iter().chain(&free).copied().collect();
        Ok(Self {
            free,
            limits: (window.start().get(), window.end() - 1),
            memory: with_own_ram(&machine.firmware, &own),
            exchanged: low.into_iter().chain(is_ram.then_some(window)).collect(),
            vouched: (!is_ram).then_some(window),
            old_memory: view.map(OldMemory::View),
        })
    }

    /// A crash kernel uses the memory reserved for it, and low memory.
    fn crash_memory(update_size: Option<u64>, machine: &Machine) -> Result<Self, Error> {
        let area = DumpArea::new(machine, update_size)?;
        let main = crash::main_range(machine)?;
        let own: Vec<_> =
            low_memory(machine)?.into_iter().chain(crash::own_ram(machine, area.range())).collect();
        Ok(Self {
            free: gaps(main, &[area.range()]),
            limits: (main.start().get(), main.end() - 1),
            memory: with_own_ram(&machine.firmware, &own),
            exchanged: Vec::new(),
            vouched: None,
            old_memory: Some(OldMemory::Dump(area)),
        })
    }

    /// Keeps other parts out of the fixed places of an executable kernel.
    fn clear_of_executable(mut self, kernel: &Kernel<'_>) -> Result<Self, Error> {
        let Kernel::Executable(program) = kernel else { return Ok(self) };
        let (lowest, highest) = self.limits;
        for segment in &program.segments {
            let (first, last) = (segment.address, segment.end() - 1);
            let range = PhysRange::from_bytes(first, segment.size).ok();
            let free = range.filter(|&range| {
                first >= lowest && last <= highest && self.free.iter().any(|hole| hole.contains_range(range))
            });
            let Some(range) = free else {
                return Err(Error::NoRoom {
                    name: "kernel",
                    size: segment.size,
                    align: 1,
                    lowest: first,
                    highest: last,
                    largest: 0,
                });
            };
            self.free = self.free.iter().flat_map(|&hole| gaps(hole, &[range])).collect();
        }
        Ok(self)
    }
}

impl OldMemory {
    /// The kernel's command-line parameter.
    pub(super) fn parameter(&self) -> String {
        match self {
            Self::Dump(area) => area.parameter(),
            Self::View(place) => place.parameter(),
        }
    }

    pub(super) fn parts(&self) -> Vec<Part> {
        match self {
            Self::Dump(area) => vec![area.part()],
            Self::View(place) => place.parts(),
        }
    }

    /// Its segment, and whether the bytes stay as they are, so that purgatory can verify them.
    pub(super) fn segment(&self) -> (Segment<'static>, bool) {
        match self {
            Self::Dump(area) => area.segment(),
            Self::View(place) => (place.segment(), false),
        }
    }
}

/// The RAM below 1 MiB.
fn low_memory(machine: &Machine) -> Result<Vec<PhysRange>, Error> {
    let ram = machine.usable_ram().into_iter();
    let low: Vec<_> = ram.filter(|range| range.end() <= LOW_END).collect();
    if low.is_empty() { Err(Error::NoLowMemory) } else { Ok(low) }
}
