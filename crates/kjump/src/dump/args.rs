//! The arguments of `kjump dump` and `kjump makedumpfile`.

use std::ffi::OsString;
use std::path::PathBuf;

use abi::device::Range;
use clap::{Args, Subcommand, ValueHint};

use super::level;
use super::sink::Address;
use crate::terminal::number;

/// Save, describe and check memory images
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

/// The addresses of memory in a file that does not contain them.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct RawArgs {
    /// The image is raw memory, such as that of a guest of cloud-hypervisor, or made by `dd`
    #[arg(long, requires = "ram")]
    pub(crate) raw: bool,
    /// The physical addresses of raw memory, in the order of the file: each range follows the one
    /// before, and the last one ends with the file
    #[arg(
        long,
        value_name = "START-END[,START-END]...",
        value_delimiter = ',',
        value_parser = number::page_range,
        requires = "raw"
    )]
    pub(crate) ram: Vec<Range>,
}

impl RawArgs {
    /// Of another image, which is raw memory if it has ranges.
    pub(crate) fn of(ram: &[Range]) -> Self {
        Self { raw: !ram.is_empty(), ram: ram.to_vec() }
    }
}

/// Save a memory image without the pages that are not needed
///
/// SOURCE is an ELF vmcore such as /proc/vmcore, a kdump-compressed dump, or either of them
/// flattened; with --raw, a file of nothing but memory. The dump level is the sum of the pages to
/// exclude: 1 zero pages, 2 page cache, 4 page cache with private data too, 8 memory of processes,
/// 16 free pages. If the kernel's page structures cannot be read, every page is kept. The exit
/// status is 0 only if the kind of every page is known and every page was read and written; it is
/// 1, with a dump, if the kinds of pages are unknown or pages could not be read.
///
/// The pages that readers need most are written first. If the disk becomes full, the written part
/// is kept as FILE.incomplete.
///
/// FILE may be a disk or a partition that is not in use, such as /dev/sda2. The dump is then
/// written from its first byte on, over the old contents and past the page cache, and can be read
/// from there as from a file.
#[derive(Debug, Args)]
pub(crate) struct SaveArgs {
    /// The image to read
    #[arg(value_hint = ValueHint::FilePath)]
    pub(crate) source: PathBuf,
    /// The file to write, or - for a flattened stream to standard output. It appears under this
    /// name only once complete
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath, required_unless_present = "to")]
    pub(crate) output: Option<PathBuf>,
    /// Write the dump to another machine instead, as a flattened stream, which needs no space here.
    /// ssh://USER@HOST:PORT/PATH is a file there, reached by the system's ssh; USER@ and :PORT may
    /// be left out, %XX in PATH is any byte, and the name is PATH.incomplete until the SHA-256
    /// checksum has been compared there. If the program was built with them, s3://BUCKET/KEY is an
    /// object in a bucket, with credentials and endpoint of the variables AWS_*, and
    /// https://HOST:PORT/PATH is uploaded by PUT
    #[arg(
        long,
        value_name = "ADDRESS",
        value_parser = Address::parser(),
        conflicts_with_all = ["output", "split", "flat", "force"]
    )]
    pub(crate) to: Option<Address>,
    /// Options for ssh in place of the user's, as with its option -F
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, requires = "to")]
    pub(crate) ssh_config: Option<PathBuf>,
    /// Permit http:// to another machine: the dump is not encrypted on its way
    #[arg(long, requires = "to")]
    pub(crate) plain_http: bool,
    /// Overwrite a disk that contains a file system, a partition table or the like
    #[arg(long, short = 'f')]
    pub(crate) force: bool,
    /// Another file of the split set that SOURCE belongs to; repeatable
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, conflicts_with = "raw")]
    pub(crate) part: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) raw: RawArgs,
    /// Erase the data that the rules in this file name, in the syntax of makedumpfile.conf(5).
    /// Their symbols and types are found in the image, by the kernel's kallsyms and BTF; a line
    /// `type SYMBOL TYPE` declares the type of a global variable, which BTF does not have
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) config: Option<PathBuf>,
    /// Dump level, 0 to 31; if there are several, the next one is tried when there is no room
    #[arg(
        long,
        short = 'd',
        value_name = "LEVEL[,LEVEL]...",
        default_value = "1",
        value_parser = level::levels
    )]
    pub(crate) level: level::Levels,
    /// When there is no room, try higher levels: without free and zero pages, then with the
    /// kernel's own memory only
    #[arg(long, conflicts_with = "exact")]
    pub(crate) resume_on_enospc: bool,
    /// Codec of each page: raw, zlib[:1-12], lzo, snappy or zstd[:-7-19]; zstd by default. With
    /// auto, raw, lzo or a level of zstd, depending on which of writing and compressing is slower
    #[arg(
        long,
        short = 'c',
        value_name = "CODEC[:LEVEL]|auto",
        value_parser = level::compression,
        conflicts_with = "elf"
    )]
    pub(crate) compress: Option<vmcore::write::Compression>,
    /// Write an ELF vmcore instead of a kdump-compressed dump. Runs of fewer than 256 excluded
    /// pages are kept
    #[arg(long)]
    pub(crate) elf: bool,
    /// Write plain memory, each page at its physical address; excluded pages are holes
    #[arg(long, conflicts_with_all = ["elf", "compress"])]
    pub(crate) flat: bool,
    /// Keep everything that a kernel needs to continue: exclude only free and zero pages (level 17)
    #[arg(long)]
    pub(crate) exact: bool,
    /// Write a flattened stream, as for a pipe
    #[arg(long)]
    pub(crate) flattened: bool,
    /// Divide the dump among FILE and these files; repeatable
    #[arg(
        long,
        value_name = "FILE",
        value_hint = ValueHint::FilePath,
        conflicts_with_all = ["elf", "flat", "flattened"]
    )]
    pub(crate) split: Vec<PathBuf>,
    /// Limit memory use; uses fewer threads if necessary
    #[arg(long, value_name = "SIZE", value_parser = number::amount)]
    pub(crate) memory_limit: Option<u64>,
    /// Number of threads; by default one for each CPU
    #[arg(long, value_name = "N", value_parser = threads)]
    pub(crate) threads: Option<usize>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Describe a memory image
