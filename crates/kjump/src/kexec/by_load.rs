//! Loading by `kexec_load`.

use std::path::Path;

use abi::kexec::flag;
use anyhow::bail;
use machine::Machine;
use machine::amounts::Amounts;
use plan::LoadPlan;
use plan::elfcorehdr::VirtualMap;

use super::errno::{self, Attempt, Call};
use super::files::Files;
use super::kept::NAME;
use super::request::Load;
use super::{planning, purgatory};
use crate::input::{Name, Shortage};
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
    require_room(&plan, load)?;
    digest::seal(&mut plan, &purgatory::of(load));
    let segments = loading::destinations(&plan);
    let name = format!("loading {} ({})", Name(&files.kernel.path), quantity::bytes(plan.bytes()));
    let _progress = Progress::start(name, 1);
    sys::kexec::load(plan.entry().get(), &segments, flags(load))
        .map_err(|error| errno::explained(Call::Load, &error, "", Some(&attempt(&plan, load))))
}

/// Refuses a load for which the kernel would end processes to get memory. A crash kernel has
/// memory of its own.
fn require_room(plan: &LoadPlan<'_>, load: &Load) -> anyhow::Result<()> {
    let amounts = machine::amounts::now(Path::new("/"));
    match amounts.ok().and_then(|amounts| shortage(plan.bytes(), &amounts)).filter(|_| !load.crash) {
        None => Ok(()),
        Some(shortage) => bail!("the load: {shortage}; {LESS}"),
    }
}

/// What a user can do about a shortage.
pub(super) const LESS: &str = "free memory, add swap space, or load less";

/// What lacks for a load of this size, if anything.
pub(super) fn shortage(needed: u64, amounts: &Amounts) -> Option<Shortage> {
    let room = amounts.room();
    (needed > room).then_some(Shortage { needed, room })
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
