//! The one program of kjump, which answers to several names.
//!
//! Arguments are read in two steps: raw words ([`cli`], [`kexec::command`]), then a resolved request with its files
//! read. Everything that is printed is first a value, then a text or JSON.
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

/// Which program the words call, by the name in front of them or by their first, as in `kjump kexec -e`.
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
    pub fn called(words: Vec<OsString>) -> Self {
        let is =
            |word: &OsString, wanted: &str| Path::new(word).file_name().is_some_and(|name| name == wanted);
        match words.as_slice() {
            [name, rest @ ..] if is(name, "kexec") => Self::Kexec(rest.to_vec()),
            [_, first, rest @ ..] if first == "kexec" => Self::Kexec(rest.to_vec()),
            [name, rest @ ..] if is(name, "vmcore-dmesg") => Self::VmcoreDmesg(rest.to_vec()),
            [name, rest @ ..] if is(name, "makedumpfile") => Self::Makedumpfile(rest.to_vec()),
            [_, first, rest @ ..] if first == "makedumpfile" => Self::Makedumpfile(rest.to_vec()),
            _ => Self::Kjump(words),
        }
    }
}

/// Runs kjump with its command line, its name first.
#[must_use]
pub fn run(words: &[OsString]) -> ExitCode {
    let cli = match Cli::try_parse_from(words) {
        Ok(cli) => cli,
        Err(error) => return report::usage(&error),
    };
    let outcome = match cli.command {
        Command::Check(words) if !words.words.is_empty() => return kexec::check(&words.words, words.json),
        Command::Check(words) => inspect::check::run(&words),
        Command::Call(words) => call::run(*words),
        Command::Load(words) => call::kept::load(*words),
        Command::Unload(words) => call::kept::unload(&words),
        Command::Boot(words) => peer::boot::run(&words),
        Command::Return(words) => peer::jump_back::run(words),
        Command::Switch(words) => peer::resident::switch(&words),
        Command::Peers(words) => peer::resident::list(words),
        Command::Drop(words) => peer::resident::drop_it(&words),
        Command::Status(words) => inspect::status::run(words),
        Command::Map(words) => inspect::map::run(words),
        Command::Machine(words) => save_machine(&words.command),
        Command::Initramfs(words) => initramfs::run(&words),
        Command::Dump(words) => dump::run(words.command),
        Command::Makedumpfile(words) => return dump::makedumpfile::run(&words.words),
        Command::Kexec(words) => return kexec::run(&words.words),
    };
    report::exit("kjump", outcome)
}

fn save_machine(command: &MachineCommand) -> anyhow::Result<report::Outcome> {
    let MachineCommand::Save(words) = command;
    let count = inspect::saved_machine::write(&words.file)?;
    report::print(&format!("{}: {}\n", words.file.display(), quantity::count(count as u64, "path")))?;
    Ok(report::Outcome::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<OsString> {
        line.split(' ').map(OsString::from).collect()
    }

    #[test]
    fn the_name_or_the_first_word_says_which_program_it_is() {
        for line in ["kexec -e", "/usr/sbin/kexec -e", "kjump kexec -e", "./kjump kexec -e"] {
            assert_eq!(Program::called(words(line)), Program::Kexec(words("-e")), "{line}");
        }
        for line in ["makedumpfile -l", "/usr/sbin/makedumpfile -l", "kjump makedumpfile -l"] {
            assert_eq!(Program::called(words(line)), Program::Makedumpfile(words("-l")), "{line}");
        }
        assert_eq!(Program::called(words("/sbin/vmcore-dmesg f")), Program::VmcoreDmesg(words("f")));
        for line in ["kjump", "kjump status", "kjump call kexec", "kexec-test -e"] {
            assert_eq!(Program::called(words(line)), Program::Kjump(words(line)), "{line}");
        }
        assert_eq!(Program::called(Vec::new()), Program::Kjump(Vec::new()));
    }
}
