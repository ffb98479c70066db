//! The arguments of `kjump boot`, `return`, `switch`, `peers` and `drop`.

use std::path::PathBuf;

use clap::{Args, ValueHint};
use sys::ImageName;

use crate::terminal::number;

/// Boot another kernel in a window of memory, and come back when it returns
///
/// The running kernel is suspended, and resumes when the other kernel runs `kjump return` or
/// panics. The last log lines of a kernel that died are printed. The exit status is 4 if it
/// panicked, 5 if it was stopped at its deadline, and 3 if an exception ended it before it could
/// handle exceptions itself. A kernel that returned stays in memory, and `kjump switch` goes to it
/// again.
#[derive(Debug, Args)]
pub(crate) struct BootArgs {
    /// The kernel: a bzImage or a unified kernel image, compressed or not
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) kernel: PathBuf,
    /// An initrd; repeatable. It must load kjump's module for the kernel to return
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) initrd: Vec<PathBuf>,
    /// The kernel's command line
    #[arg(long, value_name = "CMDLINE", default_value = "", allow_hyphen_values = true)]
    pub(crate) append: String,
    /// Name of the kernel, for `kjump switch`: 1 to 31 printable ASCII characters without spaces
    #[arg(long, value_name = "NAME", default_value = "b")]
    pub(crate) name: ImageName,
    /// Size of the window
    #[arg(long, value_name = "SIZE", default_value = "256M", value_parser = number::size)]
    pub(crate) memory: u64,
    /// Start of the window, in RAM or in memory reserved from the running kernel [default: the
    /// highest place in RAM below 4 GiB]
    #[arg(long, value_name = "ADDR", value_parser = number::unsigned)]
    pub(crate) window: Option<u64>,
    /// Most CPUs that the kernel uses
    #[arg(long, value_name = "N", value_parser = number::at_least_one)]
    pub(crate) cpus: Option<u64>,
    /// Run the kernel on another CPU under a guard that stops it after this time, even if it hangs
    /// (`none`: never). The kernel may then panic on any of its CPUs, and has one CPU less
    #[arg(long, value_name = "SECONDS", value_parser = number::deadline)]
    pub(crate) deadline: Option<u64>,
    /// Do not show the running kernel's memory in the new kernel's /proc/vmcore. Some distributions
    /// save /proc/vmcore and reboot whenever there is one
    #[arg(long)]
    pub(crate) no_vmcore: bool,
    /// Print the plan of the load, and do nothing
    #[arg(long, conflicts_with = "json")]
    pub(crate) dry_run: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Return to the kernel that booted this one
///
/// Ends when this kernel is switched to again, and prints the value that the other kernel passed.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct ReturnArgs {
    /// A number for the other kernel
    #[arg(
        value_name = "VALUE",
        default_value = "0",
        allow_negative_numbers = true,
        value_parser = number::either_sign
    )]
    pub(crate) value: u64,
    /// Do not return yet, but return from now on if this kernel panics
    #[arg(long, conflicts_with_all = ["value", "json"])]
    pub(crate) prepare: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Switch to a kernel that `kjump boot` booted and that returned
///
/// The exit status is that of `kjump boot`.
#[derive(Debug, Args)]
pub(crate) struct SwitchArgs {
    /// The kernel's name
    pub(crate) name: ImageName,
    /// A number for the kernel
    #[arg(
        value_name = "VALUE",
        default_value = "0",
        allow_negative_numbers = true,
        value_parser = number::either_sign
    )]
    pub(crate) value: u64,
    /// Stop the kernel after this time; it must have been booted with --deadline
    #[arg(long, value_name = "SECONDS", value_parser = number::deadline)]
    pub(crate) deadline: Option<u64>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// List the other kernels that are resident in memory
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct PeersArgs {
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Drop a resident kernel and free its memory
#[derive(Debug, Args)]
pub(crate) struct DropArgs {
    /// The kernel's name
    pub(crate) name: ImageName,
}
