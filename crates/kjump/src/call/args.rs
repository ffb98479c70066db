//! The arguments of `kjump call`, `load` and `unload`.

use std::ffi::OsString;
use std::path::PathBuf;

use abi::device::{Range, quiesce};
use clap::{Args, ValueEnum, ValueHint};
use kernel_file::Mode;
use sys::ImageName;

use crate::terminal::number::{self, FileFrom, FileTo};

/// Load an image, call it and unload it; or call a kept one
///
/// FILE is a static ELF executable, or with --load-at a flat binary. Each ARG is a number. With
/// --name there is no FILE. Prints the number that the image returned. If an exception ends the
/// image, prints it with the registers, and the exit status is 3.
#[derive(Debug, Args)]
#[command(
    override_usage = "kjump call [OPTIONS] FILE [ARG]...\n       kjump call [OPTIONS] --name NAME [ARG]..."
)]
pub(crate) struct CallArgs {
    /// The image's file (without --name), then up to six arguments
    #[arg(value_name = "FILE|ARG", allow_negative_numbers = true, value_hint = ValueHint::FilePath)]
    pub(crate) operands: Vec<OsString>,
    /// Call the image that is kept under this name
    #[arg(long, value_name = "NAME", conflicts_with_all = ["mode", "entry", "load_at", "vouch", "no_claim"])]
    pub(crate) name: Option<ImageName>,
    #[command(flatten)]
    pub(crate) placing: PlacingArgs,
    /// How much of the system is stopped during the call
    #[arg(long, value_enum, value_name = "LEVEL", default_value_t)]
    pub(crate) quiesce: Quiesce,
    /// Copy a file into the image before the first call; repeatable
    #[arg(long = "in", value_name = "FILE@ADDR", value_parser = number::os(number::file_to))]
    pub(crate) inputs: Vec<FileTo>,
    /// Copy bytes of the image into a file after the last call, even one that an exception ended;
    /// repeatable. Only the owner can read a new file
    #[arg(long = "out", value_name = "FILE@ADDR:LEN", value_parser = number::os(number::file_from))]
    pub(crate) outputs: Vec<FileFrom>,
    /// Call the image N times, but stop at an exception; the image keeps its state between calls
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = number::at_least_one)]
    pub(crate) repeat: u64,
    /// Stop the image if a call takes longer, and exit with status 5; `none` for no deadline. Works
    /// while the image keeps its interrupt descriptor table
    ///
    /// By default 10 seconds where the machine has something that can stop an image: a second CPU
    /// unless the system is suspended, or an HPET. A kept image has no deadline by default if the
    /// system is suspended for it.
    #[arg(long, value_name = "SECONDS", value_parser = number::deadline)]
    pub(crate) deadline: Option<u64>,
    /// Fail if another call is in progress, instead of waiting for it to end
    #[arg(long)]
    pub(crate) no_wait: bool,
    /// Print the time spent in each phase of the call
    #[arg(long)]
    pub(crate) timing: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Load an image and keep it under a name for `kjump call --name`
#[derive(Debug, Args)]
pub(crate) struct LoadArgs {
    /// A static ELF executable, or with --load-at a flat binary
    #[arg(value_hint = ValueHint::FilePath)]
    pub(crate) file: PathBuf,
    /// Name to keep it under: 1 to 31 printable ASCII characters without spaces
    #[arg(long, value_name = "NAME")]
    pub(crate) name: ImageName,
    #[command(flatten)]
    pub(crate) placing: PlacingArgs,
}

/// Unload a kept image
#[derive(Debug, Args)]
pub(crate) struct UnloadArgs {
    /// Name of the image
    pub(crate) name: ImageName,
}

/// Where a file is loaded, and how it is entered.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct PlacingArgs {
    /// CPU mode that the image is entered in: 64-bit mode, or 32-bit protected mode without paging
    /// [default: that of an ELF file, 64 for a flat binary]
    #[arg(long, value_name = "64|32", value_parser = mode)]
    pub(crate) mode: Option<Mode>,
    /// Address to call [default: the entry point of an ELF file, the first byte of a flat binary]
    #[arg(long, value_name = "ADDR", value_parser = number::unsigned)]
    pub(crate) entry: Option<u64>,
    /// Address of the first byte, for a flat binary
    #[arg(long, value_name = "ADDR", value_parser = number::unsigned)]
    pub(crate) load_at: Option<u64>,
    /// Physical range outside System RAM that you guarantee is unused, so that the image may lie
    /// there; repeatable
    #[arg(long, value_name = "START-END", value_parser = number::page_range)]
    pub(crate) vouch: Vec<Range>,
    /// Do not ask the kernel to move its pages away from the image's addresses
    #[arg(long)]
    pub(crate) no_claim: bool,
}

/// How much of the system is stopped during a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Quiesce {
    /// The cheapest level that works
    #[default]
    Auto,
    /// Interrupts of one CPU; the image's addresses must not be in use
    None,
    /// All CPUs; the image's addresses must not be in use
    Stop,
    /// Programs, devices and all CPUs but one; the image's addresses may be in use
    Suspend,
}

impl Quiesce {
    pub(crate) const fn number(self) -> u64 {
        match self {
            Self::Auto => quiesce::AUTO,
            Self::None => quiesce::NONE,
            Self::Stop => quiesce::STOP,
            Self::Suspend => quiesce::SUSPEND,
        }
    }
}

fn mode(word: &str) -> Result<Mode, String> {
    match word {
        "64" => Ok(Mode::Long),
        "32" => Ok(Mode::Protected),
        _ => Err("expected 64 or 32".into()),
    }
}
