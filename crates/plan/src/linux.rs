//! Linux for x86 by its 64-bit entry point (`Documentation/arch/x86/boot.rst`, "64-bit Boot Protocol").
//!
//! Three things need a place: the kernel with the memory it takes before it reads the memory map, the initrds one behind
//! the other, and the `handoff` with all that is told.

mod boot_params;
mod command_line;
mod handoff;
mod initrd;
mod trampoline;
mod view;
mod window;

use std::borrow::Cow;

use abi::boot_params::SCREEN_INFO_SIZE;
use abi::setup_header::ENTRY_64;
use kernel_file::BzImage;
use phys::{PhysAddr, PhysRange, RangeSet};

use crate::load_plan::Draft;
use crate::memory_map::beside;
use crate::{
    Demand, Entry, Error, LoadPlan, Machine, MemoryKind, MemoryRange, Part, Search, Segment, Way, place,
};

use command_line::{Additions, CommandLine};
use handoff::Handoff;
pub use initrd::Initrd;
pub use view::{View, ViewPlace};
pub use window::window;

/// A kernel to load.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// The kernel.
    pub kernel: BzImage<'a>,
    /// What it unpacks as its first file system, in this order.
    pub initrds: Vec<Initrd<'a>>,
    /// Its command line, without a zero behind it.
    pub command_line: Vec<u8>,
    /// Where it is to live.
    pub home: Home,
}

/// Where a kernel is to live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Home {
    /// In the running kernel's place. Nothing is loaded below or above these addresses, both included.
    Replace {
        /// Lowest address of a byte.
        lowest: u64,
        /// Highest address of a byte.
        highest: u64,
    },
    /// Beside the running kernel, which comes back: in a window, and in the memory below 1 MiB. Where the window is RAM
    /// of the running kernel, all of it is exchanged; else nobody else may use it, by the caller's word.
    Beside {
        /// The window.
        window: PhysRange,
        /// What the kernel is to see of the running one, if anything.
        view: Option<View>,
    },
}

impl Home {
    /// In the running kernel's place, anywhere.
    pub const ANYWHERE: Self = Self::Replace { lowest: 0, highest: u64::MAX };

    const fn way(self) -> Way {
        match self {
            Self::Replace { .. } => Way::KexecLoad,
            Self::Beside { .. } => Way::Device,
        }
    }
}

/// Below, a kernel keeps what its other CPUs start with, and firmware its data.
const LOW_END: u64 = 0x10_0000;
/// The last byte that an older kernel's first page tables reach.
const BELOW_4G: u64 = 0xffff_ffff;

/// Plans a kernel's load.
///
/// # Errors
/// Every [`Error`].
pub fn plan<'a>(request: &Request<'a>, machine: &Machine) -> Result<LoadPlan<'a>, Error> {
    let wishes = Wishes::new(request, machine)?;
    let places = place(&wishes.demands(), &wishes.free)?;
    LoadPlan::new(wishes.render(&places)?, machine)
}

/// A request that makes sense, and what follows from it for the machine; no address is given yet.
struct Wishes<'r, 'a> {
    request: &'r Request<'a>,
    command_line: CommandLine,
    /// What the kernel is told of memory.
    memory: Vec<MemoryRange>,
    /// Where it may be loaded.
    free: Vec<PhysRange>,
    /// What is exchanged though nothing is loaded there.
    exchanged: Vec<PhysRange>,
    /// The window, if it is no RAM of the running kernel.
    vouched: Option<PhysRange>,
    view: Option<ViewPlace>,
    rsdp: Option<u64>,
    screen: Option<[u8; SCREEN_INFO_SIZE]>,
}

impl<'r, 'a> Wishes<'r, 'a> {
    fn new(request: &'r Request<'a>, machine: &Machine) -> Result<Self, Error> {
        if !request.kernel.has_entry_64 {
            return Err(Error::NoEntry64 { protocol: request.kernel.protocol.to_string() });
        }
        if machine.firmware.is_empty() {
            return Err(Error::NoFirmwareMap);
        }
        initrd::check(&request.initrds)?;
        let view = match request.home {
            Home::Beside { window, view: Some(view) } => Some(ViewPlace::new(view, window)?),
            _ => None,
        };
        let additions = Additions {
            elfcorehdr: view.as_ref().map(ViewPlace::header),
            jump_back: matches!(request.home, Home::Beside { .. }),
        };
        let command_line = CommandLine::new(&request.command_line, additions, request.kernel.cmdline_size)?;
        let wishes = Self {
            request,
            command_line,
            memory: machine.firmware.clone(),
            free: machine.usable_ram(),
            exchanged: Vec::new(),
            vouched: None,
            view,
            rsdp: machine.rsdp,
            screen: machine.screen,
        };
        match request.home {
            Home::Replace { .. } => Ok(wishes),
            Home::Beside { window, .. } => wishes.beside(window, machine),
        }
    }

