//! The arguments of `kjump dump` and `kjump makedumpfile`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueHint};

use super::level;
use crate::terminal::number;

/// Save memory images, describe and check them
#[derive(Debug, Args)]
pub(crate) struct DumpArgs {
    #[command(subcommand)]
    pub(crate) command: DumpCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DumpCommand {
    Save(Box<SaveArgs>),
    Info(InfoArgs),
    Verify(VerifyArgs),
    Map(DumpMapArgs),
    Diff(DiffArgs),
    Dmesg(DmesgArgs),
}

/// Save a memory image without the pages that need not be kept
///
/// SOURCE is an ELF vmcore such as /proc/vmcore, a kdump-compressed dump, or either of them flattened. The dump level is
/// a sum of what is left out: 1 pages of zeros, 2 page cache, 4 page cache with private data too, 8 memory of
/// processes, 16 free pages. If the kernel's page structures cannot be understood, every page is kept. The exit status
/// is 0 only if every page was understood, read and written; it is 1, with a dump, if pages could not be understood or
/// read.
///
/// What readers need most is written first. If there is no room for all of it, what there is stays as FILE.incomplete.
///
/// FILE may be a disk or a partition, such as /dev/sda2, that is not in use: the dump is then written past the page cache from
/// its first byte on, over whatever is there, and is read from there as from a file.
#[derive(Debug, Args)]
pub(crate) struct SaveArgs {
    /// The image to read
    #[arg(value_hint = ValueHint::FilePath)]
    pub(crate) source: PathBuf,
    /// The file to write, or - for a flattened stream to standard output. It gets its name when it is whole
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) output: PathBuf,
    /// One more file of a split set that SOURCE is of; repeatable
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) part: Vec<PathBuf>,
    /// Dump level, 0 to 31; of several, the next is tried when there is no room
    #[arg(long, short = 'd', value_name = "LEVEL[,LEVEL]...", default_value = "1", value_parser = level::levels)]
    pub(crate) level: level::Levels,
    /// When there is no room, try again with less: what else is free or zero, then whatever is not the kernel's own
    #[arg(long, conflicts_with = "exact")]
    pub(crate) resume_on_enospc: bool,
    /// Codec of each page: raw, zlib[:1-12], lzo, snappy or zstd[:-7-19]; without it, zstd. With auto, raw, lzo or levels of
    /// zstd, as it pays: harder where writing takes long, less where compressing does
    #[arg(long, short = 'c', value_name = "CODEC[:LEVEL]|auto", value_parser = level::compression, conflicts_with = "elf")]
    pub(crate) compress: Option<vmcore::write::Compression>,
    /// Write an ELF vmcore, not a kdump-compressed dump. Of pages that need not be kept, runs of fewer than 256 stay
    #[arg(long)]
    pub(crate) elf: bool,
    /// Write plain memory, each page at its physical address; what is not kept is a hole
    #[arg(long, conflicts_with_all = ["elf", "compress"])]
    pub(crate) flat: bool,
    /// Keep what a kernel needs to go on: all but free pages and pages of zeros, whatever the level says
    #[arg(long)]
    pub(crate) exact: bool,
    /// Write a flattened stream, for a pipe
    #[arg(long)]
    pub(crate) flattened: bool,
    /// Divide the dump among FILE and these files; repeatable
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, conflicts_with_all = ["elf", "flat", "flattened"])]
    pub(crate) split: Vec<PathBuf>,
    /// Use at most so much memory; fewer threads work then
    #[arg(long, value_name = "SIZE", value_parser = number::size)]
    pub(crate) memory_limit: Option<u64>,
    /// Threads; without it, one for each processor
    #[arg(long, value_name = "N", value_parser = threads)]
    pub(crate) threads: Option<usize>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Tell what a memory image is
#[derive(Debug, Args)]
pub(crate) struct InfoArgs {
    /// The image
    #[arg(value_hint = ValueHint::FilePath)]
    pub(crate) file: PathBuf,
    /// Count pages by what they are too
    #[arg(long)]
    pub(crate) kinds: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Draw memory by what its pages are
///
/// A cell of the picture is what most of it is: the kernel's own memory, objects of its allocator, structures of pages,
/// page cache, memory of processes, or free.
#[derive(Debug, Args)]
pub(crate) struct DumpMapArgs {
    /// The image
    #[arg(value_hint = ValueHint::FilePath)]
    pub(crate) file: PathBuf,
    /// Write a picture to this file instead of drawing in the terminal
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) svg: Option<PathBuf>,
}

/// Compare two memory images page by page
///
/// The exit status is 1 if a page that both have differs or cannot be read.
#[derive(Debug, Args)]
pub(crate) struct DiffArgs {
    /// One image
    #[arg(value_hint = ValueHint::FilePath)]
    pub(crate) first: PathBuf,
    /// The other image
    #[arg(value_hint = ValueHint::FilePath)]
    pub(crate) second: PathBuf,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Print the kernel's log out of a memory image; also done when called by the name vmcore-dmesg
#[derive(Debug, Args)]
pub(crate) struct DmesgArgs {
    /// The image
    #[arg(value_hint = ValueHint::FilePath)]
    pub(crate) file: PathBuf,
}

/// Read every page of a memory image
///
/// A dump that kjump wrote is compared with its checksums too. The exit status is 1 if a page is missing or damaged, or if the
/// image is marked as incomplete.
#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// The image
    #[arg(value_hint = ValueHint::FilePath)]
    pub(crate) file: PathBuf,
    /// Another image: pages that are in both must be the same
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) against: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Take the words of makedumpfile; also done when called by that name
#[derive(Debug, Args)]
#[command(disable_help_flag = true)]
pub(crate) struct MakedumpfileArgs {
    /// See `kjump makedumpfile --help`
    #[arg(value_name = "WORD", trailing_var_arg = true, allow_hyphen_values = true)]
    pub(crate) arguments: Vec<OsString>,
}

/// At most so many that a table of them is no burden.
pub(crate) fn threads(word: &str) -> Result<usize, String> {
    match word.parse() {
        Ok(number @ 1..=1024) => Ok(number),
        _ => Err("1 to 1024".into()),
    }
}
