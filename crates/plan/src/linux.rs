//! Linux for x86 by its 64-bit, 32-bit or real-mode entry point (`Documentation/arch/x86/boot.rst`).
//!
//! Three things need a place: the kernel with the memory it takes before it reads the memory map, the initrds one behind
//! the other, and the `handoff` with all that is told; or, in real mode, the kernel's own `setup` code that finds out for
//! itself. A fourth is what leads from `kexec_load` to the kernel's mode.

mod boot_params;
mod command_line;
mod crash;
mod handoff;
pub(crate) mod initrd;
mod kernel;
mod setup;
mod window;

use std::borrow::Cow;

use abi::setup_data::kind;
use abi::setup_header::ENTRY_64;
use phys::{PhysRange, RangeSet};

use crate::goal::register::RSI;
use crate::load_plan::Draft;
use crate::memory_map::beside;
use crate::place::gaps;
use crate::purgatory::{self, Besides, Purgatory};
use crate::view::{View, ViewPlace};
use crate::{CpuMode, Demand, Error, Goal, LoadPlan, Machine, Part, Search, Segment, SetupData, Way, place};

use command_line::CommandLine;
use crash::Kept;
use handoff::{Handoff, Told, seed};
pub use initrd::Initrd;
use kernel::Form;
pub use kernel::Kernel;
use setup::Setup;
use window::check_window;
pub use window::window;

/// A kernel to load.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// The kernel.
    pub kernel: Kernel<'a>,
    /// How a bzImage is entered; `None` for the best way that it has.
    pub mode: Option<CpuMode>,
    /// What it unpacks as its first file system, in this order.
    pub initrds: Vec<Initrd<'a>>,
    /// Its command line, without a zero behind it.
    pub command_line: Vec<u8>,
    /// Where it is to live.
    pub home: Home,
    /// What leads there.
    pub purgatory: Purgatory<'a>,
    /// Not to tell it of EFI.
    pub no_efi: bool,
    /// A seed for its random number generator.
    pub seed: Option<[u8; 32]>,
    /// A device tree.
    pub device_tree: Option<Vec<u8>>,
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
    /// In the memory that the running kernel keeps for it, until that one crashes.
    Crash {
        /// Bytes of an elfcorehdr that the running kernel writes anew when CPUs or memory come and go, if it does.
        update_size: Option<u64>,
    },
}

impl Home {
    /// In the running kernel's place, anywhere.
    pub const ANYWHERE: Self = Self::Replace { lowest: 0, highest: u64::MAX };

