//! `--check` and `--dry-run`: everything but the system call.

mod boot_params;

use std::fmt::Write;
use std::path::Path;

use abi::device::Range;
use anyhow::anyhow;
use machine::Machine;
use machine::amounts::Amounts;
use machine::config::Setting;
use machine::iomem::MemoryMap;
use machine::kernel::Lockdown;
use plan::LoadPlan;

use super::files::Files;
use super::prepare::Entropy;
use super::request::{Load, Wanted};
use super::syscall::{self, Choice, Syscall};
use super::trouble::Trouble;
use super::{by_file_load, by_load, describe, errno, load, planning};
use crate::input::Shortage;
use crate::inspect::findings::{kernel, load_disabled, lockdown, memory, privilege};
use crate::inspect::map;
use crate::inspect::saved_machine;
use crate::inspect::verdict::{Finding, Level, Verdict, advised, finding};
use crate::kernel::file::Loader;
use crate::terminal::Terminal;
use crate::terminal::quantity;
use crate::terminal::report;

/// A seed for plans that are not carried out.
const NO_SEED: Option<[u8; 32]> = Some([0; 32]);
const NO_ENTROPY: Option<Entropy> = Some([0; 2]);

/// Prints whether a load can work; the exit status is 0 if so, otherwise 1.
pub(super) fn check(load: &Load, wanted: Wanted, json: bool) -> Result<u8, Trouble> {
    let machine = machine_of(load)?;
    let mut findings = vec![
        kernel(&machine),
        privilege(&machine),
        load_disabled(&machine),
        lockdown(&machine),
        memory(&machine),
    ];
    // Whether lockdown stands in the way depends on the system call.
    findings.iter_mut().filter(|finding| finding.about == "lockdown" && finding.level == Level::No).for_each(
        |finding| {
            finding.level = Level::Warn;
        },
    );
    match &load.file {
        Some(path) => findings.extend(of_load(load, wanted, path, &machine)),
        None => findings.extend(
            [Syscall::FileLoad, Syscall::Load]
                .map(|syscall| of_syscall(syscall, &obstacles(syscall, load, None, &machine))),
        ),
    }
    let verdict = Verdict { what: "The load", findings };
    if json {
        report::print_json(&verdict.to_json(&machine, None))?;
    } else {
        report::print(&verdict.text(Terminal::of_stdout()))?;
    }
    Ok(u8::from(!verdict.works()))
}

/// Prints everything that would be loaded.
pub(super) fn dry_run(load: &Load, wanted: Wanted) -> Result<u8, Trouble> {
    let machine = machine_of(load)?;
    let path = load.file.as_deref().unwrap_or(Path::new(""));
    let mut files = Files::read(load, path, || command_line_of(&machine))?;
    let loader = files.kernel.loader(load.format)?;
    load::check(&files, loader)?;
    let choice =
        syscall::choose(load, wanted, loader, files.kernel.is_fixed(loader)).map_err(Trouble::Usage)?;
    if load.prepare {
        files.prepare(loader, &machine, NO_ENTROPY)?;
    }
    let mut text = String::new();
    for line in describe::lines(&files, loader, &choice) {
        let _ = writeln!(text, "{line}");
    }
    if choice.first == Syscall::FileLoad {
        let _ = writeln!(
            text,
            "kexec_file_load: flags {:#x}; the kernel chooses the addresses itself",
            by_file_load::flags(load)
        );
    }
    if choice.first == Syscall::Load || choice.then == Some(Syscall::Load) {
        let plan = planning::plan(&files, load, loader, by_load::mapped(load, &machine), NO_SEED)?;
        text.push_str(&drawn(&plan, &machine));
    }
    report::print(&text)?;
    Ok(0)
}

fn machine_of(load: &Load) -> anyhow::Result<Machine> {
    match &load.machine {
        Some(path) => saved_machine::read(path),
        None => Ok(Machine::probe(Path::new("/"))),
    }
}

