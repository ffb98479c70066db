//! The arguments of `kjump check`, `status`, `map` and `machine`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueHint};

/// Check whether a call, or a load by kexec, can work on this machine
///
/// Prints a line for each fact that matters, and how to fix each problem. With kexec options,
/// checks that load, as `kexec --check` does. The exit status is 0 if it can work, 1 if not.
#[derive(Clone, Debug, Args)]
pub(crate) struct CheckArgs {
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Options and file of kexec, as in `kjump check --initrd i vmlinuz`; see `kjump kexec --help`
    #[arg(value_name = "ARG", trailing_var_arg = true, allow_hyphen_values = true)]
    pub(crate) arguments: Vec<OsString>,
}

/// List the loaded images
///
/// The exit status is 1 if the module is not loaded.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct StatusArgs {
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Draw physical memory, and the places of loaded images
#[derive(Debug, Args)]
pub(crate) struct MapArgs {
    /// Write a picture to this file instead of the terminal
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) svg: Option<PathBuf>,
}

/// Write one file for a bug report
///
/// The file is JSON: what `kjump check` finds, the version of program and module, the loaded
/// images, the lines of the kernel's log about kexec and kjump, and everything that `kjump machine
/// save` records, so that `--machine FILE` replays it. Values of parameters of the command line
/// that look like secrets are left out; it still contains physical addresses. Read it before you
/// give it away.
#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// File to write; only its owner can read it
    #[arg(value_hint = ValueHint::FilePath)]
    pub(crate) file: PathBuf,
}

/// Record the state of this machine
#[derive(Debug, Args)]
pub(crate) struct MachineArgs {
    #[command(subcommand)]
    pub(crate) command: MachineCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum MachineCommand {
    Save(MachineSaveArgs),
}

/// Save the state of this machine, for `kexec --dry-run --machine` and `kexec --check --machine`
/// elsewhere
///
/// The file is JSON: the files in /proc, /sys and /boot that were read, with their contents. It
/// contains physical addresses and the command line; read it before you give it away.
#[derive(Debug, Args)]
pub(crate) struct MachineSaveArgs {
    /// File to write; only its owner can read it
    #[arg(value_hint = ValueHint::FilePath)]
    pub(crate) file: PathBuf,
}
