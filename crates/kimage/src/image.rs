use phys::{Pfn, RangeSet};

use crate::check::check;
use crate::error::{Error, Purpose};
use crate::frames::{Frames, Zone};
use crate::holding::Holding;
use crate::segment::{Layout, Rules, Segment};

/// An image under construction: the segments are checked and the page list has its memory, but
/// slots lack sources.
///
/// Support frames are taken now; source pages follow with [`Image::seal`], after everything that
/// needs particular addresses. Dropping an image at any point gives back every frame.
#[must_use = "dropping an image gives its memory back"]
pub struct Image<S: AsRef<[Segment]>, F: Frames> {
    holding: Holding<S, F>,
}

impl<S: AsMut<[Segment]> + AsRef<[Segment]>, F: Frames> Image<S, F> {
    /// Checks the segments, sorts them in place and takes the memory of the page list. The image
    /// keeps the segments, owned or borrowed.
    ///
    /// # Errors
    /// The first problem with the segments, or [`Error::NoMemory`]. All frames are given back.
    pub fn new(segments: S, rules: &Rules<'_>, frames: F) -> Result<Self, Error> {
        let layout = Layout::new(segments, rules)?;
        Ok(Self { holding: Holding::new(layout, frames)? })
    }
}

impl<S: AsRef<[Segment]>, F: Frames> Image<S, F> {
    /// Takes 2^`order` neighbouring frames that are not destinations, naturally aligned. They
    /// belong to the image; their contents are undefined.
    ///
    /// # Errors
    /// [`Error::NoMemory`]; always above order 10. The image stays usable.
    pub fn support(&mut self, order: u32, zone: Zone) -> Result<Pfn, Error> {
        self.holding.support(order, zone, Purpose::Support)
    }

    /// Gives every slot its source page and checks the finished list.
    ///
    /// # Errors
    /// [`Error::NoMemory`]; [`Error::BadFrame`] or [`Error::List`] after a defect of the allocator
    /// or of this crate. The image is dropped then.
    pub fn seal(self) -> Result<SealedImage<S, F>, Error> {
        let mut holding = self.holding;
        holding.fill()?;
        let mut image = SealedImage { head: holding.head(), holding, claimed: 0 };
        image.claimed = image.check()?;
        Ok(image)
    }

    /// The number of pages of all segments.
    #[must_use]
    pub fn pages(&self) -> u64 {
        self.holding.layout.pages()
    }

    /// The segments that own pages, in rising order of destination.
    #[must_use]
    pub fn segments(&self) -> &[Segment] {
        self.holding.layout.segments()
    }

    /// Where the frames come from, to reach the contents of support frames.
    pub fn frames_mut(&mut self) -> &mut F {
        &mut self.holding.frames
    }
}

/// One page of an image: where it must end and where it waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot<'s> {
    /// Where the page must end.
    pub destination: Pfn,
    /// Where it waits. The same as `destination` for a page that was claimed.
    pub source: Pfn,
    /// The segment it belongs to.
    pub segment: &'s Segment,
    /// Bytes from the start of the segment.
    pub offset: u64,
}

impl Slot<'_> {
    /// The number of bytes at the start of the page that come from the segment's buffer; the rest
    /// of the page is zeros.
    #[must_use]
    pub fn bytes_from_buffer(&self) -> u64 {
        self.segment.bufsz.saturating_sub(self.offset).min(phys::PAGE_SIZE)
    }
}

/// An image whose page list is finished, checked and will not change. The caller fills in its
/// contents, slot by slot, in whole pages. Dropping it gives back every frame.
#[must_use = "dropping an image gives its memory back"]
pub struct SealedImage<S: AsRef<[Segment]>, F: Frames> {
    holding: Holding<S, F>,
    head: u64,
    claimed: u64,
}

impl<S: AsRef<[Segment]>, F: Frames> SealedImage<S, F> {
    /// The first word for the relocator: the address of the first list frame, tagged as an
    /// indirection.
    #[must_use]
    pub const fn head(&self) -> u64 {
        self.head
    }

    /// The number of slots.
    #[must_use]
    pub fn pages(&self) -> u64 {
        self.holding.layout.pages()
    }

    /// The number of slots whose destination was claimed from the allocator: they are their own
    /// source, nothing is exchanged.
    #[must_use]
    pub fn claimed(&self) -> u64 {
        self.claimed
    }

    /// The number of frames held that are not source pages: the page list, the table of support
    /// frames, and those that [`Image::support`] handed out.
    #[must_use]
    pub fn support_frames(&self) -> u64 {
        self.holding.support_frames()
    }

    /// The segments that own pages, in rising order of destination.
    #[must_use]
    pub fn segments(&self) -> &[Segment] {
        self.holding.layout.segments()
    }

    /// Where the frames come from, to reach the contents of source pages.
    pub fn frames_mut(&mut self) -> &mut F {
        &mut self.holding.frames
    }

    /// Visits every slot in rising order of destination, with access to the frames. Stops at the
    /// first error.
    ///
    /// # Errors
    /// The visitor's.
    pub fn visit<'s, E>(
        &'s mut self,
        mut each: impl FnMut(&mut F, Slot<'s>) -> Result<(), E>,
    ) -> Result<(), E> {
        let Holding { layout, ledger, frames, .. } = &mut self.holding;
        let mut position = 0;
        for segment in layout.segments() {
            position += 1;
            for page in 0..segment.pages() {
                if let (Some(destination), Some(source)) =
                    (segment.page(page), ledger.source(position, frames))
                {
                    let slot = Slot { destination, source, segment, offset: page << phys::PAGE_SHIFT };
                    each(frames, slot)?;
                }
                position += 1;
            }
        }
        Ok(())
    }

    /// The source page of a destination, or `None` for any other frame. O(log s) for s segments.
    pub fn source_of(&mut self, destination: Pfn) -> Option<Pfn> {
        let position = self.holding.layout.find(destination)?;
        self.holding.ledger.source(position, &mut self.holding.frames)
    }

    /// The first slot that was neither claimed nor lies in a reserved range: the rest of the system
    /// may be using its destination. O(n log r) for r ranges.
    pub fn first_unclaimed(&mut self, reserved: RangeSet<'_>) -> Option<Slot<'_>> {
        if self.claimed == self.pages() {
            return None;
        }
        let found = self.visit(|_, slot| {
            if slot.source == slot.destination || reserved.contains(slot.destination) {
                Ok(())
            } else {
                Err(slot)
            }
        });
        found.err()
    }

    /// Checks the page list again, for instance before it is used after a long time. Needs memory
    /// of a bit per frame meanwhile.
    ///
    /// # Errors
    /// [`Error::List`], [`Error::NoMemory`].
    pub fn verify(&mut self) -> Result<(), Error> {
        self.check().map(|_| ())
    }

    fn check(&mut self) -> Result<u64, Error> {
        let result = check(&mut self.holding);
        if let Err(Error::List { .. }) = result {
            self.holding.damaged = true;
        }
        result
    }
}
