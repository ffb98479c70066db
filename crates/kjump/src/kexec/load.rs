//! A kernel is read, a system call chosen, and the kernel loaded by it.

use std::path::Path;

use anyhow::{Context, anyhow};
use kernel_file::BzImage;
use machine::Machine;

use super::errno::{self, Attempt, Call};
use super::files::Files;
use super::kept::{self, NAME};
use super::prepare::Entropy;
use super::request::{EntryMode, Load, Wanted};
use super::syscall::{self, Choice, Syscall};
use super::trouble::Trouble;
use super::{by_file_load, by_load, describe};
use crate::input::Name;
use crate::kernel::file::Loader;
use crate::terminal::report;

/// Loads what is asked for.
pub(super) fn load(load: &Load, wanted: Wanted) -> Result<(), Trouble> {
    let path = load.file.as_deref().context("No kernel specified")?;
    if load.crash && super::reservation::crash_size().is_ok_and(|size| size == 0) {
        return Err(Trouble::NoCrashMemory);
    }
    let mut files = Files::read(load, path, || Ok(machine::kernel::command_line(Path::new("/"))?))?;
    let loader = files.kernel.loader(load.format)?;
    check(&files, loader)?;
    if let Some(advice) = advice(&files, load, loader) {
        report::complain(NAME, &advice);
    }
    let choice =
        syscall::choose(load, wanted, loader, files.kernel.is_fixed(loader)).map_err(Trouble::Usage)?;
    if load.prepare {
        files.prepare(loader, &Machine::probe(Path::new("/")), entropy())?;
    }
    if load.debug {
        for line in describe::lines(&files, loader, &choice) {
            report::complain(NAME, &line);
        }
    }
    by_choice(&files, load, loader, &choice)?;
    // One kernel or image is loaded at a time, as with kexec-tools. The kernel is loaded by now, so
    // a failure does not change the exit status.
    if !load.crash
        && let Err(error) = kept::forget(load.debug)
    {
        report::complain(NAME, &format!("{error:#}; `kexec --exec` calls that image first"));
    }
    Ok(())
}

/// Two random numbers, if the kernel has any.
fn entropy() -> Option<Entropy> {
    let [low, high] = [sys::system::random()?, sys::system::random()?];
    Some([low, high].map(u64::from_ne_bytes))
}

/// What no system call looks at: a kernel that is cut off would be loaded, and never start.
pub(super) fn check(files: &Files, loader: Loader) -> anyhow::Result<()> {
    if loader != Loader::BzImage {
        return Ok(());
    }
    let kernel =
        BzImage::parse(files.kernel.kernel()).with_context(|| Name(&files.kernel.path).to_string())?;
    let length = files.command_line.len();
    if length as u64 > kernel.cmdline_size {
        return Err(plan::Error::LongCommandLine { length, limit: kernel.cmdline_size }.into());
    }
    Ok(())
}

/// A warning about a program that would be entered where it has no code.
fn advice(files: &Files, load: &Load, loader: Loader) -> Option<String> {
    if loader != Loader::BzImage || load.entry_mode == Some(EntryMode::Real) {
        return None;
    }
    let kernel = BzImage::parse(files.kernel.kernel()).ok().filter(|kernel| kernel.only_real_mode)?;
    let path = Name(&files.kernel.path);
    let protocol = kernel.protocol;
    Some(format!(
        "warning: {path}: its header (protocol {protocol}) names no code for protected mode, so that it will \
         probably hang; load it with --real-mode"
    ))
}

fn by_choice(files: &Files, load: &Load, loader: Loader, choice: &Choice) -> Result<(), Trouble> {
    if choice.first == Syscall::Load {
        return Ok(by_load::load(files, load, loader)?);
    }
    let error = match by_file_load::load(files, load)? {
        Ok(()) => return Ok(()),
        Err(error) => error,
    };
    let attempt = Attempt {
        crash: load.crash,
        bytes: files.initrd_sizes().fold(files.kernel.kernel().len() as u64, |sum, (_, size)| sum + size),
        new_flags: load.file_flags != 0,
        span: None,
    };
    if let Some(unreadable) = files.unreadable() {
        return Err(Trouble::Failed(unreadable.context("kexec_file_load failed")));
    }
    match choice.then {
        None if errno::is_missing(&error) => Err(Trouble::NoFileLoad),
        Some(Syscall::Load) if error.raw_os_error().is_some_and(syscall::falls_back) => {
            let explained = errno::explained(Call::FileLoad, &error, "", Some(&attempt));
            if load.debug {
                report::complain(NAME, &format!("{explained}; trying kexec_load"));
            }
            by_load::load(files, load, loader)
                .map_err(|second| Trouble::Failed(anyhow!("{second:#}\nkexec: before that, {explained}")))
        }
        _ => Err(Trouble::Failed(errno::explained(Call::FileLoad, &error, "", Some(&attempt)))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use abi::setup_header as header;

    fn advice_for(kernel: &[u8], entry_mode: Option<EntryMode>) -> Option<String> {
        let path = std::env::temp_dir().join(format!("kjump-advice-{}", std::process::id()));
        std::fs::write(&path, kernel).unwrap();
        let load = Load { command_line: Some("".into()), entry_mode, ..Load::default() };
        let files = Files::read(&load, &path, || Ok(Vec::new())).unwrap();
        std::fs::remove_file(&path).unwrap();
        advice(&files, &load, Loader::BzImage)
    }

    #[test]
    fn a_program_for_real_mode_is_not_entered_elsewhere_without_a_warning() {
        let mut program = kernel_file::testing::bzimage(0x1000, 0x1000);
        assert_eq!(advice_for(&program, None), None);
        for written in
            [header::VERSION.write(&mut program, 0x203), header::CODE32_START.write(&mut program, 0x10_0000)]
        {
            assert!(written);
        }
        let advice = advice_for(&program, None).unwrap();
        assert!(advice.ends_with("load it with --real-mode") && advice.contains("protocol 2.03"), "{advice}");
        assert!(advice_for(&program, Some(EntryMode::Protected)).is_some());
        assert_eq!(advice_for(&program, Some(EntryMode::Real)), None);
    }
}
