//! A kernel is read, a system call chosen, a plan made, and the kernel loaded.

use std::ffi::CString;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;

use abi::kexec::{file_flag, flag};
use anyhow::{Context, anyhow};
use kernel_file::BzImage;
use machine::Machine;
use plan::LoadPlan;
use plan::elfcorehdr::VirtualMap;
use sys::device::Destination;

use super::errno::{self, Attempt, Call};
use super::files::Files;
use super::kept::{self, NAME};
use super::request::{Load, Wanted};
use super::syscall::{self, Choice, Syscall};
use super::trouble::Trouble;
use super::{planning, purgatory};
use crate::kernel::digest;
use crate::kernel::file::Loader;
use crate::kernel::kcore;
use crate::terminal::progress::Progress;
use crate::terminal::quantity;
use crate::terminal::report;

/// Loads what is asked for.
pub(super) fn load(load: &Load, wanted: Wanted) -> Result<(), Trouble> {
    let path = load.file.as_deref().context("No kernel specified")?;
    if load.crash && super::slot::crash_size().is_ok_and(|size| size == 0) {
        return Err(Trouble::NoCrashMemory);
    }
    let files = Files::read(load, path)?;
    let loader = files.kernel.loader(load.format)?;
    check(&files, loader)?;
    let choice = syscall::choose(load, wanted, loader).map_err(Trouble::Words)?;
    if load.debug {
        for line in described(&files, loader, &choice) {
            report::complain(NAME, &line);
        }
    }
    by_choice(&files, load, loader, &choice)?;
    if !load.crash {
        // One kernel or image is loaded at a time, as with kexec-tools.
        kept::forget()?;
    }
    Ok(())
}

/// What no system call looks at: a kernel that is cut off would be loaded, and never start.
pub(super) fn check(files: &Files, loader: Loader) -> anyhow::Result<()> {
    if loader != Loader::BzImage {
        return Ok(());
    }
    let kernel =
        BzImage::parse(files.kernel.kernel()).with_context(|| files.kernel.path.display().to_string())?;
    let length = files.command_line.len();
    if length as u64 > kernel.cmdline_size {
        return Err(plan::Error::LongCommandLine { length, limit: kernel.cmdline_size }.into());
    }
    Ok(())
}

fn by_choice(files: &Files, load: &Load, loader: Loader, choice: &Choice) -> Result<(), Trouble> {
    if choice.first == Syscall::Load {
        return Ok(by_kexec_load(files, load, loader)?);
    }
    let error = match by_kexec_file_load(files, load)? {
        Ok(()) => return Ok(()),
        Err(error) => error,
    };
    let attempt = Attempt {
        crash: load.crash,
        bytes: (files.kernel.kernel().len()
            + files.all_initrds().iter().map(|(_, bytes)| bytes.len()).sum::<usize>()) as u64,
        new_flags: load.file_flags != 0,
        span: None,
    };
    match choice.then {
        None if errno::is_missing(&error) => Err(Trouble::NoFileLoad),
        Some(Syscall::Load) if error.raw_os_error().is_some_and(syscall::falls_back) => {
            let explained = errno::explained(Call::FileLoad, &error, "", Some(&attempt));
            if load.debug {
                report::complain(NAME, &format!("{explained}; trying kexec_load"));
            }
            by_kexec_load(files, load, loader)
                .map_err(|second| Trouble::Failed(anyhow!("{second:#}\nkexec: before that, {explained}")))
        }
        _ => Err(Trouble::Failed(errno::explained(Call::FileLoad, &error, "", Some(&attempt)))),
    }
}

/// The outer result is about files, the inner one is what the kernel said.
fn by_kexec_file_load(files: &Files, load: &Load) -> anyhow::Result<io::Result<()>> {
    let line = CString::new(files.command_line.clone()).context("the command line has a zero in it")?;
    let flags = file_flags(load);
    if load.debug {
        report::complain(
            NAME,
            &format!("kexec_file_load: flags {flags:#x}, {} bytes of command line", line.count_bytes()),
        );
    }
    let memory =
        |name, parts: &[&[u8]]| sys::system::file_of(name, parts.iter().copied()).context("a file in memory");
    let unpacked = match files.kernel.is_original() {
        true => None,
        false => Some(memory(c"kernel", &[files.kernel.kernel()])?),
    };
    let kernel = unpacked.as_ref().unwrap_or(&files.kernel.file);
    let initrds = files.all_initrds();
    let parts = padded(initrds.iter().map(|(_, bytes)| *bytes));
    let joined = match (files.only_initrd(), parts.is_empty()) {
        (None, false) => Some(memory(c"initrd", &parts)?),
        _ => None,
    };
    let initrd = files.only_initrd().or(joined.as_ref());
    let _progress = Progress::start(format!("loading {}", files.kernel.path.display()), 1);
    Ok(sys::kexec::load_file(kernel.as_fd(), initrd.map(AsFd::as_fd), &line, flags))
}

