//! The arguments of `kjump check`, `status`, `map` and `machine`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueHint};

/// Tell whether a call can work on this machine, or a load by kexec, and what stands in the way
///
/// Prints a line for everything that matters, and for each that does not do, what can be done about it. With words of
/// kexec, it is about that load, as `kexec --check` is. The exit status is 0 if it can work, 1 if not.
#[derive(Clone, Debug, Args)]
pub(crate) struct CheckArgs {
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Words of kexec, as in `kjump check --initrd i vmlinuz`; see `kjump kexec --help`
    #[arg(value_name = "WORD", trailing_var_arg = true, allow_hyphen_values = true)]
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

/// Draw physical memory, and where images are loaded
#[derive(Debug, Args)]
pub(crate) struct MapArgs {
    /// Write a picture to this file instead of drawing in the terminal
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) svg: Option<PathBuf>,
}

/// Write down what is known of this machine
#[derive(Debug, Args)]
pub(crate) struct MachineArgs {
    #[command(subcommand)]
    pub(crate) command: MachineCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum MachineCommand {
    Save(MachineSaveArgs),
}

/// Save what is read of this machine, for `kexec --dry-run --machine` and `kexec --check --machine` elsewhere
///
/// The file is JSON: the paths below /proc, /sys and /boot that were read, and what they said. It holds physical
/// addresses and the command line; look at it before you give it away.
#[derive(Debug, Args)]
pub(crate) struct MachineSaveArgs {
    /// File to write, readable by its owner only
    #[arg(value_hint = ValueHint::FilePath)]
    pub(crate) file: PathBuf,
}
