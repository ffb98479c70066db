//! What `kjump dump save` and `makedumpfile` are asked to save, resolved from their arguments.

use std::path::PathBuf;

use vmcore::codec::{Codec, Effort};
use vmcore::select::Level;
use vmcore::write::Compression;

use super::args::SaveArgs;
use super::level::{Levels, processors, with_higher};

/// What is to be saved, and how.
pub(super) struct Request {
    /// The image, or the files of a split set.
    pub(super) sources: Vec<PathBuf>,
    /// What is told of the kernel in place of what it says itself.
    pub(super) vmcoreinfo: Option<Vec<u8>>,
    /// `-` is standard output. Several are a split set.
    pub(super) outputs: Vec<PathBuf>,
    pub(super) format: OutputFormat,
    pub(super) flattened: bool,
    /// To be tried one after the other, when there is no room. Never empty.
    pub(super) levels: Levels,
    pub(super) compression: Compression,
    pub(super) threads: usize,
    /// Most bytes of memory to use.
    pub(super) memory_limit: Option<u64>,
    /// Most bytes of the dump.
    pub(super) limit: Option<u64>,
    /// Whether a file of that name may be there already.
    pub(super) replace: bool,
    /// Whether to show how far it is.
    pub(super) progress: bool,
    /// Whether a dump that there was no room for gets the name it was to have; else one that says so.
    pub(super) incomplete_by_its_name: bool,
}

impl Request {
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
        let to_stdout = args.output.as_os_str() == "-";
        let exact = Level::new(17).unwrap_or_default();
        Self {
            sources: [vec![args.source], args.part].concat(),
            vmcoreinfo: None,
            outputs: [vec![args.output], args.split].concat(),
            format: match (args.elf, args.flat) {
                (true, _) => OutputFormat::Elf,
                (_, true) => OutputFormat::Flat,
                _ => OutputFormat::Kdump,
            },
            flattened: args.flattened || to_stdout,
            levels: match (args.exact, args.resume_on_enospc) {
                (true, _) => vec![exact],
                (_, true) => with_higher(args.level),
                _ => args.level,
            },
            compression: args.compress.unwrap_or(Compression::Fixed(Effort::usual(Codec::Zstd))),
            threads: args.threads.unwrap_or_else(processors),
            memory_limit: args.memory_limit,
            limit: None,
            replace: true,
            progress: true,
            incomplete_by_its_name: false,
        }
    }
}