    const fn way(self) -> Way {
        match self {
            Self::Replace { .. } | Self::Crash { .. } => Way::KexecLoad,
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
    form: Form<'r>,
    mode: CpuMode,
    command_line: CommandLine,
    /// What the kernel is told.
    told: Told,
    /// Where it may be loaded.
    free: Vec<PhysRange>,
    /// What is exchanged though nothing is loaded there.
    exchanged: Vec<PhysRange>,
    /// The window, if it is no RAM of the running kernel.
    vouched: Option<PhysRange>,
    /// Lowest and highest address of what is loaded.
    limits: (u64, u64),
    /// What a crash kernel finds of the running one.
    kept: Option<Kept>,
    /// What a peer sees of the running kernel.
    view: Option<ViewPlace>,
}

impl<'r, 'a> Wishes<'r, 'a> {
    fn new(request: &'r Request<'a>, machine: &Machine) -> Result<Self, Error> {
        let mode = mode(request)?;
        if machine.firmware.is_empty() {
            return Err(Error::NoFirmwareMap);
        }
        initrd::check(&request.initrds)?;
        let view = match request.home {
            Home::Beside { window, view: Some(view) } => Some(ViewPlace::new(view, window)?),
            _ => None,
        };
        let form = Form::of(&request.kernel);
        let kept = kept(request, machine)?;
        let mut words = request.command_line.clone();
        words.extend_from_slice(kept.as_ref().map(Kept::words).unwrap_or_default().as_bytes());
        words.extend_from_slice(view.as_ref().map(ViewPlace::words).unwrap_or_default().as_bytes());
        let command_line = CommandLine::new(&words, comes_back(request), form.cmdline_size)?;
        let told = told(request, &form, machine);
        let wishes = Self {
            request,
            form,
            mode,
            command_line,
            told,
            free: machine.usable_ram(),
            exchanged: Vec::new(),
            vouched: None,
            limits: ALL,
            kept,
            view,
        };
        match request.home {
            Home::Replace { lowest, highest } => {
                Self { limits: (lowest, highest), ..wishes }.around_executable()
            }
            Home::Beside { window, .. } => wishes.beside(window, machine),
            Home::Crash { .. } => wishes.in_crash_memory(machine),
        }
    }

    /// In a window. The picture, EFI and the BIOS's disks are left to the kernel that has them.
    fn beside(self, window: PhysRange, machine: &Machine) -> Result<Self, Error> {
        let low = self.low_memory()?;
        let is_ram = check_window(window, machine)?;
        let its_ram = match &self.view {
            Some(view) => gaps(window, &[view.pages()]),
            None => vec![window],
        };
        let own: Vec<_> = low.iter().chain(&its_ram).copied().collect();
        let told = Told {
            memory: beside(&machine.firmware, &own),
            rsdp: machine.rsdp,
            setup_data: self.request.seed.map(seed).into_iter().collect(),
            ..Told::default()
        };
        Self {
            told,
            free: its_ram,
            exchanged: low.into_iter().chain(is_ram.then_some(window)).collect(),
            vouched: (!is_ram).then_some(window),
            limits: (window.start().get(), window.end() - 1),
            ..self
        }
        .around_executable()
    }

    /// In what is reserved, which with low memory is all the RAM it has.
    fn in_crash_memory(self, machine: &Machine) -> Result<Self, Error> {
        let kept = self.kept.as_ref().map(Kept::range).ok_or(Error::NoCrashMemory)?;
        let main = crash::main_range(machine)?;
        let own: Vec<_> = self.low_memory()?.into_iter().chain(crash::own_ram(machine, kept)).collect();
        Self {
            told: Told { memory: beside(&machine.firmware, &own), ..self.told },
            free: gaps(main, &[kept]),
            limits: (main.start().get(), main.end() - 1),
            ..self
        }
        .around_executable()
    }

    /// RAM below 1 MiB.
    fn low_memory(&self) -> Result<Vec<PhysRange>, Error> {
        let low: Vec<_> = self.free.iter().copied().filter(|range| range.end() <= LOW_END).collect();
        if low.is_empty() { Err(Error::NoLowMemory) } else { Ok(low) }
    }

    /// Nothing else is placed where an executable says it belongs.
    fn around_executable(self) -> Result<Self, Error> {
        let Kernel::Executable(program) = &self.request.kernel else { return Ok(self) };
        let (lowest, highest) = self.limits;
        let mut free = self.free.clone();
        for segment in &program.segments {
            let no_room = || Error::NoRoom {
                name: "kernel",
                size: segment.size,
                align: 1,
                lowest: segment.address,
                highest: segment.end() - 1,
                largest: 0,
            };
            let range = PhysRange::from_bytes(segment.address, segment.size).map_err(|_| no_room())?;
            if !free.iter().any(|hole| hole.contains_range(range))
                || segment.address < lowest
                || segment.end() - 1 > highest
            {
                return Err(no_room());
            }
            free = free.iter().flat_map(|&hole| gaps(hole, &[range])).collect();
        }
        Ok(Self { free, ..self })
    }

    /// The kernel first: it is the largest and has the least choice. But in real mode, what must be low is harder to place.
    fn demands(&self) -> Vec<Demand> {
        let mut demands = Vec::new();
        if let Some(setup) = self.setup() {
            demands.push(self.low_demand("setup", setup.size(&self.command_line)));
        }
        if self.mode == CpuMode::Real {
            demands.push(self.low_demand(purgatory::NAME, purgatory::SIZE));
        }
        if let Kernel::BzImage(kernel) = &self.request.kernel {
            let (lowest, align) = match kernel.alignment {
                Some(alignment) => (kernel.preferred, alignment),
                None => (kernel.preferred, 1),
            };
            let highest =
                if kernel.alignment.is_some() { u64::MAX } else { lowest.saturating_add(kernel.memory - 1) };
            demands.push(self.demand("kernel", kernel.memory, align, Search::BottomUp, (lowest, highest)));
        }
        if self.mode != CpuMode::Real {
            demands.push(self.demand(
                "handoff",
                Handoff::size(&self.command_line, &self.told),
                1,
                Search::TopDown,
                ALL,
            ));
            demands.push(self.demand(purgatory::NAME, purgatory::SIZE, 1, Search::TopDown, ALL));
        }
        if let Some(size) = initrd::size(&self.request.initrds) {
            demands.push(self.demand("initrd", size, 1, Search::TopDown, (0, self.form.initrd_last)));
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
        let (home_lowest, home_highest) = self.limits;
        let (lowest, highest) = (lowest.max(home_lowest).max(LOW_END), highest.min(home_highest));
        let mut windows = vec![(lowest, highest.min(BELOW_4G))];
        if self.mode == CpuMode::Long && self.form.above_4g && highest > BELOW_4G {
            windows.push((lowest, highest));
        }
        Demand { name, size, align, windows, search }
    }

    /// Where real mode reaches. Below 64 KiB, kernels of old and BIOSes keep things.
    fn low_demand(&self, name: &'static str, size: u64) -> Demand {
        let windows = vec![(0x1_0000, LOW_END - 1)];
        Demand { name, size, align: 1, windows, search: Search::BottomUp }
    }

    fn setup(&self) -> Option<Setup<'_>> {
        match &self.request.kernel {
            Kernel::BzImage(kernel) if self.mode == CpuMode::Real => Some(Setup { kernel }),
            _ => None,
        }
    }

    const fn way(&self) -> Way {
        self.request.home.way()
    }

    fn render(&self, places: &[PhysRange]) -> Result<Draft<'a>, Error> {
        let demands = self.demands();
        let place = |name| {
            demands.iter().zip(places).find(|(demand, _)| demand.name == name).map(|(_, &place)| place)
        };
        let initrd = place("initrd").map(|place| (place.start().get(), initrd::bytes(&self.request.initrds)));
        let kernel_at = match (&self.request.kernel, place("kernel")) {
            (Kernel::Executable(program), _) => program.entry,
            (Kernel::BzImage(_), place) => place.map_or(0, |place| place.start().get()),
        };
        let mut image = self.image(place("kernel"));
        if let (Some(setup), Some(range)) = (self.setup(), place("setup")) {
            image.add_setup(&setup, range, kernel_at, initrd, &self.command_line)?;
        }
        if let Some(range) = place("handoff") {
            let handoff = Handoff {
                range,
                kernel: &self.form,
                kernel_at,
                initrd,
                command_line: &self.command_line,
                told: &self.told,
            };
            let bytes = Cow::Owned(handoff.bytes());
            image.segments.push(Segment { name: "handoff", range, bytes });
            image.parts.extend(handoff.parts());
            image.line_at = handoff.command_line_at();
            image.goal = self.goal(kernel_at).with(RSI, handoff.boot_params_at());
        }
        if let Some((address, size)) = initrd {
            image.segments.extend(initrd::segments(&self.request.initrds, address));
            image.parts.push(Part { name: "initrd", address, size });
        }
        let (elfcorehdr, is_checked) = self.kept.as_ref().and_then(Kept::segment).unzip();
        let (first, last) = if is_checked == Some(true) { (elfcorehdr, None) } else { (None, elfcorehdr) };
        image.segments.extend(first);
        image.parts.extend(self.kept.iter().flat_map(Kept::parts));
        let range = place(purgatory::NAME).ok_or(Error::NoPlace)?;
        let besides = self.besides(image.line_at);
        let (purgatory, entry) =
            self.request.purgatory.lead(range, &image.goal, &besides, &image.segments)?;
        image.segments.push(purgatory);
        image.segments.extend(last);
        if let Some(view) = &self.view {
            let (name, bytes) = ("view of the running kernel", Cow::Borrowed([].as_slice()));
            image.segments.push(Segment { name, range: view.pages(), bytes });
            image.parts.extend(view.parts());
        }
        image.segments.extend(self.exchanged_rest(&image.segments));
        Ok(Draft {
            way: self.way(),
            parts: image.parts,
            entry,
            goal: image.goal,
            memory: if self.mode == CpuMode::Real { Vec::new() } else { self.told.memory.clone() },
            command_line: self.command_line.text().to_vec(),
            vouched: self.vouched.into_iter().collect(),
            view: self.view,
            segments: image.segments,
        })
    }

    fn besides(&self, line_at: u64) -> Besides {
        let end = line_at + self.command_line.text().len() as u64;
        let room = self.command_line.room();
        Besides { way_back: (room > 0).then_some((end, room)), copy: self.kept.as_ref().map(Kept::copy) }
    }

    /// The kernel alone.
    fn image(&self, place: Option<PhysRange>) -> Image<'a> {
        let (segments, parts): (Vec<_>, Vec<_>) = match (&self.request.kernel, place) {
            (Kernel::BzImage(kernel), Some(range)) => {
                let bytes = kernel.kernel;
                let part = Part { name: "kernel", address: range.start().get(), size: bytes.len() as u64 };
                (vec![Segment { name: "kernel", range, bytes: Cow::Borrowed(bytes) }], vec![part])
            }
            (Kernel::BzImage(_), None) => (Vec::new(), Vec::new()),
            (Kernel::Executable(program), _) => {
                (program.segments.iter().filter_map(Segment::of_file).collect(), Vec::new())
            }
        };
        Image { segments, parts, goal: Goal::at(self.mode, 0), line_at: 0 }
    }