    /// In a window. The picture is left to the kernel that has it.
    fn beside(self, window: PhysRange, machine: &Machine) -> Result<Self, Error> {
        let low: Vec<_> = self.free.iter().copied().filter(|range| range.end() <= LOW_END).collect();
        if low.is_empty() {
            return Err(Error::NoLowMemory);
        }
        let is_ram = check_window(window, machine)?;
        let its_ram = match &self.view {
            Some(view) => gaps(window, &[view.pages()]),
            None => vec![window],
        };
        let told: Vec<_> = low.iter().chain(&its_ram).copied().collect();
        let exchanged = low.iter().copied().chain(is_ram.then_some(window));
        Ok(Self {
            memory: beside(&machine.firmware, &told),
            free: its_ram,
            exchanged: exchanged.collect(),
            vouched: (!is_ram).then_some(window),
            screen: None,
            ..self
        })
    }

    /// The kernel first: it is the largest and has the least choice.
    fn demands(&self) -> Vec<Demand> {
        let kernel = &self.request.kernel;
        let (lowest, align) = match kernel.alignment {
            Some(alignment) => (kernel.preferred, alignment),
            None => (kernel.preferred, 1),
        };
        let highest =
            if kernel.alignment.is_some() { u64::MAX } else { lowest.saturating_add(kernel.memory - 1) };
        let mut demands = vec![
            self.demand("kernel", kernel.memory, align, Search::BottomUp, (lowest, highest)),
            self.demand("handoff", self.handoff_size(), 1, Search::TopDown, (0, u64::MAX)),
        ];
        if let Some(size) = initrd::size(&self.request.initrds) {
            let window = (0, kernel.initrd_last);
            demands.push(self.demand("initrd", size, 1, Search::TopDown, window));
        }
        demands
    }

    /// Below 4 GiB if that can be, as older kernels find their way there more easily; above where the kernel can.
    fn demand(
        &self,
        name: &'static str,
        size: u64,
        align: u64,
        search: Search,
        (lowest, highest): (u64, u64),
    ) -> Demand {
        let (home_lowest, home_highest) = match self.request.home {
            Home::Replace { lowest, highest } => (lowest, highest),
            Home::Beside { window, .. } => (window.start().get(), window.end() - 1),
        };
        let (lowest, highest) = (lowest.max(home_lowest).max(LOW_END), highest.min(home_highest));
        let mut windows = vec![(lowest, highest.min(BELOW_4G))];
        if self.request.kernel.above_4g && highest > BELOW_4G {
            windows.push((lowest, highest));
        }
        Demand { name, size, align, windows, search }
    }

    fn handoff_size(&self) -> u64 {
        Handoff::size(self.way(), &self.command_line, &self.memory)
    }

    const fn way(&self) -> Way {
        self.request.home.way()
    }

