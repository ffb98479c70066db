//! The number of threads and the write mode that fit into the memory limit.

use anyhow::bail;
use vmcore::MemoryImage;

use super::request::{OutputFormat, Request};
use super::sink::{self, WriteMode, chunks};
use crate::terminal::quantity;

/// Memory of the program without pages and threads, in bytes.
const BASE: u64 = 10 << 20;
/// Memory of a thread, in bytes: pages, encoded pages, and the codec's tables.
const EACH_THREAD: u64 = 4 << 20;
/// Sets of frames that exist at the same time, of one bit per page: memory, present, kept, and the
/// order of writing.
const SETS: u64 = 10;

/// The resources for saving an image.
#[derive(Clone, Copy)]
pub(super) struct Means {
    pub(super) threads: usize,
    pub(super) mode: WriteMode,
}

/// The requested number of threads, or fewer if the memory limit demands it. Files are written past
/// the page cache if the limit leaves enough memory after all threads.
pub(super) fn affordable(image: &MemoryImage<'_>, request: &Request) -> anyhow::Result<Means> {
    let mode = match (request.flattened, request.format) {
        (true, _) => WriteMode::Flattened,
        (_, OutputFormat::Kdump) => WriteMode::Direct,
        // These have holes.
        (_, OutputFormat::Elf | OutputFormat::Flat) => WriteMode::Cached,
    };
    let Some(limit) = request.memory_limit else { return Ok(Means { threads: request.threads, mode }) };
    let disks = request.outputs.iter().filter(|path| sink::is_disk(path)).count() as u64;
    let fixed = BASE + disks * chunks::MEMORY + image.ram().count().div_ceil(8) * SETS;
    let least = fixed + EACH_THREAD;
    if limit < least {
        let [limit, least] = [limit, least].map(quantity::bytes);
        bail!("--memory-limit {limit}: this image needs at least {least}");
    }
    let affordable = usize::try_from((limit - fixed) / EACH_THREAD).unwrap_or(usize::MAX);
    let threads = request.threads.min(affordable);
    let left = limit - fixed - threads as u64 * EACH_THREAD;
    let mode = if mode == WriteMode::Direct && left < chunks::MEMORY { WriteMode::Cached } else { mode };
    Ok(Means { threads, mode })
}