fn command_line_of(machine: &Machine) -> anyhow::Result<Vec<u8>> {
    machine.command_line.as_deref().map(<[u8]>::to_vec).map_err(|error| anyhow!("{error}"))
}

/// The plan, the kernel's `boot_params`, and a map of memory.
fn drawn(plan: &LoadPlan<'_>, machine: &Machine) -> String {
    let mut text = plan.to_string();
    text.push_str(&boot_params::text(plan));
    let range =
        |segment: &plan::Segment<'_>| Range { start: segment.range.start().get(), end: segment.range.end() };
    let ranges = plan.segments().iter().map(range).collect();
    if let Some(map) = map::with_load(machine, "next", ranges, Terminal::of_stdout()) {
        let _ = write!(text, "memory:\n{map}");
    }
    text
}

fn of_load(load: &Load, wanted: Wanted, path: &Path, machine: &Machine) -> Vec<Finding> {
    let mut files = match Files::read(load, path, || command_line_of(machine)) {
        Ok(files) => files,
        Err(error) => return vec![finding("file", Level::No, format!("{error:#}"))],
    };
    let sound =
        files.kernel.loader(load.format).and_then(|loader| load::check(&files, loader).map(|()| loader));
    let loader = match sound {
        Ok(loader) => loader,
        Err(error) => return vec![finding("file", Level::No, format!("{error:#}"))],
    };
    let choice = match syscall::choose(load, wanted, loader, files.kernel.is_fixed(loader)) {
        Ok(choice) => choice,
        Err(text) => return vec![finding("way", Level::No, text)],
    };
    if load.prepare
        && let Err(error) = files.prepare(loader, machine, NO_ENTROPY)
    {
        return vec![finding("file", Level::No, format!("{error:#}"))];
    }
    let mut findings: Vec<Finding> = describe::lines(&files, loader, &choice)
        .into_iter()
        .zip(["file"].into_iter().chain(std::iter::repeat("parameters")))
        .map(|(text, about)| finding(about, Level::Ok, text))
        .collect();
    findings.push(signature(&files, machine));
    findings.extend(of_syscalls(load, loader, &choice, &files, machine));
    findings
}

fn signature(files: &Files, machine: &Machine) -> Finding {
    let about = "signature";
    let enforced = machine.signatures_enforced.as_ref().is_ok_and(|&enforced| enforced);
    match (kernel_file::is_signed(files.kernel.kernel()), enforced) {
        (true, _) => finding(about, Level::Ok, "present; the kernel decides whether it trusts it"),
        (false, false) => finding(about, Level::Ok, "none"),
        (false, true) => advised(
            about,
            Level::Warn,
            "none, and this kernel may require one",
            "sign the file (sbsign), or turn secure boot off",
        ),
    }
}

/// A finding for each system call, and the plan of `kexec_load`. One call that nothing forbids is
/// enough.
fn of_syscalls(
    load: &Load,
    loader: Loader,
    choice: &Choice,
    files: &Files,
    machine: &Machine,
) -> Vec<Finding> {
    let plan = planning::plan(files, load, loader, by_load::mapped(load, machine), NO_SEED);
    let taken = plan.as_ref().ok().map(LoadPlan::bytes).zip(machine.amounts.as_ref().ok());
    let mut findings = Vec::new();
    let mut is_free = false;
    for syscall in [Some(choice.first), choice.then].into_iter().flatten() {
        let mut obstacles = obstacles(syscall, load, Some(files), machine);
        if let (Syscall::Load, Err(error)) = (syscall, &plan) {
            obstacles.push(format!("{error:#}"));
        }
        if let Some((bytes, amounts)) = taken
            && bytes > amounts.total / 2
        {
            obstacles.push(errno::beyond_half(bytes, amounts.total));
        }
        let needed = needed(syscall, load, files, plan.as_ref().ok());
        obstacles.extend(machine.amounts.as_ref().ok().and_then(|amounts| short_of(needed, amounts)));
        is_free |= obstacles.is_empty();
        findings.push(of_syscall(syscall, &obstacles));
    }
    if is_free {
        findings
            .iter_mut()
            .filter(|finding| finding.level == Level::No)
            .for_each(|finding| finding.level = Level::Warn);
    }
    if let Ok(plan) = &plan {
        let text = format!(
            "{} in {} segments, entered at {}",
            quantity::bytes(plan.bytes()),
            plan.segments().len(),
            plan.kernel_entry()
        );
        findings.push(finding("plan", Level::Ok, text));
        let lacking = by_load::lacking(load, machine);
        findings.extend(lacking.map(|(text, advice)| advised("parameters", Level::Warn, text, advice)));
    }
    findings
}

