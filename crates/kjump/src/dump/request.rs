//! Requests to save an image, resolved from the arguments of `kjump dump save` and `makedumpfile`.

use std::path::PathBuf;

use vmcore::codec::{Codec, Effort};
use vmcore::select::Level;
use vmcore::write::Compression;

use super::args::{RawArgs, SaveArgs};
use super::erase::Config;
use super::level::{Levels, cpus, with_higher};
use super::sink::{Remote, Replace};
use super::source::Facts;

/// A request to save an image.
pub(super) struct Request {
    /// The image, or the files of a split set.
    pub(super) sources: Vec<PathBuf>,
    /// Whether the source is raw memory, and its addresses.
    pub(super) raw: RawArgs,
    /// Facts about the kernel to use instead of the image's own.
    pub(super) facts: Option<Facts>,
    /// Rules that erase data.
    pub(super) config: Option<Config>,
    /// Whether to print VMCOREINFO.
    pub(super) details: bool,
    /// `-` is standard output. Several outputs are a split set.
    pub(super) outputs: Vec<PathBuf>,
    /// A file on another machine in place of the outputs.
    pub(super) remote: Option<Remote>,
    pub(super) format: OutputFormat,
    pub(super) flattened: bool,
    /// Tried one after the other if there is no room. Never empty.
    pub(super) levels: Levels,
    pub(super) compression: Compression,
    pub(super) threads: usize,
    /// Memory to use at most, in bytes.
    pub(super) memory_limit: Option<u64>,
    /// Size of the dump at most, in bytes.
    pub(super) limit: Option<u64>,
    pub(super) replace: Replace,
    /// Whether to show progress.
    pub(super) progress: bool,
    /// Whether an incomplete dump gets the name of the output; otherwise `.incomplete` is appended.
    pub(super) keeps_name_if_incomplete: bool,
}

impl Request {
    /// To save an image to a disk, whatever that contains.
    pub(super) fn to_disk(source: PathBuf, disk: PathBuf, level: Level) -> Self {
        Self {
            sources: vec![source],
            raw: RawArgs::default(),
            facts: None,
            config: None,
            details: false,
            outputs: vec![disk],
            remote: None,
            format: OutputFormat::Kdump,
            flattened: false,
            levels: vec![level],
            compression: Compression::Adaptive(sys::clock::nanoseconds_since_boot),
            threads: cpus(),
            memory_limit: None,
            limit: None,
            replace: Replace::FilesAndDisks,
            progress: false,
            keeps_name_if_incomplete: false,
        }
    }

    /// Whether the dump is written to standard output.
    pub(super) fn is_to_stdout(&self) -> bool {
        self.outputs.iter().any(|path| path.as_os_str() == "-")
    }
}

/// The format to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OutputFormat {
    Kdump,
    Elf,
    /// Each page at its physical address.
    Flat,
}

impl From<SaveArgs> for Request {
    fn from(args: SaveArgs) -> Self {
        let to_stdout = args.output.as_ref().is_some_and(|output| output.as_os_str() == "-");
        let (ssh_config, plain_http) = (args.ssh_config, args.plain_http);
        let remote = args.to.map(|address| Remote { address, ssh_config, plain_http });
        // Its name is for messages.
        let output = args.output.or_else(|| Some(remote.as_ref()?.address.to_string().into()));
        let exact = Level::new(17).unwrap_or_default();
        Self {
            sources: [vec![args.source], args.part].concat(),
            raw: args.raw,
            facts: None,
            config: args.config.map(|path| Config { path, vmlinux: None }),
            details: false,
            outputs: output.into_iter().chain(args.split).collect(),
            format: match (args.elf, args.flat) {
                (true, _) => OutputFormat::Elf,
                (_, true) => OutputFormat::Flat,
                _ => OutputFormat::Kdump,
            },
            flattened: args.flattened || to_stdout || remote.is_some(),
            remote,
            levels: match (args.exact, args.resume_on_enospc) {
                (true, _) => vec![exact],
                (_, true) => with_higher(args.level),
                _ => args.level,
            },
            compression: args.compress.unwrap_or(Compression::Fixed(Effort::usual(Codec::Zstd))),
            threads: args.threads.unwrap_or_else(cpus),
            memory_limit: args.memory_limit,
            limit: None,
            replace: if args.force { Replace::FilesAndDisks } else { Replace::Files },
            progress: true,
            keeps_name_if_incomplete: false,
        }
    }
}