pub(super) fn file_flags(load: &Load) -> u64 {
    load.file_flags | if load.crash { file_flag::ON_CRASH } else { 0 }
}

/// Initrds one behind the other, each but the first at a page: the kernel takes zeroes between archives for padding.
fn padded<'a>(initrds: impl Iterator<Item = &'a [u8]>) -> Vec<&'a [u8]> {
    const PAGE: usize = 4096;
    static ZEROES: [u8; PAGE] = [0; PAGE];
    let mut parts: Vec<&[u8]> = Vec::new();
    for bytes in initrds {
        if let Some(last) = parts.last() {
            let gap = last.len().next_multiple_of(PAGE) - last.len();
            parts.push(ZEROES.get(..gap).unwrap_or(&[]));
        }
        parts.push(bytes);
    }
    parts
}

/// The machine, and where it has its memory at virtual addresses, if a crash kernel is to be told.
pub(super) fn mapped<'a>(load: &Load, machine: &'a Machine) -> (&'a Machine, VirtualMap) {
    let is_told = load.crash && load.machine.is_none();
    (machine, if is_told { kcore::virtual_map(machine) } else { VirtualMap::default() })
}

fn by_kexec_load(files: &Files, load: &Load, loader: Loader) -> anyhow::Result<()> {
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
    let segments: Vec<Destination<'_>> = plan.segments().iter().map(destination).collect();
    let name = format!("loading {} ({})", files.kernel.path.display(), quantity::bytes(plan.bytes()));
    let _progress = Progress::start(name, 1);
    sys::kexec::load(plan.entry().get(), &segments, load_flags(load))
        .map_err(|error| errno::explained(Call::Load, &error, "", Some(&attempt(&plan, load))))
}

/// Has their bytes come from the disk, which they do anyway sooner or later.
fn read_initrds(files: &Files) {
    let _progress = Progress::start("reading initrds".to_owned(), 1);
    files.initrds.iter().for_each(|initrd| initrd.bytes.fault_in());
}

/// What the next kernel will miss, since this one does not say what it was told itself. The running kernel tells it what
/// it loads by `kexec_file_load`.
pub(super) fn untold(machine: &Machine) -> Option<String> {
    let error = machine.boot_data.as_ref().err()?;
    Some(format!("{error}, so the next kernel is not told of the screen, EFI and where ACPI's tables are"))
}

/// The flags of `kexec_load`.
const fn load_flags(load: &Load) -> u64 {
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

fn destination<'a>(segment: &'a plan::Segment<'_>) -> Destination<'a> {
    Destination { bytes: &segment.bytes, address: segment.range.start().get(), size: segment.range.bytes() }
}

/// What was read, and what is made of it, a line each.
pub(super) fn described(files: &Files, loader: Loader, choice: &Choice) -> Vec<String> {
    let kernel = &files.kernel;
    let packed: Vec<String> = kernel.wrappings.iter().map(|format| format!(", in {format}")).collect();
    let about: Vec<String> = kernel.about().into_iter().map(|text| format!(", {text}")).collect();
    let size = quantity::bytes(kernel.kernel().len() as u64);
    let mut lines =
        vec![format!("{}: {loader}, {size}{}{}", kernel.path.display(), packed.concat(), about.concat())];
    lines.extend(
        files
            .all_initrds()
            .iter()
            .map(|(name, bytes)| format!("initrd {name}: {}", quantity::bytes(bytes.len() as u64))),
    );
    lines.push(format!("command line: {}", String::from_utf8_lossy(&files.command_line)));
    lines.push(format!("by {}: {}", choice.first.name(), choice.why));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn initrds_start_with_pages() {
        let (a, b, c) = ([1_u8; 5], [2; 4096], [3; 1]);
        let parts = padded([a.as_slice(), &b, &c].into_iter());
        let whole = parts.concat();
        assert_eq!((whole.len(), whole[4096], whole[8192]), (8193, 2, 3));
        assert!(padded([].into_iter()).is_empty());
        assert_eq!(padded([a.as_slice()].into_iter()), [a.as_slice()]);
    }
}
