//! `kjump boot`: another kernel beside the running one.

use std::path::{Path, PathBuf};

use abi::device::{Load, Range, load_flag, mode};
use anyhow::Context;
use kernel_file::BzImage;
use machine::{Machine, page_flags};
use phys::PhysRange;
use plan::LoadPlan;
use plan::linux::{self, Home, Initrd, Kernel};
use plan::purgatory::Purgatory;
use sys::device::LoadRequest;
use sys::{Device, ImageName};

use super::guard::Guard;
use super::view::Described;
use crate::device;
use crate::kernel::digest::{self, QUIET};
use crate::kernel::file::KernelFile;
use crate::kernel::loading;
use crate::peer::args::BootArgs;
use crate::peer::record::Account;
use crate::peer::visit::Visit;
use crate::terminal::progress::Progress;
use crate::terminal::quantity;
use crate::terminal::report::{self, Outcome};

pub(crate) fn run(args: &BootArgs) -> anyhow::Result<Outcome> {
    let Some(device) = load_kernel(args, QUIET)? else { return Ok(Outcome::Done) };
    let deadline = args.deadline.unwrap_or(0);
    let visit = Visit::make(&device, &args.name, [0; 6], deadline).inspect_err(|_| {
        // It never ran, so nothing is lost with it; the error of the call is the one to tell.
        let _ = device.unload();
    })?;
    visit.report(args.json)
}

/// Loads a kernel behind a purgatory, and keeps it under its name. Returns the device with it; nothing where the plan was
/// only to be printed.
pub(crate) fn load_kernel(args: &BootArgs, purgatory: Purgatory<'static>) -> anyhow::Result<Option<Device>> {
    let files = Files::read(args)?;
    let kernel = BzImage::parse(files.kernel.kernel());
    let kernel = kernel.with_context(|| format!("kernel {}", args.kernel.display()))?;
    let machine = Machine::probe(Path::new("/"));
    let described = (!args.no_vmcore).then(|| Described::read(&machine));
    let view = described.as_ref().map(Described::view);
    let machine = machine.for_plan().map_err(|unknown| anyhow::anyhow!("{unknown}"))?;
    let guard = Guard::find(args.deadline)?;
    let home = Home::Peer { window: window(args, &kernel, &machine)?, view };
    let request = files.request(args, kernel, guard, home, purgatory);
    let mut plan = linux::plan(&request, &machine)?;
    check_payload(&kernel, &args.kernel)?;
    if args.dry_run {
        report::print(&plan.to_string())?;
        return Ok(None);
    }
    digest::seal(&mut plan, &purgatory);
    let device = device::open()?;
    let load = load(&device, &plan, args)?;
    if let (Some(described), Some(place)) = (described, plan.view()) {
        described.show(&device, load.id, place, machine)?;
    }
    // First: an image that is kept without it would pass for a program, and be called as one.
    Account::new(load.id, release_of(&kernel), args.deadline.is_some()).write(&device)?;
    device.keep(&args.name).with_context(|| format!("keeping it as {}", args.name))?;
    Ok(Some(device))
}

/// Unpacks what would else be unpacked in the other kernel's place, where nobody sees it fail.
fn check_payload(kernel: &BzImage<'_>, path: &Path) -> anyhow::Result<()> {
    let _progress = Progress::start(format!("unpacking {}", path.display()), 1);
    kernel.check_payload().with_context(|| format!("kernel {} is damaged", path.display()))
}

/// Everything that is read, once.
struct Files {
    kernel: KernelFile,
    initrds: Vec<(PathBuf, Vec<u8>)>,
}

impl Files {
    fn read(args: &BootArgs) -> anyhow::Result<Self> {
        let kernel = KernelFile::read(&args.kernel).context("kernel")?;
        let read = |path: &PathBuf| {
            let bytes = std::fs::read(path).with_context(|| format!("initrd {}", path.display()))?;
            Ok((path.clone(), bytes))
        };
        Ok(Self { kernel, initrds: args.initrd.iter().map(read).collect::<anyhow::Result<_>>()? })
    }

    fn request<'a>(
        &'a self,
        args: &BootArgs,
        kernel: BzImage<'a>,
        guard: Guard,
        home: Home,
        purgatory: Purgatory<'static>,
    ) -> linux::Request<'a> {
        let named = self
            .initrds
            .iter()
            .map(|(path, bytes)| Initrd { name: path.to_str().unwrap_or("whose name is no text"), bytes });
        let own = self.kernel.initrds().map(|bytes| Initrd { name: "in the kernel file", bytes });
        linux::Request {
            kernel: Kernel::BzImage(kernel),
            mode: None,
            initrds: own.chain(named).collect(),
            command_line: command_line(args, self.kernel.command_line().unwrap_or_default(), guard),
            home,
            purgatory,
            no_efi: false,
            seed: sys::system::random(),
            device_tree: None,
        }
    }
}

fn command_line(args: &BootArgs, own: &[u8], guard: Guard) -> Vec<u8> {
    let mut line = if args.append.is_empty() { own.to_vec() } else { args.append.clone().into_bytes() };
    if let Some(cpus) = args.cpus {
        line.extend_from_slice(format!(" nr_cpus={cpus}").as_bytes());
    }
    line.extend_from_slice(guard.parameters().as_bytes());
    line
}

fn window(args: &BootArgs, kernel: &BzImage<'_>, machine: &plan::Machine) -> anyhow::Result<PhysRange> {
    match args.window {
        Some(start) => PhysRange::from_bytes(start, args.memory)
            .map_err(|error| anyhow::anyhow!("--window {start:#x} --memory {:#x}: {error}", args.memory)),
        None => {
            // It may be laid anywhere; what a good place saves is time.
            let pinned = page_flags::pinned(Path::new("/"), 4 << 30).unwrap_or_default();
            Ok(linux::window(kernel, args.memory, machine, &pinned)?)
        }
    }
}

/// Loads it.
fn load(device: &Device, plan: &LoadPlan<'_>, args: &BootArgs) -> anyhow::Result<Load> {
    refuse_taken(device, &args.name)?;
    let _progress = Progress::start(format!("loading {} ({})", args.name, quantity::bytes(plan.bytes())), 1);
    let segments = loading::destinations(plan);
    let vouched: Vec<Range> =
        plan.vouched().iter().map(|range| Range { start: range.start().get(), end: range.end() }).collect();
    let request = LoadRequest {
        segments: &segments,
        vouched: &vouched,
        entry: plan.entry().get(),
        mode: mode::LONG,
        // What the running kernel moves out of the window now need not be exchanged at each switch.
        flags: load_flag::CLAIM | if args.deadline.is_some() { load_flag::GUARD } else { 0 },
    };
    device.load(&request).map_err(|refusal| {
        let names: Vec<String> = plan.segments().iter().map(|segment| segment.name.into()).collect();
        device::refused(refusal, &names)
    })
}

/// Before anything is loaded, which takes long.
fn refuse_taken(device: &Device, name: &ImageName) -> anyhow::Result<()> {
    if device.image_named(name)?.is_some() {
        anyhow::bail!(
            "{name} is taken by a loaded image; --name names the kernel otherwise, `kjump drop {name}` gives it up"
        );
    }
    Ok(())
}

/// The release in a kernel's version text.
fn release_of(kernel: &BzImage<'_>) -> String {
    let text = String::from_utf8_lossy(kernel.version.unwrap_or(b""));
    text.split_whitespace().next().unwrap_or("unknown").to_owned()
}
