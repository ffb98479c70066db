//! Writing kdump-compressed dumps.

mod head;
mod layout;
mod worker;

use std::sync::atomic::AtomicU64;

use super::pace::Pace;
use super::pages::{Unit, Units};
use super::{Compression, Pages, Progress, Settings, Written, crew, put};
use crate::format::kdump::{BLOCK, WIDE_HEADER, status};
use crate::frames::Ranks;
use crate::{DumpSource, Error, FrameSet, Result, WriteAt};
use head::Head;
use layout::DumpLayout;
use worker::{Following, Shared, Worker};

/// Writes the kept pages of an image as a kdump-compressed dump of version 6.
///
/// The dump is marked as incomplete until the last page is written, and remains so if pages were
/// missing, here or in the source.
///
/// # Errors
/// The destination cannot be written, or the image is too large for the format. Pages that cannot
/// be read are not an error: [`Written::missing`] counts them.
pub fn write_kdump(
    image: &dyn DumpSource,
    pages: &Pages<'_>,
    settings: &Settings,
    out: &impl WriteAt,
    progress: &Progress,
) -> Result<Written> {
    let sets = pages.in_order();
    let layout = DumpLayout::new(image, pages.kept, Units::count(&sets))?;
    let info = image.vmcoreinfo().unwrap_or_default();
    let head = Head { image, info: &info, layout: &layout, pages, settings };
    let header = head.header();
    let incomplete = header(status::INCOMPLETE, None);
    let used = &incomplete[..WIDE_HEADER.cpus.end()];
    out.announce(used).map_err(|source| Error::Write { offset: 0, size: used.len(), source })?;
    if !out.is_stream() {
        put(out, 0, &incomplete)?;
    }
    for (block, at) in head.sub_header().zip((BLOCK as u64..).step_by(BLOCK)) {
        put(out, at, &block)?;
    }
    write_bitmaps(image, pages.bitmap(), &layout, out)?;
    put(out, layout.zero_page, &[0; BLOCK])?;
    let shared = Shared {
        kept: pages.kept,
        ranks: Ranks::of(pages.kept),
        layout: &layout,
        end: AtomicU64::new(layout.data),
        effort: match settings.compression {
            Compression::Fixed(effort) => Following::One(effort),
            Compression::Adaptive(clock) => Following::Pace(Box::new(Pace::new(clock))),
        },
        out,
    };
    let worker = || Worker::new(settings, shared.effort.now());
    let work = |worker: &mut Worker, unit: &Unit| worker.work(image, unit, &shared);
    let workers = crew::share(&sets, settings.threads, progress, worker, work)?;
    let (mut written, mut descriptors) = (Written::default(), 0_u64);
    for worker in workers {
        written.add(worker.written);
        descriptors = descriptors.wrapping_add(worker.descriptor_sum);
    }
    let data_end = shared.end.into_inner();
    written.length = data_end;
    // A dump that was stopped has no manifest.
    if progress.is_stopped() {
        return Ok(written);
    }
    let status = if written.missing > 0 || settings.incomplete { status::INCOMPLETE } else { 0 };
    written.length = head.seal(status, &written, descriptors, data_end, out)?;
    Ok(written)
}

/// Only blocks that have a page are written; a chunk of frames is one block.
fn write_bitmaps(
    image: &dyn DumpSource,
    kept: &FrameSet,
    layout: &DumpLayout,
    out: &impl WriteAt,
) -> Result<()> {
    let block = BLOCK as u64;
    for (number, chunk) in image.ram().chunks() {
        put(out, layout.bitmaps + number * block, &chunk.to_bytes())?;
    }
    for (number, chunk) in kept.chunks().filter(|(_, chunk)| !chunk.is_empty()) {
        put(out, layout.bitmaps + (layout.bitmap_blocks + number) * block, &chunk.to_bytes())?;
    }
    Ok(())
}