/// Bytes that a load takes by this system call. By `kexec_load`, initrds are read into this
/// program's memory first. A crash kernel has memory of its own.
fn needed(syscall: Syscall, load: &Load, files: &Files, plan: Option<&LoadPlan<'_>>) -> u64 {
    match syscall {
        Syscall::FileLoad => by_file_load::needed(files, load),
        Syscall::Load => {
            let own = plan.filter(|_| !load.crash).map_or(0, LoadPlan::bytes);
            files.initrd_sizes().fold(own, |sum, (_, size)| sum.saturating_add(size))
        }
    }
}

/// For a load of more than what is available, the kernel would end processes: it is refused.
fn short_of(needed: u64, amounts: &Amounts) -> Option<String> {
    Shortage::of(needed, amounts.room()).map(|shortage| format!("the load: {shortage}"))
}

fn of_syscall(syscall: Syscall, obstacles: &[String]) -> Finding {
    let about = match syscall {
        Syscall::FileLoad => "file_load",
        Syscall::Load => "load",
    };
    match obstacles {
        [] => finding(about, Level::Ok, format!("nothing stands in the way of {}", syscall.name())),
        obstacles => finding(about, Level::No, obstacles.join("; ")),
    }
}

/// What stands in the way of a call beyond what forbids both.
fn obstacles(syscall: Syscall, load: &Load, files: Option<&Files>, machine: &Machine) -> Vec<String> {
    let mut obstacles = Vec::new();
    let option = if syscall == Syscall::Load { "CONFIG_KEXEC" } else { "CONFIG_KEXEC_FILE" };
    if machine.config.as_ref().is_ok_and(|config| config.get(option) == Setting::No) {
        obstacles.push(format!("this kernel is built without {option}"));
    }
    let locked = matches!(machine.lockdown, Ok(Lockdown::Integrity | Lockdown::Confidentiality));
    let unsigned = files.is_some_and(|files| !kernel_file::is_signed(files.kernel.kernel()));
    match syscall {
        Syscall::Load if locked => {
            obstacles.push("the kernel is locked down, and takes signed files only".into());
        }
        Syscall::FileLoad if locked && unsigned => {
            obstacles.push("the kernel is locked down, and the file has no signature".into());
        }
        _ => {}
    }
    let (limit, name) = match load.crash {
        true => (&machine.load_limit_panic, "kernel.kexec_load_limit_panic"),
        false => (&machine.load_limit_reboot, "kernel.kexec_load_limit_reboot"),
    };
    if limit.as_ref().is_ok_and(|&limit| limit == 0) {
        obstacles.push(format!("{name} is 0"));
    }
    // For kexec_load, the error of the plan says so.
    let reserves_nothing = |memory: &MemoryMap| !memory.is_hidden() && memory.crash_kernel().is_empty();
    if load.crash && syscall == Syscall::FileLoad && machine.memory.as_ref().is_ok_and(reserves_nothing) {
        obstacles.push(plan::Error::NoCrashMemory.to_string());
    }
    obstacles
}

#[cfg(test)]
mod tests;