    fn render(&self, places: &[PhysRange]) -> Result<Draft<'a>, Error> {
        let [kernel, handoff, rest @ ..] = places else {
            return Err(Error::NoRoom {
                name: "kernel",
                size: 0,
                align: 0,
                lowest: 0,
                highest: 0,
                largest: 0,
            });
        };
        let initrd = rest.first().map(|place| (place.start().get(), initrd::bytes(&self.request.initrds)));
        let handoff = Handoff {
            range: *handoff,
            way: self.way(),
            kernel: &self.request.kernel,
            kernel_at: kernel.start().get(),
            initrd,
            command_line: &self.command_line,
            memory: &self.memory,
            rsdp: self.rsdp,
            screen: self.screen.as_ref(),
        };
        let mut segments = vec![
            Segment { name: "kernel", range: *kernel, bytes: Cow::Borrowed(self.request.kernel.kernel) },
            Segment { name: "handoff", range: handoff.range, bytes: Cow::Owned(handoff.bytes()) },
        ];
        if let Some((address, _)) = initrd {
            segments.extend(initrd::segments(&self.request.initrds, address));
        }
        if let Some(view) = &self.view {
            let bytes = Cow::Borrowed([].as_slice());
            segments.push(Segment { name: "view of the running kernel", range: view.pages(), bytes });
        }
        segments.extend(self.exchanged_rest(&segments));
        Ok(Draft {
            way: self.way(),
            parts: self.parts(&handoff, initrd),
            entry: self.entry(&handoff)?,
            memory: self.memory.clone(),
            command_line: self.command_line.text().to_vec(),
            jump_back: self
                .command_line
                .jump_back()
                .and_then(|offset| PhysAddr::new(handoff.command_line_at() + offset)),
            vouched: self.vouched.into_iter().collect(),
            view: self.view,
            segments,
        })
    }

    /// Segments without bytes for what is exchanged, and not covered by the others.
    fn exchanged_rest(&self, others: &[Segment<'_>]) -> Vec<Segment<'a>> {
        let mut covered: Vec<_> = others.iter().map(|segment| segment.range).collect();
        let covered = RangeSet::sort(&mut covered).ranges();
        let rest = self.exchanged.iter().flat_map(|&range| gaps(range, covered));
        rest.map(|range| {
            let name = if range.end() <= LOW_END { "low memory" } else { "rest of the window" };
            Segment { name, range, bytes: Cow::Borrowed([].as_slice()) }
        })
        .collect()
    }

    fn parts(&self, handoff: &Handoff<'_>, initrd: Option<(u64, u64)>) -> Vec<Part> {
        let kernel = Part {
            name: "kernel",
            address: handoff.kernel_at,
            size: self.request.kernel.kernel.len() as u64,
        };
        let initrd = initrd.map(|(address, size)| Part { name: "initrd", address, size });
        let view = self.view.iter().flat_map(ViewPlace::parts);
        handoff.parts().into_iter().chain([kernel]).chain(initrd).chain(view).collect()
    }

    fn entry(&self, handoff: &Handoff<'_>) -> Result<Entry, Error> {
        let (address, arguments) = match self.way() {
            Way::KexecLoad => (handoff.trampoline_at(), [0; 6]),
            Way::Device => (handoff.kernel_at + ENTRY_64, [0, handoff.boot_params_at(), 0, 0, 0, 0]),
        };
        let address = PhysAddr::new(address).ok_or(Error::EntryOutside { entry: address })?;
        Ok(Entry { address, arguments })
    }
}

/// Whether a window that will do is RAM of the running kernel.
fn check_window(window: PhysRange, machine: &Machine) -> Result<bool, Error> {
    let bad = |what: &str| Err(Error::BadWindow { window, what: what.into() });
    if window.start().get() < LOW_END {
        return bad("the memory below 1 MiB, which a peer has anyway");
    }
    let other = machine.firmware.iter().find(|range| {
        range.kind() != MemoryKind::Ram
            && range.first() < window.end()
            && range.last() >= window.start().get()
    });
    if let Some(range) = other {
        let (first, last) = (range.first(), range.last());
        return bad(&format!("{first:#x}-{last:#x}, which the firmware says is {}", range.kind()));
    }
    let told = machine.firmware.iter().filter(|range| range.kind() == MemoryKind::Ram);
    let mut told: Vec<_> = told.filter_map(|range| range.pages()).collect();
    if !RangeSet::sort(&mut told).contains_range(window) {
        return bad("what the firmware does not say is RAM");
    }
    let mut ram = machine.ram.clone();
    let ram = RangeSet::sort(&mut ram);
    let touches = ram.ranges().iter().any(|range| range.intersection(window).is_some());
    match (touches, ram.contains_range(window)) {
        (true, false) => bad("the end of the running kernel's RAM; it must be all in it or all outside"),
        (is_ram, _) => Ok(is_ram),
    }
}

/// What of a range no other range has; the others rise and do not touch.
fn gaps(range: PhysRange, others: &[PhysRange]) -> Vec<PhysRange> {
    let mut gaps = Vec::new();
    let mut free = range.start().get();
    for other in others.iter().filter_map(|other| other.intersection(range)) {
        gaps.extend(PhysRange::from_bytes(free, other.start().get() - free));
        free = other.end();
    }
    gaps.extend(PhysRange::from_bytes(free, range.end() - free));
    gaps
}
