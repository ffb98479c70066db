//! The arguments of `kjump boot`, `return`, `switch`, `peers` and `drop`.

use std::path::PathBuf;

use clap::{Args, ValueHint};
use sys::ImageName;

use crate::terminal::number;

/// Boot another kernel beside the running one, which comes back when that one returns
///
/// The other kernel lives in a window of physical memory. The running kernel rests underneath and is resumed when
/// `kjump return` is run in the other one, or when that panics; what it last said is then printed, and the exit status
/// is 4, or 5 if it was taken down at its deadline, or 3 if an exception ended it before it could handle its own. A
/// kernel that returned stays in memory, and `kjump switch` goes to it again.
#[derive(Debug, Args)]
pub(crate) struct BootArgs {
    /// The kernel: a bzImage or a unified kernel image, compressed or not
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) kernel: PathBuf,
    /// An initrd; repeatable. It must load kjump's module, so that the kernel can return
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) initrd: Vec<PathBuf>,
    /// The kernel's command line
    #[arg(long, value_name = "WORDS", default_value = "", allow_hyphen_values = true)]
    pub(crate) append: String,
    /// Name of the kernel, for `kjump switch`: 1 to 31 printable ASCII characters without spaces
    #[arg(long, value_name = "NAME", default_value = "b")]
    pub(crate) name: ImageName,
    /// Size of the window
    #[arg(long, value_name = "SIZE", default_value = "256M", value_parser = number::size)]
    pub(crate) memory: u64,
    /// Start of the window, in RAM or in memory that the running kernel was told to leave alone. Without it, the
    /// highest place in RAM below 4 GiB
    #[arg(long, value_name = "ADDR", value_parser = number::unsigned)]
    pub(crate) window: Option<u64>,
    /// Most CPUs that the kernel takes
    #[arg(long, value_name = "N", value_parser = number::at_least_one)]
    pub(crate) cpus: Option<u64>,
    /// Have another CPU run the kernel, while this one watches: whatever it does, it is taken down after this time, or
    /// never with `none`, and may panic on any of its CPUs. It has one CPU less then
    #[arg(long, value_name = "SECONDS", value_parser = number::deadline)]
    pub(crate) deadline: Option<u64>,
    /// Do not show the running kernel's memory in the new kernel's /proc/vmcore; a distribution may take a /proc/vmcore
    /// for a reason to save it and reboot
    #[arg(long)]
    pub(crate) no_vmcore: bool,
    /// Print what would be loaded where, and do nothing
    #[arg(long, conflicts_with = "json")]
    pub(crate) dry_run: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Return to the kernel that booted this one
///
/// Ends when this kernel is switched to again, and prints the value that it was given then.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct ReturnArgs {
    /// A number for the other kernel
    #[arg(value_name = "VALUE", default_value = "0", allow_negative_numbers = true, value_parser = number::either_sign)]
    pub(crate) value: u64,
    /// Do not return yet, but be ready to: from now on this kernel returns when it panics
    #[arg(long, conflicts_with_all = ["value", "json"])]
    pub(crate) prepare: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Go to a kernel that `kjump boot` booted and that returned
///
/// The exit status is that of `kjump boot`.
#[derive(Debug, Args)]
pub(crate) struct SwitchArgs {
    /// The kernel's name
    pub(crate) name: ImageName,
    /// A number for it
    #[arg(value_name = "VALUE", default_value = "0", allow_negative_numbers = true, value_parser = number::either_sign)]
    pub(crate) value: u64,
    /// Take the kernel down after this time; it must have been booted with --deadline
    #[arg(long, value_name = "SECONDS", value_parser = number::deadline)]
    pub(crate) deadline: Option<u64>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// List the kernels that are resident beside the running one
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct PeersArgs {
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Give up a kernel that is resident beside the running one
#[derive(Debug, Args)]
pub(crate) struct DropArgs {
    /// The kernel's name
    pub(crate) name: ImageName,
}
