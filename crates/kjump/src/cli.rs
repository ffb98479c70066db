//! The table of kjump's commands. Help, manual pages and completions are made from it.

use clap::{CommandFactory, Parser, Subcommand};

use crate::bios::args::BiosArgs;
use crate::call::args::{CallArgs, LoadArgs, UnloadArgs};
use crate::debug::args::DebugArgs;
use crate::dump::args::{DumpArgs, MakedumpfileArgs};
use crate::hibernate::args::{HibernateArgs, ImageArgs, ResumeArgs, SnapshotArgs};
use crate::initramfs::args::InitramfsArgs;
use crate::inspect::args::{CheckArgs, DoctorArgs, MachineArgs, MapArgs, StatusArgs};
use crate::kexec::args::KexecArgs;
use crate::memtest::args::MemtestArgs;
use crate::peer::args::{BootArgs, DropArgs, PeersArgs, ReturnArgs, SwitchArgs};
use crate::terminal::report;
use crate::test_machine::args::TestMachineArgs;
use crate::trial::args::TryArgs;

/// The last part of the help.
fn notes() -> String {
    format!(
        "Exit status:\n{}\n\
         Numbers are decimal, hexadecimal with 0x, or octal with 0. Addresses are physical.",
        report::statuses()
    )
}

/// The commands of kjump with all their options.
#[must_use]
pub fn command() -> clap::Command {
    Cli::command()
}

/// Call images in physical memory and return; boot other kernels; save memory images
///
/// An image is a small program that runs alone on the CPU. It is loaded at its physical addresses,
/// called in 64-bit mode or in 32-bit protected mode with up to six arguments, and returns a
/// number. The memory in its place, the CPU and, if requested, the devices are restored when it
/// returns.
#[derive(Debug, Parser)]
#[command(name = "kjump", version, propagate_version = true, after_help = notes(), max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Check(CheckArgs),
    Call(Box<CallArgs>),
    Load(Box<LoadArgs>),
    Unload(UnloadArgs),
    Bios(Box<BiosArgs>),
    TestMachine(TestMachineArgs),
    Memtest(MemtestArgs),
    Boot(Box<BootArgs>),
    Try(Box<TryArgs>),
    Debug(Box<DebugArgs>),
    Return(ReturnArgs),
    Switch(SwitchArgs),
    Peers(PeersArgs),
    Drop(DropArgs),
    Status(StatusArgs),
    Map(MapArgs),
    Machine(MachineArgs),
    Doctor(DoctorArgs),
    Initramfs(Box<InitramfsArgs>),
    Hibernate(Box<HibernateArgs>),
    Resume(ResumeArgs),
    Snapshot(Box<SnapshotArgs>),
    Image(ImageArgs),
    Kexec(KexecArgs),
    Dump(DumpArgs),
    Makedumpfile(MakedumpfileArgs),
}

#[cfg(test)]
mod tests {
    use super::*;
    use kernel_file::Mode;

    fn parse(line: &str) -> Result<Command, clap::Error> {
        Cli::try_parse_from(line.split(' ')).map(|cli| cli.command)
    }

    #[test]
    fn the_table_is_sound() {
        command().debug_assert();
    }

    #[test]
    fn options_and_arguments_may_be_mixed() {
        let Command::Call(args) = parse("kjump call --mode 32 image 1 --timing -5 0x10").unwrap() else {
            panic!("no call");
        };
        assert_eq!(args.operands, ["image", "1", "-5", "0x10"]);
        assert_eq!((args.placing.mode, args.timing, args.repeat), (Some(Mode::Protected), true, 1));
    }

    #[test]
    fn a_wrong_command_line_is_refused() {
        for line in [
            "kjump call --mode 16 image",
            "kjump call --repeat 0 image",
            "kjump call --in image@ image",
            "kjump call --name a --entry 0x1000",
            "kjump call --name a_name_that_is_longer_than_31_characters",
            "kjump load image",
            "kjump call --quiesce most image",
            "kjump jump",
        ] {
            assert!(parse(line).unwrap_err().use_stderr(), "{line}");
        }
    }

    #[test]
    fn help_fits_a_terminal_and_names_every_option() {
        let mut command = command().term_width(100);
        command.build();
        for name in ["bios", "test-machine", "call", "load", "map", "initramfs", "dump"] {
            let help = command.find_subcommand_mut(name).unwrap().render_help().to_string();
            insta::assert_snapshot!(format!("help_{name}"), help);
        }
        insta::assert_snapshot!("help", command.render_long_help().to_string());
    }
}
