use std::convert::Infallible;

use kimage::{Frames, Rules, SealedImage, Segment};
use phys::{PAGE_SIZE, Pfn, PhysRange, RangeSet};

use super::{Chooser, Machine, WORDS, words_of};

/// Rules that allow one range.
pub(crate) fn within(range: &PhysRange) -> Rules<'_> {
    Rules { allowed: RangeSet::of(range), entry: None, max_pages: u64::MAX }
}

/// A segment of whole pages.
pub(crate) fn segment(index: u32, first: Pfn, pages: u64) -> Segment {
    Segment::new(index, 0, pages * PAGE_SIZE, first.address().get(), pages * PAGE_SIZE)
}

/// Destination and source of every slot.
pub(crate) fn slots<F: Frames>(image: &mut SealedImage<impl AsRef<[Segment]>, F>) -> Vec<(Pfn, Pfn)> {
    let mut slots = Vec::new();
    let Ok(()) = image.visit(|_, slot| {
        slots.push((slot.destination, slot.source));
        Ok::<(), Infallible>(())
    });
    slots
}

/// Fills an image so that each page is unique.
pub(crate) fn fill<F: Frames>(image: &mut SealedImage<impl AsRef<[Segment]>, F>) {
    let Ok(()) = image.visit(|frames, slot| {
        *frames.words(slot.source) = contents(slot.destination);
        Ok::<(), Infallible>(())
    });
}

fn contents(destination: Pfn) -> [u64; WORDS] {
    words_of(0xabcd, destination.number())
}

/// Fills an image, exchanges it and exchanges it back, twice. `exchange` returns the number of
/// pairs moved.
///
/// # Errors
/// A description of the first difference from the expected contents.
pub(crate) fn story<C: Chooser>(
    image: &mut SealedImage<impl AsRef<[Segment]>, &mut Machine<C>>,
    exchange: impl Fn(u64, &mut Machine<C>) -> u64,
) -> Result<(), String> {
    fill(image);
    let (head, slots) = (image.head(), slots(image));
    let machine = image.frames_mut();
    let before = machine.snapshot();
    for _ in 0..2 {
        exchange(head, machine);
        arrived(machine, &slots)?;
        exchange(head, machine);
        if machine.snapshot() != before {
            return Err("memory is not as it was".into());
        }
    }
    Ok(())
}

/// Every page of the image is at its destination.
fn arrived<C: Chooser>(machine: &Machine<C>, slots: &[(Pfn, Pfn)]) -> Result<(), String> {
    match slots.iter().find(|&&(destination, _)| *machine.peek(destination) != contents(destination)) {
        Some((destination, _)) => Err(format!("page {destination:?} has not arrived")),
        None => Ok(()),
    }
}