    fn goal(&self, kernel_at: u64) -> Goal {
        let offset = match (&self.request.kernel, self.mode) {
            (Kernel::BzImage(_), CpuMode::Long) => ENTRY_64,
            _ => 0,
        };
        Goal::at(self.mode, kernel_at + offset)
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
}

/// Everywhere.
const ALL: (u64, u64) = (0, u64::MAX);

/// What is loaded, while it is put together.
struct Image<'a> {
    segments: Vec<Segment<'a>>,
    parts: Vec<Part>,
    goal: Goal,
    /// Address of the command line.
    line_at: u64,
}

impl Image<'_> {
    fn add_setup(
        &mut self,
        setup: &Setup<'_>,
        range: PhysRange,
        kernel_at: u64,
        initrd: Option<(u64, u64)>,
        command_line: &CommandLine,
    ) -> Result<(), Error> {
        let bytes = Cow::Owned(setup.bytes(range, kernel_at, initrd, command_line)?);
        self.segments.push(Segment { name: "setup", range, bytes });
        self.parts.extend(setup.parts(range, command_line));
        self.line_at = Setup::command_line_at(range);
        self.goal = Setup::goal(range);
        Ok(())
    }
}

/// What a crash kernel finds of the running one, if it is to be one.
fn kept(request: &Request<'_>, machine: &Machine) -> Result<Option<Kept>, Error> {
    match request.home {
        Home::Crash { update_size } => Kept::new(machine, update_size).map(Some),
        _ => Ok(None),
    }
}

