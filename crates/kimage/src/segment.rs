use phys::{PAGE_SHIFT, PAGE_SIZE, Pfn, PhysRange, RangeSet};

use crate::error::Error;

/// Bytes and the destination they are given to: `struct kexec_segment` of `<linux/kexec.h>`, with
/// its place among the caller's segments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// The caller's number for it, used in errors.
    pub index: u32,
    /// Where its bytes come from. Not interpreted here.
    pub buf: u64,
    /// The number of bytes from there, at most `memsz`; the rest of the destination is zeros.
    pub bufsz: u64,
    /// The physical byte address of its destination.
    pub mem: u64,
    /// The bytes of its destination. 0 is legal: such a segment has no pages.
    pub memsz: u64,
    /// The number of the slot of its first page, among the slots of all segments.
    first_slot: u64,
}

impl Segment {
    /// A segment, not checked yet.
    #[must_use]
    pub const fn new(index: u32, buf: u64, bufsz: u64, mem: u64, memsz: u64) -> Self {
        Self { index, buf, bufsz, mem, memsz, first_slot: 0 }
    }

    /// The number of pages of its destination.
    #[must_use]
    #[inline]
    pub const fn pages(&self) -> u64 {
        self.memsz >> PAGE_SHIFT
    }

    /// The frame of its page number `page`.
    #[inline]
    pub(crate) fn page(&self, page: u64) -> Option<Pfn> {
        Pfn::new(self.first_frame()).and_then(|first| first.checked_add(page))
    }

    const fn first_frame(&self) -> u64 {
        self.mem >> PAGE_SHIFT
    }
}

/// The limits of an image.
#[derive(Clone, Copy, Debug)]
pub struct Rules<'r> {
    /// The frames that may be destinations: RAM, or memory that the caller vouches for.
    pub allowed: RangeSet<'r>,
    /// The physical address of the entry point, if it has to lie inside a segment.
    pub entry: Option<u64>,
    /// The most pages that the segments may have together. Every page needs a source frame.
    pub max_pages: u64,
}

/// The checked segments: those that own pages, in rising order of destination, none overlapping
/// another.
///
/// It defines the order of the page list. A segment has one word for its destination and then one
/// for every page, so the position of a slot's word is the slot's number plus the number of
/// segments up to its own.
pub(crate) struct Layout<S> {
    /// Those that own pages come first.
    segments: S,
    owning: usize,
    pages: u64,
}

impl<S: AsMut<[Segment]> + AsRef<[Segment]>> Layout<S> {
    /// Checks the segments and sorts them in place.
    pub(crate) fn new(mut segments: S, rules: &Rules<'_>) -> Result<Self, Error> {
        let (owning, pages) = arrange(segments.as_mut(), rules)?;
        let layout = Self { segments, owning, pages };
        match rules.entry {
            Some(entry) if !layout.holds(entry) => Err(Error::EntryOutside { entry }),
            _ => Ok(layout),
        }
    }
}

impl<S: AsRef<[Segment]>> Layout<S> {
    pub(crate) fn segments(&self) -> &[Segment] {
        self.segments.as_ref().get(..self.owning).unwrap_or(&[])
    }

    /// The number of slots.
    pub(crate) const fn pages(&self) -> u64 {
        self.pages
    }

    /// The number of words of the page list, without the links between its frames.
    pub(crate) const fn words(&self) -> u64 {
        self.pages + self.owning as u64 + 1
    }

    /// The word of the frame's slot, if the frame is a destination.
    pub(crate) fn find(&self, frame: Pfn) -> Option<u64> {
        let segments = self.segments();
        let upto = segments.partition_point(|segment| segment.first_frame() <= frame.number());
        let segment = segments.get(upto.checked_sub(1)?)?;
        let offset = frame.number() - segment.first_frame();
        (offset < segment.pages()).then_some(segment.first_slot + offset + upto as u64)
    }

    fn holds(&self, address: u64) -> bool {
        Pfn::new(address >> PAGE_SHIFT).is_some_and(|frame| self.find(frame).is_some())
    }
}

/// Checks and sorts the segments. Returns how many of them own pages, and their pages.
fn arrange(segments: &mut [Segment], rules: &Rules<'_>) -> Result<(usize, u64), Error> {
    for segment in segments.iter() {
        check_alone(segment, rules.allowed)?;
    }
    phys::sort::by_key(segments, |segment| (segment.memsz == 0, segment.mem, segment.index));
    let owning = segments.partition_point(|segment| segment.memsz != 0);
    let pages = number_slots(segments.get_mut(..owning).unwrap_or(&mut []))?;
    if pages > rules.max_pages {
        return Err(Error::TooManyPages { pages, limit: rules.max_pages });
    }
    Ok((owning, pages))
}

/// Checks that do not concern the other segments.
fn check_alone(segment: &Segment, allowed: RangeSet<'_>) -> Result<(), Error> {
    let &Segment { index, bufsz, mem, memsz, .. } = segment;
    if !mem.is_multiple_of(PAGE_SIZE) || !memsz.is_multiple_of(PAGE_SIZE) {
        return Err(Error::Unaligned { segment: index, mem, memsz });
    }
    if bufsz > memsz {
        return Err(Error::BufferTooLong { segment: index, bufsz, memsz });
    }
    match PhysRange::from_bytes(mem, memsz) {
        Err(_) if memsz == 0 => Ok(()),
        Err(_) => Err(Error::TooHigh { segment: index, mem, memsz }),
        Ok(range) => match allowed.first_gap(range) {
            Some(gap) => Err(Error::NotAllowed { segment: index, mem, memsz, address: gap.address().get() }),
            None => Ok(()),
        },
    }
}

/// Numbers the slots of sorted segments and returns their count; refuses the first overlap.
fn number_slots(segments: &mut [Segment]) -> Result<u64, Error> {
    let mut slots = 0;
    let mut before: Option<Segment> = None;
    for segment in segments {
        if let Some(before) = before
            && segment.mem < before.mem + before.memsz
        {
            return Err(overlap(&before, segment));
        }
        segment.first_slot = slots;
        slots += segment.pages();
        before = Some(*segment);
    }
    Ok(slots)
}

fn overlap(low: &Segment, high: &Segment) -> Error {
    let end = (low.mem + low.memsz).min(high.mem + high.memsz);
    Error::Overlap { segments: [low.index, high.index], start: high.mem, end }
}
