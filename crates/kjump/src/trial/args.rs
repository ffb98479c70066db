//! The arguments of `kjump try`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, ValueHint};
use sys::ImageName;

use crate::terminal::number;

/// Try a kernel: boot it next to this one, check its drivers, and come back with a report
///
/// The running kernel is suspended meanwhile, and resumes whatever happens to the other one. The
/// kernel is tried with its own initrd: drivers are loaded from it as udev does, but none of its
/// scripts runs, and all disks are read-only. It is healthy if it finds a driver for every device
/// that has one now, a link on every network card that has one now, and the root file system. The
/// exit status is 0 if it is healthy and 1 if not, 4 if it panicked, 5 if it did not finish before
/// the deadline, and 3 if an exception ended it early.
#[derive(Debug, Args)]
pub(crate) struct TryArgs {
    /// The kernel: a bzImage or a unified kernel image, compressed or not
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) kernel: PathBuf,
    /// An initrd; repeatable
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) initrd: Vec<PathBuf>,
    /// The kernel's command line [default: the kernel file's, or this kernel's]
    #[arg(long, value_name = "CMDLINE", allow_hyphen_values = true)]
    pub(crate) append: Option<OsString>,
    /// A command that the other kernel runs after the checks; it is unhealthy if the command fails
    #[arg(long, value_name = "CMD", allow_hyphen_values = true)]
    pub(crate) health: Option<String>,
    /// The root file system to look for [default: root= of the command line]
    #[arg(long, value_name = "LABEL=L|UUID=U|/dev/NAME")]
    pub(crate) root: Option<String>,
    /// Stop the kernel after this time, even if it hangs (`none`: never). Needs a second CPU
    #[arg(long, value_name = "SECONDS", default_value = "120", value_parser = number::deadline)]
    pub(crate) deadline: u64,
    /// Memory for the kernel
    #[arg(long, value_name = "SIZE", default_value = "512M", value_parser = number::size)]
    pub(crate) memory: u64,
    /// Name of the kernel on trial in `kjump peers`
    #[arg(long, value_name = "NAME", default_value = "trial")]
    pub(crate) name: ImageName,
    /// If it is healthy, load it in place of this kernel, and shut the system down to start it
    #[arg(long)]
    pub(crate) then_start: bool,
    /// kjump.ko for the kernel [default: among its modules in /lib/modules]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) module: Option<PathBuf>,
    /// Directory of the kernel's modules [default: /lib/modules/VERSION]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) module_dir: Option<PathBuf>,
    /// A static busybox, as in Debian's package busybox-static
    #[arg(long, value_name = "FILE", default_value = "/bin/busybox", value_hint = ValueHint::FilePath)]
    pub(crate) busybox: PathBuf,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

impl TryArgs {
    /// Parses the arguments after `kjump try`.
    pub(crate) fn parse(words: &[OsString]) -> Result<Self, String> {
        #[derive(Parser)]
        #[command(no_binary_name = true)]
        struct Words {
            #[command(flatten)]
            args: TryArgs,
        }
        Words::try_parse_from(words).map(|words| words.args).map_err(|error| error.to_string())
    }
}
