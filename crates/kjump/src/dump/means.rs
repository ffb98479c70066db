//! How many threads and which way of writing fit into the memory that may be used.

use anyhow::bail;
use vmcore::MemoryImage;

use super::request::{OutputFormat, Request};
use super::sink::{self, WriteMode, chunks};
use crate::terminal::quantity;

/// What the program needs without pages and threads, in bytes: itself, and what it knows of a file.
const BASE: u64 = 10 << 20;
/// What a thread needs: pages, what becomes of them, and the codec's tables.
const EACH_THREAD: u64 = 4 << 20;
/// Sets of frames at a time, one bit a page each: memory, what is there, what is kept and in which order.
const SETS: u64 = 10;

/// What an image is saved with.
#[derive(Clone, Copy)]
pub(super) struct Means {
    pub(super) threads: usize,
    pub(super) mode: WriteMode,
}

/// As many threads as asked for, or as there is memory for; files are written past the page cache if there is memory for that
/// beside all threads.
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
        bail!("--memory-limit {limit}: this image takes at least {least}");
    }
    let affordable = usize::try_from((limit - fixed) / EACH_THREAD).unwrap_or(usize::MAX);
    let threads = request.threads.min(affordable);
    let left = limit - fixed - threads as u64 * EACH_THREAD;
    let mode = if mode == WriteMode::Direct && left < chunks::MEMORY { WriteMode::Cached } else { mode };
    Ok(Means { threads, mode })
}
