//! The arguments of `kjump bios run`.

use std::path::PathBuf;

use clap::builder::TypedValueParser;
use clap::{Args, ValueEnum, ValueHint};
use firmware::disk::Kind;

use crate::terminal::number;

/// Run the program on a disk image in real mode, and return when it ends
///
/// IMAGE is a floppy or hard disk image with a boot sector. The system is suspended, and the
/// program runs on the bare machine, as the BIOS would have booted it: with its clock, keyboard and
/// screen, with base memory to itself, and with the image, in memory, as its only disk. The
/// machine's own disks are out of its reach by INT 13h, and so is most memory above 1 MiB by the
/// memory map that it gets. A program that ignores both can do anything.
///
/// It ends, and the system resumes, at INT 19h, at Ctrl-Alt-Del, or when it jumps to the reset
/// vector (exit status 0), at INT 18h (1), in an exception that it does not handle (3), and at the
/// deadline (5). What it writes to its disk is lost unless --disk-out or --write-back is given.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// The disk image
    #[arg(value_name = "IMAGE", value_hint = ValueHint::FilePath)]
    pub(crate) image: PathBuf,
    /// What the BIOS takes the image for [default: a floppy disk if one has its size]
    #[arg(long = "as", value_name = "KIND", value_enum)]
    pub(crate) kind: Option<KindArg>,
    /// Memory from 1 MiB on that the program has, 0 for none [default: 15M, or less if RAM ends]
    #[arg(long, value_name = "SIZE", value_parser = memory)]
    pub(crate) memory: Option<u64>,
    /// Milliseconds after which the program is ended, in steps of 55 [default: never]
    #[arg(long, value_name = "MS", value_parser = milliseconds())]
    pub(crate) deadline: Option<u64>,
    /// Copy the disk into a file after the program has ended
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) disk_out: Option<PathBuf>,
    /// Write the disk back to IMAGE if the program has written to it
    #[arg(long, conflicts_with = "disk_out")]
    pub(crate) write_back: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// The kinds of disks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum KindArg {
    /// Disk 0
    Floppy,
    /// Disk 0x80
    HardDisk,
}

impl From<KindArg> for Kind {
    fn from(kind: KindArg) -> Self {
        match kind {
            KindArg::Floppy => Self::Floppy,
            KindArg::HardDisk => Self::HardDisk,
        }
    }
}

/// At most a day.
fn milliseconds() -> impl TypedValueParser<Value = u64> {
    clap::value_parser!(u64).range(1..=86_400_000)
}

fn memory(word: &str) -> Result<u64, String> {
    if word == "0" { Ok(0) } else { number::size(word) }
}
