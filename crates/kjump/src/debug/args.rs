//! The arguments of `kjump debug`.

use std::ffi::OsStr;
use std::path::PathBuf;

use clap::{Args, ValueHint};

use crate::initramfs::args::{Pair, pair};
use crate::terminal::number;

/// Stop this kernel whole, and open a shell in another one that sees its memory
///
/// The other kernel has an initramfs with busybox and this program, opens a shell on the console,
/// and sees all memory of this kernel, at rest, as /proc/vmcore. When the shell ends, this kernel
/// continues where it was. The other kernel stays in memory as the peer `debug`, so the shell opens
/// at once the next time; `kjump drop debug` frees it. The exit status is that of `kjump boot`.
#[derive(Debug, Args)]
pub(crate) struct DebugArgs {
    /// Boot the other kernel, and come back without a shell: the next `kjump debug` has it at once
    #[arg(long)]
    pub(crate) prepare: bool,
    /// The terminal of the shell [default: the last console= of the kernel's command line, or tty0]
    #[arg(long, value_name = "NAME", value_parser = number::os(console))]
    pub(crate) console: Option<String>,
    /// The other kernel, of the same release [default: /boot/vmlinuz-RELEASE of the running kernel]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) kernel: Option<PathBuf>,
    /// A file or directory to add to its initramfs, such as a debugger; repeatable
    #[arg(long, value_name = "HOST:GUEST", value_parser = number::os(pair))]
    pub(crate) add: Vec<Pair>,
    /// A driver to load in it, by the name of its module; repeatable
    #[arg(long, value_name = "NAME")]
    pub(crate) driver: Vec<String>,
    /// More of its command line
    #[arg(long, value_name = "CMDLINE", allow_hyphen_values = true)]
    pub(crate) append: Option<String>,
    /// Size of its window [default: 256M]
    #[arg(long, value_name = "SIZE", value_parser = number::size)]
    pub(crate) memory: Option<u64>,
    /// Run it under a guard that stops it after this time, even if it hangs (`none`: never, but it
    /// may panic on any of its CPUs). Needs a second CPU
    #[arg(long, value_name = "SECONDS", value_parser = number::deadline)]
    pub(crate) deadline: Option<u64>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

impl DebugArgs {
    /// An option that says how the other kernel is booted, if one was given.
    pub(crate) fn option_for_booting(&self) -> Option<&'static str> {
        let given = [
            ("--console", self.console.is_some()),
            ("--kernel", self.kernel.is_some()),
            ("--add", !self.add.is_empty()),
            ("--driver", !self.driver.is_empty()),
            ("--append", self.append.is_some()),
            ("--memory", self.memory.is_some()),
        ];
        given.into_iter().find_map(|(option, is_given)| is_given.then_some(option))
    }
}

/// Parses the value of `console=`: the name of a terminal, and options after a comma.
fn console(word: &OsStr) -> Result<String, String> {
    let text = word.to_str().unwrap_or_default();
    let (name, options) = text.split_once(',').unwrap_or((text, "0"));
    let is_plain = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric());
    match is_plain(name) && is_plain(options) {
        true => Ok(text.to_owned()),
        false => Err("expected a terminal such as ttyS0, \"ttyS0,115200\" or tty0".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_console_cannot_be_more_than_one_parameter() {
        for word in ["ttyS0", "ttyS0,115200n8", "tty0", "hvc0"] {
            assert_eq!(console(OsStr::new(word)), Ok(word.to_owned()));
        }
        for word in ["", "ttyS0 init=/x", "ttyS0,", "../mem", "tty'0"] {
            assert!(console(OsStr::new(word)).is_err(), "{word}");
        }
    }
}