#[derive(Debug, Args)]
pub(crate) struct InfoArgs {
    /// The image
    #[arg(value_hint = ValueHint::FilePath)]
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) raw: RawArgs,
    /// Also count pages by kind
    #[arg(long)]
    pub(crate) kinds: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Draw a map of memory by kind of page
///
/// A cell shows the most frequent kind in it: the kernel's own memory, slab objects, page
/// structures, page cache, memory of processes, or free.
#[derive(Debug, Args)]
pub(crate) struct DumpMapArgs {
    /// The image
    #[arg(value_hint = ValueHint::FilePath)]
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) raw: RawArgs,
    /// Write an SVG picture to this file instead of drawing in the terminal
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) svg: Option<PathBuf>,
}

/// Compare two memory images page by page
///
/// --raw and --ram describe the first image, --second-ram the second. The exit status is 1 if a
/// page that is in both differs or cannot be read, or if no page is in both.
#[derive(Debug, Args)]
pub(crate) struct DiffArgs {
    /// One image
    #[arg(value_hint = ValueHint::FilePath)]
    pub(crate) first: PathBuf,
    /// The other image
    #[arg(value_hint = ValueHint::FilePath)]
    pub(crate) second: PathBuf,
    #[command(flatten)]
    pub(crate) raw: RawArgs,
    /// The other image is raw memory, too, or only it is: its physical addresses, as with --ram
    #[arg(
        long,
        value_name = "START-END[,START-END]...",
        value_delimiter = ',',
        value_parser = number::page_range
    )]
    pub(crate) second_ram: Vec<Range>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Print the kernel's log from a memory image; implied when invoked as `vmcore-dmesg`
#[derive(Debug, Args)]
pub(crate) struct DmesgArgs {
    /// The image
    #[arg(value_hint = ValueHint::FilePath)]
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) raw: RawArgs,
}

/// Read every page of a memory image
///
/// The checksums of dumps written by kjump are verified, too. The exit status is 1 if a page is
/// missing or damaged, or if the image is marked as incomplete.
#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// The image
    #[arg(value_hint = ValueHint::FilePath)]
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) raw: RawArgs,
    /// Another image to compare with: pages that are in both must be equal
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) against: Option<PathBuf>,
    /// The other image is raw memory: its physical addresses, as with --ram
    #[arg(
        long,
        value_name = "START-END[,START-END]...",
        value_delimiter = ',',
        value_parser = number::page_range,
        requires = "against"
    )]
    pub(crate) against_ram: Vec<Range>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Act as makedumpfile; implied when invoked as `makedumpfile`
#[derive(Debug, Args)]
#[command(disable_help_flag = true)]
pub(crate) struct MakedumpfileArgs {
    /// See `kjump makedumpfile --help`
    #[arg(value_name = "ARGUMENT", trailing_var_arg = true, allow_hyphen_values = true)]
    pub(crate) arguments: Vec<OsString>,
}

/// A number of threads that is not absurd.
pub(crate) fn threads(argument: &str) -> Result<usize, String> {
    match argument.parse() {
        Ok(number @ 1..=1024) => Ok(number),
        _ => Err("expected 1 to 1024".into()),
    }
}
