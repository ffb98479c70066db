//! The table of kjump's commands and options: help, manual pages and completions are made of it.

use std::ffi::OsString;

use clap::{Args, CommandFactory, Parser, Subcommand};

use crate::call::args::{CallWords, LoadWords, UnloadWords};
use crate::dump::args::{DumpWords, MakedumpfileWords};
use crate::initramfs::args::InitramfsWords;
use crate::inspect::args::{CheckWords, MachineWords, MapWords, StatusWords};
use crate::peer::args::{BootWords, DropWords, PeersWords, ReturnWords, SwitchWords};

const EXIT_STATUS: &str = "\
Exit status:
  0  done; for `call`: the image returned
  1  an error, or the answer is no
  2  the command line is wrong
  3  an exception ended the image
  4  the other kernel panicked

Numbers are decimal, hexadecimal with 0x, or octal with 0. Addresses are physical.";

/// The commands of kjump with all their options.
#[must_use]
pub fn command() -> clap::Command {
    Cli::command()
}

/// Call images in physical memory and come back
///
/// An image is a small program that has the CPU for itself: it is put at its physical addresses, called in 64-bit mode
/// or in 32-bit protected mode with up to six arguments, and returns a number. What was in its place, the CPU and,
/// where asked, the devices are as before when it has returned.
#[derive(Debug, Parser)]
#[command(name = "kjump", version, propagate_version = true, after_help = EXIT_STATUS, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Check(CheckWords),
    Call(Box<CallWords>),
    Load(Box<LoadWords>),
    Unload(UnloadWords),
    Boot(Box<BootWords>),
    Return(ReturnWords),
    Switch(SwitchWords),
    Peers(PeersWords),
    Drop(DropWords),
    Status(StatusWords),
    Map(MapWords),
    Machine(MachineWords),
    Initramfs(Box<InitramfsWords>),
    Kexec(KexecWords),
    Dump(DumpWords),
    Makedumpfile(MakedumpfileWords),
}

/// Take the words of kexec-tools' kexec; also done when called by that name
#[derive(Debug, Args)]
#[command(disable_help_flag = true)]
pub(crate) struct KexecWords {
    /// See `kjump kexec --help`
    #[arg(value_name = "WORD", trailing_var_arg = true, allow_hyphen_values = true)]
    pub(crate) words: Vec<OsString>,
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
        let Command::Call(words) = parse("kjump call --mode 32 image 1 --timing -5 0x10").unwrap() else {
            panic!("no call");
        };
        assert_eq!(words.words, ["image", "1", "-5", "0x10"]);
        assert_eq!((words.placing.mode, words.timing, words.repeat), (Some(Mode::Protected), true, 1));
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
        for name in ["call", "load", "map", "initramfs", "dump"] {
            let help = command.find_subcommand_mut(name).unwrap().render_help().to_string();
            insta::assert_snapshot!(format!("help_{name}"), help);
        }
        insta::assert_snapshot!("help", command.render_long_help().to_string());
    }
}
