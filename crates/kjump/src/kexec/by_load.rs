//! Loading by `kexec_load`.

use std::path::Path;

use abi::kexec::flag;
use anyhow::Context;
use machine::Machine;
use plan::LoadPlan;
use plan::elfcorehdr::VirtualMap;

use super::errno::{self, Attempt, Call};
use super::files::Files;
use super::kept::NAME;
use super::request::Load;
use super::{planning, purgatory};
use crate::input::{self, Name};
use crate::kernel::file::Loader;
use crate::kernel::{digest, kcore, loading};
use crate::terminal::progress::Progress;
use crate::terminal::quantity;
use crate::terminal::report;

/// The machine, and for a crash kernel the virtual addresses of its memory. A saved machine has
/// none.
pub(super) fn mapped<'a>(load: &Load, machine: &'a Machine) -> (&'a Machine, VirtualMap) {
    let is_needed = load.crash && load.machine.is_none();
    (machine, if is_needed { kcore::virtual_map(machine) } else { VirtualMap::default() })
}

pub(super) fn load(files: &Files, load: &Load, loader: Loader) -> anyhow::Result<()> {
    let machine = Machine::probe(Path::new("/"));
    let mut plan = planning::plan(files, load, loader, mapped(load, &machine), sys::system::random())?;
    if load.debug {
        // The load does not depend on who reads this.
        if let Err(error) = report::print(&plan.to_string()) {
            report::complain(NAME, &format!("{error:#}"));
        }
    }
    if let Some((what, advice)) = lacking(load, &machine) {
        report::complain(NAME, &format!("{what}; {advice}"));
    }
    // A crash kernel has memory of its own.
    if !load.crash {
        input::require_room(plan.bytes()).context("the load")?;
    }
    digest::seal(&mut plan, &purgatory::of(load));
    let segments = loading::destinations(&plan);
    let name = format!("loading {} ({})", Name(&files.kernel.path), quantity::bytes(plan.bytes()));
    let _progress = Progress::start(name, 1);
    sys::kexec::load(plan.entry().get(), &segments, flags(load))
        .map_err(|error| errno::explained(Call::Load, &error, "", Some(&attempt(&plan, load))))
}

/// What the next kernel will lack because it cannot be read on this machine, and what to do about
/// it. By `kexec_file_load`, the running kernel passes it on by itself.
pub(super) fn lacking(load: &Load, machine: &Machine) -> Option<(String, &'static str)> {
    if let Err(error) = &machine.boot_data {
        let lost = "so the next kernel does not get the screen, EFI and the address of ACPI's tables";
        return Some((format!("{error}, {lost}"), "mount sysfs at /sys"));
    }
    let error = machine.efi.as_ref().err().filter(|_| !load.no_efi)?;
    Some((format!("{error}, so the next kernel does not get EFI"), "leave out -c to use kexec_file_load"))
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
