//! `kjump resume`: loads the image of a hibernated kernel, and jumps into it.

use std::fs;
use std::mem::offset_of;
use std::num::NonZero;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use abi::control::{ControlTable, TABLE_OFFSET};
use abi::device::{load_flag, mode, quiesce};
use abi::page_list::{DONE, PAGE_SIZE};
use anyhow::{Context, anyhow, bail};
use hibernation::{BLOCK_PAGES, Facts, Image, PAGE, StateKind};
use sys::Device;
use sys::device::{Destination, LoadRequest};

use super::args::ResumeArgs;
use super::key::KeyMaterial;
use super::target::Target;
use super::{RESUMED, facts, superblock};
use crate::device;
use crate::device::suspend_failure;
use crate::terminal::progress::Progress;
use crate::terminal::quantity;
use crate::terminal::report::Outcome;

pub(crate) fn run(args: &ResumeArgs) -> anyhow::Result<Outcome> {
    let path = args.from.display();
    let key = KeyMaterial::read(&args.key)?;
    let target = Target::open(&args.from)?;
    let image = Image::open(&target, key.key()).with_context(|| path.to_string())?;
    drop(key);
    let device = device::open()?;
    let header = image.header();
    refuse_other_machine(&header.facts, &device)?;
    let state = image.state().change(&target, StateKind::Resuming, "")?;
    let loaded = load(&image, &device);
    let result = loaded.and_then(|()| -> anyhow::Result<()> {
        let used = state.change(&target, StateKind::Used, "it was resumed")?;
        // If this succeeds, the next instruction is one of the hibernated kernel.
        let call = suspend_failure::explained(|| device.call([RESUMED, 0, 0, 0, 0, 0], quiesce::SUSPEND));
        let error = match call {
            Ok(_) => anyhow!("the jump failed with an exception; the hibernated kernel did not run"),
            Err(error) => error,
        };
        used.change(&target, StateKind::Complete, "")?;
        Err(error)
    });
    let Err(error) = result else { return Ok(Outcome::Done) };
    let _ = device.unload();
    if let Ok(state) = hibernation::State::read(&target)
        && state.kind == StateKind::Resuming
    {
        state.change(&target, StateKind::Complete, "")?;
    }
    Err(error.context(format!("{path}: not resumed; the image is unchanged")))
}

/// Refuses a machine on which the kernel cannot continue, with every reason.
fn refuse_other_machine(facts: &Facts, device: &Device) -> anyhow::Result<()> {
    let mut here = facts::here(device.info()?.paging_levels)?;
    here.file_systems = superblock::file_systems();
    let found: Vec<_> = facts.mismatches(&here).iter().map(ToString::to_string).collect();
    if !crate::peer::jump_back::is_entry(facts.entry) {
        bail!("the jump-back entry {:#x} of the image is not an entry point", facts.entry);
    }
    match found.as_slice() {
        [] => Ok(()),
        reasons => bail!("not resumed: {}", reasons.join("; ")),
    }
}

/// Loads all pages.
fn load(image: &Image<'_, Target>, device: &Device) -> anyhow::Result<()> {
    let entry = image.header().facts.entry;
    let runs = image.runs();
    let segments: Vec<_> = runs
        .iter()
        .map(|run| Destination { bytes: &[], address: run.first * PAGE_SIZE, size: run.count * PAGE_SIZE })
        .collect();
    let request = LoadRequest {
        segments: &segments,
        vouched: &[],
        entry,
        mode: mode::LONG,
        flags: load_flag::UNFILLED,
    };
    let size = quantity::bytes(image.header().pages * PAGE_SIZE);
    let memory = FreeMemory::make();
    device
        .load(&request)
        .map_err(|refusal| device::refused(refusal, &[]))
        .with_context(|| format!("making room for {size} of memory"))?;
    write(image, device, &size)?;
    write_zeros(image, device)?;
    // Everything is where it belongs, so the hibernated kernel has nothing to exchange.
    let word = entry - entry % PAGE_SIZE + (TABLE_OFFSET + offset_of!(ControlTable, page_list)) as u64;
    device.write(word, &DONE.to_le_bytes()).context("the control page of the image")?;
    memory.keep();
    Ok(())
}

/// Writes the pages of zeros, which are in no block.
fn write_zeros(image: &Image<'_, Target>, device: &Device) -> anyhow::Result<()> {
    let zeros = vec![0; BLOCK_PAGES * PAGE];
    let mut pieces: Vec<(u64, &[u8])> = Vec::new();
    for run in image.zeros() {
        let (mut at, mut left) = (run.first * PAGE_SIZE, usize::try_from(run.count)? * PAGE);
        while left > 0 {
            let size = left.min(zeros.len());
            pieces.push((at, &zeros[..size]));
            at += size as u64;
            left -= size;
        }
    }
    pieces.chunks(4096).try_for_each(|pieces| Ok(device.write_list(pieces)?))
}

fn write(image: &Image<'_, Target>, device: &Device, size: &str) -> anyhow::Result<()> {
    let count = image.blocks().len();
    let progress = Progress::start_bytes(format!("loading {size}"), count as u64, 256 * PAGE_SIZE);
    let (next, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
    let work = || -> anyhow::Result<()> {
        let mut reader = image.reader();
        while !stop.load(Ordering::Relaxed) {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= count {
                break;
            }
            let (block, mut bytes) =
                reader.get(number).inspect_err(|_| stop.store(true, Ordering::Relaxed))?;
            let mut pieces = Vec::with_capacity(block.runs.len());
            for run in &block.runs {
                let size = usize::try_from(run.count)? * PAGE;
                let (part, rest) = bytes.split_at_checked(size).context("a block without all its pages")?;
                pieces.push((run.first * PAGE_SIZE, part));
                bytes = rest;
            }
            device.write_list(&pieces).inspect_err(|_| stop.store(true, Ordering::Relaxed))?;
            progress.step();
        }
        Ok(())
    };
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    thread::scope(|scope| {
        // As many as can be started: this thread works too.
        let start = |_| thread::Builder::new().spawn_scoped(scope, work).ok();
        let workers: Vec<_> = (1..threads).map_while(start).collect();
        let own = work();
        let join = |worker: thread::ScopedJoinHandle<'_, _>| -> anyhow::Result<()> {
            worker.join().map_err(|_| anyhow!("a thread panicked"))?
        };
        workers.into_iter().map(join).fold(own, |result, other| result.and(other))
    })
}

/// The kernel's reserve of free memory, reduced while an image is loaded that may need all of it.
struct FreeMemory {
    before: Option<String>,
}

impl FreeMemory {
    const RESERVE: &str = "/proc/sys/vm/min_free_kbytes";
    const CACHES: &str = "/proc/sys/vm/drop_caches";

    /// A kernel that refuses is left as it is: loading then fails if memory does not suffice.
    fn make() -> Self {
        let before = fs::read_to_string(Self::RESERVE).ok();
        let _ = fs::write(Self::RESERVE, "1024");
        let _ = fs::write(Self::CACHES, "3");
        Self { before }
    }

    /// Leaves it reduced: this kernel is about to end.
    fn keep(mut self) {
        self.before = None;
    }
}

impl Drop for FreeMemory {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            let _ = fs::write(Self::RESERVE, before);
        }
    }
}
