//! Loading another kernel into a window of memory, next to the running kernel.

use std::path::Path;

use abi::device::{Load, Range, load_flag, mode};
use anyhow::{Context, anyhow, bail};
use kernel_file::BzImage;
use machine::{Machine, page_flags};
use phys::PhysRange;
use plan::LoadPlan;
use plan::linux::{self, Home, Initrd, Kernel, parameters};
use plan::purgatory::Purgatory;
use sys::device::LoadRequest;
use sys::{Device, ImageName};

use super::forecast;
use super::guard::GuardRole;
use super::record::PeerRecord;
use super::view::RunningKernel;
use crate::device;
use crate::input::{self, Name};
use crate::kernel::file::KernelFile;
use crate::kernel::{digest, loading};
use crate::terminal::progress::Progress;
use crate::terminal::quantity;

/// A kernel to load. Its files have been read.
pub(crate) struct Request<'a> {
    /// The name to keep it under.
    pub(crate) name: &'a ImageName,
    pub(crate) kernel: &'a KernelFile,
    pub(crate) initrds: Vec<Initrd<'a>>,
    pub(crate) command_line: Vec<u8>,
    pub(crate) window: Window,
    /// Whether another CPU guards the kernel, so that it can be stopped at a deadline.
    pub(crate) guarded: bool,
    /// Whether the kernel's /proc/vmcore shows the memory of the running kernel.
    pub(crate) vmcore: bool,
    /// Bytes of memory for messages to the kernel, if its /proc/vmcore shows the running one's.
    pub(crate) mailbox: u64,
    pub(crate) purgatory: Purgatory<'static>,
}

/// The memory that the kernel lives in.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Window {
    At(PhysRange),
    /// The best place for a window of this size.
    Anywhere {
        size: u64,
    },
}

/// A kernel whose load is planned.
pub(crate) struct Planned<'a> {
    name: &'a ImageName,
    guarded: bool,
    purgatory: Purgatory<'static>,
    kernel: BzImage<'a>,
    plan: LoadPlan<'a>,
    machine: plan::Machine,
    /// What the new kernel is given to read this one's memory by.
    running: Option<RunningKernel>,
}

impl<'a> Planned<'a> {
    pub(crate) fn new(request: &Request<'a>) -> anyhow::Result<Self> {
        let path = &request.kernel.path;
        let kernel = BzImage::parse(request.kernel.kernel());
        let kernel = kernel.with_context(|| format!("kernel {}", Name(path)))?;
        let machine = Machine::probe(Path::new("/"));
        let running = request.vmcore.then(|| RunningKernel::read(&machine));
        let machine = machine.for_plan().map_err(|unknown| anyhow!("{unknown}"))?;
        let window = request.window.range(&kernel, &machine)?;
        forecast::check(&request.command_line, window)?;
        let guard = GuardRole::find(request.guarded)?;
        let mut command_line = request.command_line.clone();
        if let Some(parameters) = guard.parameters() {
            parameters::add(&mut command_line, parameters.as_bytes());
        }
        let linux = linux::Request {
            kernel: Kernel::BzImage(kernel),
            mode: None,
            initrds: request.initrds.clone(),
            command_line,
            home: Home::Peer { window, view: running.as_ref().map(|running| running.view(request.mailbox)) },
            purgatory: request.purgatory,
            no_efi: false,
            seed: sys::system::random(),
            device_tree: None,
        };
        let plan = linux::plan(&linux, &machine)?;
        // First the one is taken and given back, then the other.
        input::require_room(plan.bytes().max(kernel.memory_to_check())).context("the load")?;
        check_payload(&kernel, path)?;
        let Request { name, guarded, purgatory, .. } = *request;
        Ok(Self { name, guarded, purgatory, kernel, plan, machine, running })
    }

    pub(crate) const fn plan(&self) -> &LoadPlan<'a> {
        &self.plan
    }

    /// Loads the kernel and keeps it under its name. It is the image of the open file that is
    /// returned.
    pub(crate) fn load(mut self) -> anyhow::Result<Device> {
        digest::seal(&mut self.plan, &self.purgatory);
        let device = device::open()?;
        let load = self.load_plan(&device)?;
        let mut record = PeerRecord::new(load.id, release_of(&self.kernel), self.guarded);
        record.mailbox = self.plan.view().and_then(|place| place.mailbox());
        record.memory = memory(&self.machine);
        if let (Some(running), Some(place)) = (self.running, self.plan.view()) {
            running.show(&device, load.id, place, self.machine)?;
        }
        // Before it is kept: without its record, a kept image is taken for a program and called as
        // one.
        record.write(&device)?;
        device.keep(self.name).with_context(|| format!("keeping it as {}", self.name))?;
        Ok(device)
    }

    fn load_plan(&self, device: &Device) -> anyhow::Result<Load> {
        refuse_taken(device, self.name)?;
        let plan = &self.plan;
        let size = quantity::bytes(plan.bytes());
        let _progress = Progress::start(format!("loading {} ({size})", self.name), 1);
        let vouched: Vec<Range> = plan
            .vouched()
            .iter()
            .map(|range| Range { start: range.start().get(), end: range.end() })
            .collect();
        let request = LoadRequest {
            segments: &loading::destinations(plan),
            vouched: &vouched,
            entry: plan.entry().get(),
            mode: mode::LONG,
            // Pages that the running kernel moves out of the window now need not be exchanged at
            // each switch.
            flags: load_flag::CLAIM | if self.guarded { load_flag::GUARD } else { 0 },
        };
        device.load(&request).map_err(|refusal| {
            let names: Vec<String> = plan.segments().iter().map(|segment| segment.name.into()).collect();
            device::refused(refusal, &names)
        })
    }
}

impl Window {
    fn range(self, kernel: &BzImage<'_>, machine: &plan::Machine) -> anyhow::Result<PhysRange> {
        match self {
            Self::At(range) => Ok(range),
            Self::Anywhere { size } => {
                // Any place works; a good one saves time.
                let pinned = page_flags::pinned(Path::new("/"), 4 << 30).unwrap_or_default();
                Ok(linux::window(kernel, size, machine, &pinned)?)
            }
        }
    }
}

/// Bytes of the running kernel's memory.
pub(crate) fn memory(machine: &plan::Machine) -> u64 {
    machine.ram.iter().map(|range| range.bytes()).sum()
}

/// Unpacks the kernel's payload, which the kernel itself does again in its window, where an error
/// could not be reported.
fn check_payload(kernel: &BzImage<'_>, path: &Path) -> anyhow::Result<()> {
    let _progress = Progress::start(format!("unpacking {}", Name(path)), 1);
    kernel.check_payload().with_context(|| format!("kernel {} is damaged", Name(path)))
}

/// Checks the name first: loading takes long.
fn refuse_taken(device: &Device, name: &ImageName) -> anyhow::Result<()> {
    if device.image_named(name)?.is_some() {
        bail!(
            "the name {name} is taken by a loaded image; choose another with --name, or give that one up \
             with `kjump drop {name}`"
        );
    }
    Ok(())
}

/// The release in a kernel's version text.
fn release_of(kernel: &BzImage<'_>) -> String {
    let text = String::from_utf8_lossy(kernel.version.unwrap_or(b""));
    text.split_whitespace().next().unwrap_or("unknown").to_owned()
}
