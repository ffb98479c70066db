//! Loading by `kexec_load`.

use std::path::Path;

use abi::kexec::flag;
use machine::Machine;
use plan::LoadPlan;
use plan::elfcorehdr::VirtualMap;

use super::errno::{self, Attempt, Call};
use super::files::Files;
use super::kept::NAME;
use super::request::Load;
use super::{planning, purgatory};
use crate::kernel::file::Loader;
use crate::kernel::{digest, kcore, loading};
use crate::terminal::progress::Progress;
use crate::terminal::quantity;
use crate::terminal::report;

/// The machine, and where it has its memory at virtual addresses, if a crash kernel is to be told.
pub(super) fn mapped<'a>(load: &Load, machine: &'a Machine) -> (&'a Machine, VirtualMap) {
    let is_told = load.crash && load.machine.is_none();
    (machine, if is_told { kcore::virtual_map(machine) } else { VirtualMap::default() })
}

pub(super) fn load(files: &Files, load: &Load, loader: Loader) -> anyhow::Result<()> {
    let machine = Machine::probe(Path::new("/"));
    let mut plan = planning::plan(files, load, loader, mapped(load, &machine), sys::system::random())?;
    if load.debug {
        report::print(&plan.to_string())?;
    }
    if let Some(what) = untold(&machine) {
        report::complain(NAME, &format!("{what}; mount sysfs at /sys"));
    }
    read_initrds(files);
    digest::seal(&mut plan, &purgatory::of(load));
    let segments = loading::destinations(&plan);
    let name = format!("loading {} ({})", files.kernel.path.display(), quantity::bytes(plan.bytes()));
    let _progress = Progress::start(name, 1);
    sys::kexec::load(plan.entry().get(), &segments, flags(load))
        .map_err(|error| errno::explained(Call::Load, &error, "", Some(&attempt(&plan, load))))
}

/// Has their bytes come from the disk, which they do anyway sooner or later.
fn read_initrds(files: &Files) {
    let _progress = Progress::start("reading initrds".to_owned(), 1);
    files.initrds.iter().for_each(|initrd| initrd.bytes.fault_in());
}

/// What the next kernel will miss, since this one does not say what it was told itself. The running
/// kernel tells it what it loads by `kexec_file_load`.
pub(super) fn untold(machine: &Machine) -> Option<String> {
    let error = machine.boot_data.as_ref().err()?;
    Some(format!("{error}, so the next kernel is not told of the screen, EFI and where ACPI's tables are"))
}

/// The flags of `kexec_load`.
const fn flags(load: &Load) -> u64 {
    match (load.crash, load.hotplug) {
        (true, true) => flag::ON_CRASH | flag::UPDATE_ELFCOREHDR,
        (true, false) => flag::ON_CRASH,
        _ => 0,
    }
}

fn attempt(plan: &LoadPlan<'_>, load: &Load) -> Attempt {
    let first = plan.segments().first().map(|segment| segment.range.start().get());
    let last = plan.segments().last().map(|segment| segment.range.end() - 1);
    Attempt { crash: load.crash, bytes: plan.bytes(), span: first.zip(last), new_flags: false }
}
