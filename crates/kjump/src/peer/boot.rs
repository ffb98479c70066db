//! `kjump boot`: loads another kernel into a window of memory and goes to it.

use std::path::PathBuf;

use anyhow::{Context, anyhow};
use phys::PhysRange;
use plan::linux::{Initrd, parameters};

use super::args::BootArgs;
use super::load::{Planned, Request, Window};
use super::visit::Visit;
use super::{forecast, guard};
use crate::input::{self, Name};
use crate::kernel::digest::QUIET;
use crate::kernel::file::KernelFile;
use crate::terminal::report::{self, Outcome};

pub(crate) fn run(args: &BootArgs) -> anyhow::Result<Outcome> {
    let files = Files::read(args)?;
    let planned = Planned::new(&files.request(args)?)?;
    if args.dry_run {
        report::print(&planned.plan().to_string())?;
        return Ok(Outcome::Done);
    }
    let device = planned.load()?;
    let can_guard = args.deadline.is_none() && guard::is_possible(&device)?;
    for advice in forecast::advice(&files.command_line(args), can_guard) {
        report::complain("kjump", &advice);
    }
    let visit = Visit::make(&device, &args.name, [0; 6], args.deadline.unwrap_or(0)).inspect_err(|_| {
        // The kernel never ran, so nothing is lost with it. The error to report is that of the
        // call.
        let _ = device.unload();
    })?;
    visit.report(args.json)
}

/// The kernel's files, each read once.
struct Files {
    kernel: KernelFile,
    initrds: Vec<(String, Vec<u8>)>,
}

impl Files {
    fn read(args: &BootArgs) -> anyhow::Result<Self> {
        let kernel = KernelFile::read(&args.kernel).context("kernel")?;
        let read = |path: &PathBuf| {
            let name = Name(path).to_string();
            let bytes = input::read(path, u64::MAX).with_context(|| format!("initrd {name}"))?;
            Ok((name, bytes))
        };
        Ok(Self { kernel, initrds: args.initrd.iter().map(read).collect::<anyhow::Result<_>>()? })
    }

    fn request<'a>(&'a self, args: &'a BootArgs) -> anyhow::Result<Request<'a>> {
        let own = self.kernel.initrds().map(|bytes| Initrd { name: "in the kernel file", bytes });
        let named = self.initrds.iter().map(|(name, bytes)| Initrd { name, bytes });
        Ok(Request {
            name: &args.name,
            kernel: &self.kernel,
            initrds: own.chain(named).collect(),
            command_line: self.command_line(args),
            window: window(args)?,
            guarded: args.deadline.is_some(),
            vmcore: !args.no_vmcore,
            mailbox: 0,
            purgatory: QUIET,
        })
    }

    /// The command line of the arguments; without one, that of the kernel file.
    fn command_line(&self, args: &BootArgs) -> Vec<u8> {
        let mut line = match args.append.as_str() {
            "" => self.kernel.command_line().unwrap_or_default().to_vec(),
            append => append.into(),
        };
        if let Some(cpus) = args.cpus {
            parameters::add(&mut line, format!("nr_cpus={cpus}").as_bytes());
        }
        line
    }
}

fn window(args: &BootArgs) -> anyhow::Result<Window> {
    let size = args.memory;
    let Some(start) = args.window else { return Ok(Window::Anywhere { size }) };
    PhysRange::from_bytes(start, size)
        .map(Window::At)
        .map_err(|error| anyhow!("--window {start:#x} --memory {size:#x}: {error}"))
}
