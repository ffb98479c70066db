use phys::PAGE_SIZE;

use super::pages::{self, UNIT, Unit};
use super::{Progress, Settings, Written, crew, put};
use crate::codec::Codec;
use crate::format::kdump::BLOCK;
use crate::{DumpSource, FrameSet, Result, WriteAt};

/// Writes the kept pages of an image as plain memory, each at its physical address. Pages of zeros
/// are holes.
///
/// # Errors
/// The destination cannot be written. Pages that cannot be read are not an error: they read as
/// zeros, and [`Written::missing`] counts them.
pub fn write_flat(
    image: &dyn DumpSource,
    kept: &FrameSet,
    settings: &Settings,
    out: &impl WriteAt,
    progress: &Progress,
) -> Result<Written> {
    let state = || (vec![0; UNIT * BLOCK], Written::default());
    let work = |(buffer, written): &mut (Vec<u8>, Written), unit: &Unit| {
        pages::read(image, &unit.pages, buffer, |_, error| {
            written.missing += 1;
            written.trouble.get_or_insert_with(|| error.whole());
        });
        for (first, count) in pages::runs(&unit.pages) {
            let bytes = &buffer[first * BLOCK..(first + count) * BLOCK];
            // A run of zeros is a hole; a run that is only partly zero is written in full.
            if pages::is_zero(bytes) {
                written.zero_pages += count as u64;
            } else {
                put(out, unit.pages[first] * PAGE_SIZE, bytes)?;
            }
        }
        Ok(())
    };
    let states = crew::share(std::slice::from_ref(kept), settings.threads, progress, state, work)?;
    let mut written = Written { length: image.ram().end() * PAGE_SIZE, ..Written::default() };
    states.into_iter().for_each(|(_, part)| written.add(part));
    written.stored.insert(Codec::Raw, kept.count() - written.zero_pages);
    Ok(written)
}
