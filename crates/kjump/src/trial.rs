//! `kjump try`: another kernel is booted next to the running one, with this machine's devices, and
//! its drivers are checked. The running kernel continues with the report, whatever happened.
//!
//! The other kernel gets the initrds that it would be started with, and after them an archive
//! (`overlay`) with an init of its own (`init`), which is started in place of the initrds'. It
//! loads drivers from the initrds as udev does, compares them with the expectations that the
//! running kernel wrote (`expectations`), and returns. It runs no script of the initrds, and makes
//! every disk read-only before anything can write to it.

pub(crate) mod args;
mod expectations;
mod init;
mod overlay;
mod verdict;

use anyhow::{Context, bail};
use kernel_file::BzImage;
use plan::linux::{Initrd, parameters};

use crate::call::kept;
use crate::device;
use crate::input::{self, Name};
use crate::kernel::digest::QUIET;
use crate::kernel::file::KernelFile;
use crate::peer::load::{Planned, Request, Window};
use crate::peer::record::PeerRecord;
use crate::peer::visit::Visit;
use crate::terminal::report::{self, Outcome};

use args::TryArgs;
use expectations::Expectations;
use verdict::Verdict;

/// The parameters after those of the user: they decide.
const PARAMETERS: &str = "rdinit=/kjump-trial/init panic=0 raid=noautodetect";

pub(crate) fn run(args: &TryArgs) -> anyhow::Result<Outcome> {
    let verdict = attempt(args)?;
    if args.json {
        report::print_json(&verdict)?;
    } else {
        report::print(&verdict.text())?;
    }
    if verdict.is_healthy() && args.then_start {
        start(args)?;
    }
    Ok(verdict.outcome())
}

/// Boots the kernel, and gives its memory back afterwards.
fn attempt(args: &TryArgs) -> anyhow::Result<Verdict> {
    let kernel = KernelFile::read(&args.kernel).context("kernel")?;
    let release = release_of(&kernel)?;
    let line = command_line(args, &kernel)?;
    let expectations = Expectations::of_this_machine(args.root.as_deref(), &line)?;
    let overlay = overlay::archive(args, &release, &expectations)?;
    let read = |path: &std::path::PathBuf| {
        let name = Name(path).to_string();
        let bytes = input::read(path, u64::MAX).with_context(|| format!("initrd {name}"))?;
        Ok((name, bytes))
    };
    let initrds: Vec<(String, Vec<u8>)> = args.initrd.iter().map(read).collect::<anyhow::Result<_>>()?;
    let own = kernel.initrds().map(|bytes| Initrd { name: "in the kernel file", bytes });
    let named = initrds.iter().map(|(name, bytes)| Initrd { name, bytes });
    let last = Initrd { name: "of the trial", bytes: &overlay };
    let request = Request {
        name: &args.name,
        kernel: &kernel,
        initrds: own.chain(named).chain([last]).collect(),
        command_line: with_parameters(line),
        window: Window::Anywhere { size: args.memory },
        guarded: args.deadline > 0,
        vmcore: false,
        purgatory: QUIET,
    };
    let device = Planned::new(&request)?.load()?;
    let visit = Visit::make(&device, &args.name, [0; 6], args.deadline);
    let verdict = visit.map(|visit| Verdict::of(&visit, &device, &args.name, release, &expectations));
    // The kernel is the image of this open file; to give it up, another one takes it.
    drop(device);
    // The verdict matters more than memory that is not given back.
    if let Err(error) = drop_kernel(args) {
        report::complain("kjump", &format!("{error:#}"));
    }
    verdict
}

fn drop_kernel(args: &TryArgs) -> anyhow::Result<()> {
    let device = device::open()?;
    PeerRecord::forget(&device, &args.name);
    kept::forget(&device, &args.name).context("freeing the other kernel's memory")?;
    Ok(())
}

fn with_parameters(mut line: Vec<u8>) -> Vec<u8> {
    parameters::add(&mut line, PARAMETERS.as_bytes());
    line
}

/// The command line of the trial: as given, as in the kernel file, or as this kernel's.
fn command_line(args: &TryArgs, kernel: &KernelFile) -> anyhow::Result<Vec<u8>> {
    if let Some(append) = &args.append {
        return Ok(append.as_bytes().to_vec());
    }
    if let Some(own) = kernel.command_line() {
        return Ok(own.to_vec());
    }
    let running = machine::kernel::command_line(std::path::Path::new("/"))?;
    Ok(without_own(&running))
}

/// This kernel's command line without what is only about this kernel.
fn without_own(running: &[u8]) -> Vec<u8> {
    let own: [&[u8]; 6] =
        [b"BOOT_IMAGE", b"crashkernel", b"resume", b"rdinit", b"init", b"kexec_jump_back_entry"];
    let kept = parameters::parse(running.trim_ascii_end())
        .filter(|parameter| !own.iter().any(|name| parameter.is_named(name)));
    let mut line: Vec<u8> = kept.flat_map(|it| [it.text, b" "]).flatten().copied().collect();
    line.truncate(line.trim_ascii_end().len());
    line
}

/// The kernel's release, which its modules are for.
fn release_of(kernel: &KernelFile) -> anyhow::Result<String> {
    let file = BzImage::parse(kernel.kernel()).with_context(|| format!("kernel {}", Name(&kernel.path)))?;
    let text = String::from_utf8_lossy(file.version.unwrap_or(b"")).into_owned();
    match text.split_whitespace().next() {
        Some(release) => Ok(release.to_owned()),
        None => bail!("kernel {}: it does not contain its release", Name(&kernel.path)),
    }
}

/// Loads the kernel in place of this one, and shuts the system down, which starts it.
fn start(args: &TryArgs) -> anyhow::Result<()> {
    let mut words: Vec<std::ffi::OsString> = vec![args.kernel.clone().into()];
    words.extend(args.initrd.iter().flat_map(|path| ["--initrd".into(), path.clone().into()]));
    match &args.append {
        Some(append) => words.extend(["--command-line".into(), append.into()]),
        None => words.push("--reuse-cmdline".into()),
    }
    crate::kexec::run_now(&words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_only_about_this_kernel_is_not_passed_on() {
        let line = without_own(b"BOOT_IMAGE=/vmlinuz root=UUID=1 ro crashkernel=256M quiet -- single\n");
        assert_eq!(line, b"root=UUID=1 ro quiet -- single");
        assert_eq!(
            with_parameters(line),
            b"root=UUID=1 ro quiet rdinit=/kjump-trial/init panic=0 raid=noautodetect -- single"
        );
    }
}
