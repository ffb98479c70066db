//! The one program of kjump, which answers to several names.
//!
//! Arguments are read in two steps: raw words ([`cli`], [`kexec::command`]), then a resolved
//! request with its files read. Everything that is printed is first a value, then a text or JSON.
#![forbid(unsafe_code)]

mod call;
pub mod cli;
mod device;
pub mod dump;
pub mod initramfs;
mod inspect;
mod kernel;
pub mod kexec;
mod peer;
mod terminal;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use clap::Parser;

use cli::{Cli, Command};
use inspect::args::MachineCommand;
use terminal::quantity;
use terminal::report;

/// Which program the words call, by the name in front of them or by their first, as in `kjump kexec
/// -e`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Program {
    /// kjump itself; its name and the words behind it.
    Kjump(Vec<OsString>),
    /// The likeness of kexec-tools' `kexec`; the words behind its name.
    Kexec(Vec<OsString>),
    /// The likeness of `makedumpfile`; the words behind its name.
    Makedumpfile(Vec<OsString>),
    /// The likeness of kexec-tools' `vmcore-dmesg`; the words behind its name.
    VmcoreDmesg(Vec<OsString>),
}

impl Program {
    /// The program that a command line calls.
    #[must_use]
    pub fn called(args: Vec<OsString>) -> Self {
        let is =
            |word: &OsString, wanted: &str| Path::new(word).file_name().is_some_and(|name| name == wanted);
        match args.as_slice() {
            [name, rest @ ..] if is(name, "kexec") => Self::Kexec(rest.to_vec()),
            [_, first, rest @ ..] if first == "kexec" => Self::Kexec(rest.to_vec()),
            [name, rest @ ..] if is(name, "vmcore-dmesg") => Self::VmcoreDmesg(rest.to_vec()),
            [name, rest @ ..] if is(name, "makedumpfile") => Self::Makedumpfile(rest.to_vec()),
            [_, first, rest @ ..] if first == "makedumpfile" => Self::Makedumpfile(rest.to_vec()),
            _ => Self::Kjump(args),
        }
    }
}

/// Runs kjump with its command line, its name first.
#[must_use]
pub fn run(args: &[OsString]) -> ExitCode {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => return report::usage(&error),
    };
    let outcome = match cli.command {
        Command::Check(args) if !args.arguments.is_empty() => {
            return kexec::check(&args.arguments, args.json);
        }
        Command::Check(args) => inspect::check::run(&args),
        Command::Call(args) => call::run(*args),
        Command::Load(args) => call::kept::load(*args),
        Command::Unload(args) => call::kept::unload(&args),
        Command::Boot(args) => peer::boot::run(&args),
        Command::Return(args) => peer::jump_back::run(args),
        Command::Switch(args) => peer::resident::switch(&args),
        Command::Peers(args) => peer::resident::list(args),
        Command::Drop(args) => peer::resident::drop_kernel(&args),
        Command::Status(args) => inspect::status::run(args),
        Command::Map(args) => inspect::map::run(args),
        Command::Machine(args) => save_machine(&args.command),
        Command::Initramfs(args) => initramfs::run(&args),
        Command::Dump(args) => dump::run(args.command),
        Command::Makedumpfile(args) => return dump::makedumpfile::run(&args.arguments),
        Command::Kexec(args) => return kexec::run(&args.arguments),
    };
    report::exit("kjump", outcome)
}

fn save_machine(command: &MachineCommand) -> anyhow::Result<report::Outcome> {
    let MachineCommand::Save(args) = command;
    let count = inspect::saved_machine::write(&args.file)?;
    report::print(&format!("{}: {}\n", args.file.display(), quantity::count(count as u64, "path")))?;
    Ok(report::Outcome::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(line: &str) -> Vec<OsString> {
        line.split(' ').map(OsString::from).collect()
    }

    #[test]
    fn the_name_or_the_first_word_says_which_program_it_is() {
        for line in ["kexec -e", "/usr/sbin/kexec -e", "kjump kexec -e", "./kjump kexec -e"] {
            assert_eq!(Program::called(args(line)), Program::Kexec(args("-e")), "{line}");
        }
        for line in ["makedumpfile -l", "/usr/sbin/makedumpfile -l", "kjump makedumpfile -l"] {
            assert_eq!(Program::called(args(line)), Program::Makedumpfile(args("-l")), "{line}");
        }
        assert_eq!(Program::called(args("/sbin/vmcore-dmesg f")), Program::VmcoreDmesg(args("f")));
        for line in ["kjump", "kjump status", "kjump call kexec", "kexec-test -e"] {
            assert_eq!(Program::called(args(line)), Program::Kjump(args(line)), "{line}");
        }
        assert_eq!(Program::called(Vec::new()), Program::Kjump(Vec::new()));
    }
}
