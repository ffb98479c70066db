//! The program kjump, which can be called by several names.
//!
//! Arguments are read in two steps: raw arguments ([`cli`], [`kexec::command`]), then a resolved
//! request with its files read. All output is first a value, then text or JSON.
//!
//! `call`, `bios`, `test_machine`, `memtest`, `peer`, `trial`, `debug`, `kexec`, `dump`,
//! `initramfs`, `hibernate` and `inspect` are the commands, each with its own `args`. They are
//! built on `kernel` (kernel files and digests), `device` (the module), `input` (files that are
//! read whole) and `terminal` (output, numbers and progress).
#![forbid(unsafe_code)]
// These panic if the output cannot be written: see `terminal::report`.
#![deny(clippy::print_stdout, clippy::print_stderr)]

mod bios;
mod call;
pub mod cli;
mod debug;
mod device;
pub mod dump;
mod hibernate;
mod initramfs;
mod input;
mod inspect;
mod kernel;
pub mod kexec;
mod memtest;
mod peer;
mod terminal;
mod test_machine;
mod trial;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use clap::Parser;

use cli::{Cli, Command};
use terminal::report;

/// The program that a command line calls, by its name or by its first argument, as in `kjump kexec
/// -e`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Program {
    /// kjump itself, with its name and arguments.
    Kjump(Vec<OsString>),
    /// The replacement of kexec-tools' `kexec`, with its arguments.
    Kexec(Vec<OsString>),
    /// The replacement of `makedumpfile`, with its arguments.
    Makedumpfile(Vec<OsString>),
    /// The replacement of kexec-tools' `vmcore-dmesg`, with its arguments.
    VmcoreDmesg(Vec<OsString>),
}

/// The names that call another program than kjump itself.
pub(crate) const NAMES: [&str; 3] = ["kexec", "makedumpfile", "vmcore-dmesg"];

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

/// Runs kjump with its command line, which starts with its name.
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
        Command::Bios(args) => bios::run(&args),
        Command::TestMachine(args) => test_machine::run(&args),
        Command::Memtest(args) => memtest::run(&args),
        Command::Boot(args) => peer::boot::run(&args),
        Command::Try(args) => trial::run(&args),
        Command::Debug(args) => debug::run(&args),
        Command::Return(args) => peer::jump_back::run(args),
        Command::Switch(args) => peer::resident::switch(&args),
        Command::Peers(args) => peer::resident::list(args),
        Command::Drop(args) => peer::resident::drop_kernel(&args),
        Command::Status(args) => inspect::status::run(args),
        Command::Map(args) => inspect::map::run(args),
        Command::Doctor(args) => inspect::doctor::run(&args),
        Command::Machine(args) => inspect::saved_machine::save(&args.command),
        Command::Initramfs(args) => initramfs::run(&args),
        Command::Hibernate(args) => hibernate::start::run(&args),
        Command::Snapshot(args) => hibernate::snapshot::run(&args),
        Command::Resume(args) => hibernate::resume::run(&args),
        Command::Image(args) => hibernate::image::run(&args.command),
        Command::Dump(args) => dump::run(args.command),
        Command::Makedumpfile(args) => return dump::makedumpfile::run(&args.arguments),
        Command::Kexec(args) => return kexec::run(&args.arguments),
    };
    report::exit("kjump", outcome)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(line: &str) -> Vec<OsString> {
        line.split(' ').map(OsString::from).collect()
    }

    #[test]
    fn the_name_or_the_first_argument_selects_the_program() {
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
