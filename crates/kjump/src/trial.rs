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

use std::ffi::OsString;
use std::path::PathBuf;

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

pub(crate) use args::TryArgs;
use expectations::Expectations;
use verdict::Verdict;

/// The parameters after those of the user: they decide.
const PARAMETERS: &str = "rdinit=/kjump-trial/init panic=0 noresume raid=noautodetect";

pub(crate) fn run(args: &TryArgs) -> anyhow::Result<Outcome> {
    run_with(args, |kernel| crate::kexec::start_for_good(&arguments_of_kexec(args, kernel)))
}

/// Tries the kernel. `start` loads it in place of this one, and shuts the system down to start it,
/// if it is healthy and that is asked for.
pub(crate) fn run_with(
    args: &TryArgs,
    start: impl FnOnce(&KernelFile) -> anyhow::Result<()>,
) -> anyhow::Result<Outcome> {
    let files = Files::read(args)?;
    let verdict = attempt(args, &files)?;
    if args.json {
        report::print_json(&verdict)?;
    } else {
        report::print(&verdict.text())?;
    }
    if verdict.is_healthy() && args.then_start {
        files.require_unchanged()?;
        start(&files.kernel)?;
    }
    Ok(verdict.outcome())
}

/// The files of the kernel, each read once for the trial.
struct Files {
    kernel: KernelFile,
    initrds: Vec<(PathBuf, Vec<u8>)>,
}

impl Files {
    fn read(args: &TryArgs) -> anyhow::Result<Self> {
        let kernel = KernelFile::read(&args.kernel).context("kernel")?;
        let read = |path: &PathBuf| {
            let bytes = input::read(path, u64::MAX).with_context(|| format!("initrd {}", Name(path)))?;
            Ok((path.clone(), bytes))
        };
        Ok(Self { kernel, initrds: args.initrd.iter().map(read).collect::<anyhow::Result<_>>()? })
    }

    /// Refuses to start files other than those that were tried: they are read again for that.
    fn require_unchanged(&self) -> anyhow::Result<()> {
        let changed = |path: &PathBuf| -> anyhow::Result<()> {
            bail!("{} is not the file that was tried: it has changed since; try it again", Name(path))
        };
        if KernelFile::read(&self.kernel.path).context("kernel")?.kernel() != self.kernel.kernel() {
            return changed(&self.kernel.path);
        }
        for (path, bytes) in &self.initrds {
            if input::read(path, u64::MAX).with_context(|| format!("initrd {}", Name(path)))? != *bytes {
                return changed(path);
            }
        }
        Ok(())
    }
}

/// Boots the kernel, and gives its memory back afterwards.
fn attempt(args: &TryArgs, files: &Files) -> anyhow::Result<Verdict> {
    let kernel = &files.kernel;
    let release = release_of(kernel)?;
    let line = command_line(args, kernel)?;
    let expectations = Expectations::of_this_machine(args.root.as_deref(), &line)?;
    let overlay = overlay::archive(args, &release, &expectations)?;
    let names: Vec<String> = files.initrds.iter().map(|(path, _)| Name(path).to_string()).collect();
    let own = kernel.initrds().map(|bytes| Initrd { name: "in the kernel file", bytes });
    let named = names.iter().zip(&files.initrds).map(|(name, (_, bytes))| Initrd { name, bytes });
    let last = Initrd { name: "of the trial", bytes: &overlay };
    let request = Request {
        name: &args.name,
        kernel,
        initrds: own.chain(named).chain([last]).collect(),
        command_line: with_parameters(without_own(&line)),
        window: Window::Anywhere { size: args.memory },
        guarded: args.deadline > 0,
        vmcore: false,
        mailbox: 0,
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
        return Ok(append.as_encoded_bytes().to_vec());
    }
    if let Some(own) = kernel.command_line() {
        return Ok(own.to_vec());
    }
    let running = machine::kernel::command_line(std::path::Path::new("/"))?;
    Ok(running)
}

/// A command line without what is only for a kernel that has the whole machine, or about this one.
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

/// The arguments with which kexec loads the kernel in place of this one.
fn arguments_of_kexec(args: &TryArgs, kernel: &KernelFile) -> Vec<OsString> {
    let mut words: Vec<OsString> = vec!["--load".into(), args.kernel.clone().into()];
    words.extend(args.initrd.iter().flat_map(|path| ["--initrd".into(), path.clone().into()]));
    match &args.append {
        Some(append) => words.extend(["--command-line".into(), append.clone()]),
        // It has been tried with its own.
        None if kernel.command_line().is_some() => {}
        None => words.push("--reuse-cmdline".into()),
    }
    words
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
            b"root=UUID=1 ro quiet rdinit=/kjump-trial/init panic=0 noresume raid=noautodetect -- single"
        );
    }

    #[test]
    fn a_file_that_changed_after_its_trial_is_not_started() {
        let directory = std::env::temp_dir().join(format!("kjump-tried-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let (kernel, initrd) = (directory.join("kernel"), directory.join("initrd"));
        std::fs::write(&kernel, b"\x7fELF\x02").unwrap();
        std::fs::write(&initrd, b"first").unwrap();
        let words = [("--kernel=", &kernel), ("--initrd=", &initrd)]
            .map(|(option, path)| OsString::from(format!("{option}{}", path.display())));
        let files = Files::read(&TryArgs::parse(&words).unwrap()).unwrap();
        let unchanged = files.require_unchanged();
        std::fs::write(&initrd, b"other").unwrap();
        let changed = files.require_unchanged().unwrap_err().to_string();
        std::fs::remove_dir_all(&directory).unwrap();
        assert!(unchanged.is_ok());
        assert!(changed.contains("initrd is not the file that was tried"), "{changed}");
    }
}