/// Whether the running kernel is to be jumped back to.
const fn comes_back(request: &Request<'_>) -> bool {
    matches!(request.home, Home::Beside { .. })
}

/// The mode that a kernel is entered in.
fn mode(request: &Request<'_>) -> Result<CpuMode, Error> {
    let kernel = match &request.kernel {
        Kernel::BzImage(kernel) => kernel,
        Kernel::Executable(program) if program.mode == kernel_file::Mode::Long => return Ok(CpuMode::Long),
        Kernel::Executable(_) => return Ok(CpuMode::Protected),
    };
    match request.mode {
        Some(CpuMode::Long) if !kernel.has_entry_64 => Err(no_entry_64(kernel)),
        Some(mode) => Ok(mode),
        None if kernel.has_entry_64 => Ok(CpuMode::Long),
        None if comes_back(request) => Err(no_entry_64(kernel)),
        None => Ok(CpuMode::Protected),
    }
}

fn no_entry_64(kernel: &kernel_file::BzImage<'_>) -> Error {
    Error::NoEntry64 { protocol: kernel.protocol.to_string() }
}

/// What a kernel is told that takes the running one's place.
fn told(request: &Request<'_>, form: &Form<'_>, machine: &Machine) -> Told {
    let tree = request.device_tree.iter().map(|bytes| SetupData { kind: kind::DTB, bytes: bytes.clone() });
    let kept = machine.setup_data.iter().filter(|data| outlives_its_kernel(data.kind)).cloned();
    Told {
        memory: machine.firmware.clone(),
        rsdp: machine.rsdp,
        screen: machine.screen,
        before: machine.boot_params.clone(),
        efi: machine.efi.clone().filter(|_| form.efi_kexec && !request.no_efi),
        setup_data: request.seed.map(seed).into_iter().chain(tree).chain(kept).collect(),
    }
}

/// Whether the running kernel's setup_data holds for the next one. The memory map and EFI's tables are told anew; the
/// random seed is used up; the buffer that IMA's speaks of is freed when it has been read.
const fn outlives_its_kernel(data: u32) -> bool {
    matches!(data, kind::PCI | kind::APPLE_PROPERTIES | kind::JAILHOUSE | kind::CC_BLOB)
}
