//! The number of threads and the write mode that fit into the memory limit.

use anyhow::bail;
use vmcore::MemoryImage;
use vmcore::select::WriteOrder;
use vmcore::write::most_loads;

use super::request::{OutputFormat, Request};
use super::sink::{self, WriteMode, chunks};
use crate::terminal::quantity;

/// Memory of the program without pages and threads, in bytes.
const BASE: u64 = 10 << 20;
/// Memory of a thread, in bytes: pages, encoded pages, and the codec's tables.
const EACH_THREAD: u64 = 4 << 20;
/// More sets of frames, as large as that of the kept pages, if pages are written in the order in
/// which readers need them: when they are selected, and when they are written.
const SETS_FOR_ORDER: u64 = 12;
/// Memory for each load of an ELF file, in bytes: its place, and its header twice.
const EACH_LOAD: u64 = 160;

/// The resources for saving an image.
#[derive(Clone, Copy)]
pub(super) struct Means {
    pub(super) threads: usize,
    pub(super) mode: WriteMode,
    pub(super) order: WriteOrder,
}

/// The requested number of threads, or fewer if the memory limit demands it. If the limit leaves
/// enough memory after the first of them, pages are written in the order in which readers need
/// them; after all of them, past the page cache.
pub(super) fn affordable(image: &MemoryImage<'_>, request: &Request) -> anyhow::Result<Means> {
    let mode = match (request.flattened, request.format) {
        (true, _) => WriteMode::Flattened,
        (_, OutputFormat::Kdump) => WriteMode::Direct,
        // These have holes.
        (_, OutputFormat::Elf | OutputFormat::Flat) => WriteMode::Cached,
    };
    let order = WriteOrder::ByNeed;
    let Some(limit) = request.memory_limit else {
        return Ok(Means { threads: request.threads, mode, order });
    };
    let disks = request.outputs.iter().filter(|path| sink::is_disk(path)).count() as u64;
    // The set of the kept pages; copies of it share its memory.
    let set = image.present().most_memory();
    let elf = match request.format {
        OutputFormat::Elf => set + most_loads(image) * EACH_LOAD,
        OutputFormat::Kdump | OutputFormat::Flat => 0,
    };
    let upload = request.remote.as_ref().map_or(0, |remote| remote.memory(image.present().count()));
    let fixed = BASE + upload + image.memory() + disks * chunks::MEMORY + set + set / 16 + elf;
    // Reading headers that overlap or are out of order may already have taken more.
    let used = sys::memory::peak().unwrap_or(0);
    // The message names whole mebibytes.
    let least = (fixed + EACH_THREAD).max(used).next_multiple_of(1 << 20);
    if limit < least {
        let [limit, least] = [limit, least].map(quantity::bytes);
        bail!("--memory-limit {limit}: this image needs at least {least}");
    }
    let for_order = set * SETS_FOR_ORDER;
    let is_ordered = limit - least >= for_order;
    let order = if is_ordered { order } else { WriteOrder::ByAddress };
    let fixed = if is_ordered { fixed + for_order } else { fixed };
    let affordable = usize::try_from((limit - fixed) / EACH_THREAD).unwrap_or(usize::MAX);
    let threads = request.threads.min(affordable);
    let left = limit - fixed - threads as u64 * EACH_THREAD;
    let mode = if mode == WriteMode::Direct && left < chunks::MEMORY { WriteMode::Cached } else { mode };
    Ok(Means { threads, mode, order })
}
