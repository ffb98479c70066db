use phys::Pfn;

use crate::claim::run;
use crate::error::{Error, ListFault, Purpose};
use crate::frames::{Frames, MAX_ORDER, Zone};
use crate::ledger::Ledger;
use crate::list::{self, DESTINATION, DONE, INDIRECTION, LINK, SOURCE};
use crate::segment::{Layout, Segment};
use crate::stack::{Spares, Stack};

/// Everything an image holds, and the only place that takes frames from the allocator. Gives all
/// back on drop.
///
/// The page list is the slot table: the position of each word is known before the first source page
/// is taken, so a slot is found by arithmetic. The word of a slot without a source yet is 0.
pub(crate) struct Holding<S: AsRef<[Segment]>, F: Frames> {
    pub(crate) frames: F,
    pub(crate) layout: Layout<S>,
    pub(crate) ledger: Ledger,
    /// Whether the list is written; until then, claimed frames wait in `early`.
    pub(crate) listed: bool,
    pub(crate) early: Stack,
    pub(crate) spares: Spares,
    /// Frames taken from the allocator and not given back.
    pub(crate) held: u64,
    /// Set when the list or the allocator contradicts itself: giving frames back would spread the
    /// damage.
    pub(crate) damaged: bool,
}

impl<S: AsRef<[Segment]>, F: Frames> Holding<S, F> {
    /// Takes the page list for these segments, without sources.
    pub(crate) fn new(layout: Layout<S>, frames: F) -> Result<Self, Error> {
        let mut holding = Self {
            frames,
            layout,
            ledger: Ledger::default(),
            listed: false,
            early: Stack::default(),
            spares: Spares::default(),
            held: 0,
            damaged: false,
        };
        for _ in 0..holding.list_frames() {
            holding.support(0, Zone::Any, Purpose::List)?;
        }
        holding.write_list();
        holding.listed = true;
        holding.claim_early()?;
        Ok(holding)
    }

    pub(crate) const fn list_frames(&self) -> u64 {
        list::frames_for(self.layout.words())
    }

    /// Frames held that are not source pages.
    pub(crate) const fn support_frames(&self) -> u64 {
        self.held.saturating_sub(self.layout.pages())
    }

    /// The word that leads the relocator to the list.
    pub(crate) fn head(&mut self) -> u64 {
        self.ledger.get(0, &mut self.frames).map_or(DONE, |first| list::word(first, INDIRECTION))
    }

    /// Gives every slot a source page, and back what was not needed.
    pub(crate) fn fill(&mut self) -> Result<(), Error> {
        let (mut index, mut position) = (0, 0);
        while let Some(pages) = self.layout.segments().get(index).map(Segment::pages) {
            position += 1;
            for _ in 0..pages {
                self.fill_slot(position)?;
                position += 1;
            }
            index += 1;
        }
        self.held -= self.spares.free_all(&mut self.frames);
        Ok(())
    }

    /// Takes frames that are not destinations and enters them in the ledger.
    pub(crate) fn support(&mut self, order: u32, zone: Zone, purpose: Purpose) -> Result<Pfn, Error> {
        if order > MAX_ORDER {
            return Err(Error::NoMemory { purpose, order, zone, held: self.held });
        }
        self.make_places(1 << order)?;
        let first = self.take(order, zone, purpose)?;
        for frame in run(first, order) {
            self.ledger.push(frame, &mut self.frames);
        }
        Ok(first)
    }

    /// Makes room in the ledger before the frames are taken, so that none is ever held without an
    /// entry.
    fn make_places(&mut self, count: u64) -> Result<(), Error> {
        let len = self.ledger.len();
        for entry in len..len + count {
            while !self.ledger.has_place(entry, &mut self.frames) {
                let node = self.take(0, Zone::Any, Purpose::Ledger)?;
                self.ledger.attach(node, entry, &mut self.frames);
            }
        }
        Ok(())
    }

    /// Writes every word but the sources. The ledger holds nothing but list frames yet.
    fn write_list(&mut self) {
        for index in 0..self.list_frames() {
            let next = self.ledger.get(index + 1, &mut self.frames);
            if let Some(frame) = self.ledger.get(index, &mut self.frames) {
                let words = self.frames.words(frame);
                words.fill(0);
                words[LINK] = next.map_or(0, |next| list::word(next, INDIRECTION));
            }
        }
        let Self { layout, ledger, frames, .. } = self;
        let mut set_word = |position, word| {
            if let Some(place) = ledger.list_word(position, frames) {
                *place = word;
            }
        };
        let mut position = 0;
        for segment in layout.segments() {
            set_word(position, segment.mem | DESTINATION);
            position += 1 + segment.pages();
        }
        set_word(position, DONE);
    }

    fn claim_early(&mut self) -> Result<(), Error> {
        while let Some(frame) = self.early.pop(&mut self.frames) {
            if let Some(position) = self.layout.find(frame) {
                self.claim(position, frame)?;
            }
        }
        Ok(())
    }

    /// A frame taken for this slot may turn out to be the slot's own destination; then the slot
    /// already has its source.
    fn fill_slot(&mut self, position: u64) -> Result<(), Error> {
        while self.lacks_source(position)? {
            if let Some(source) = self.take_source()?
                && let Some(place) = self.place(position)
            {
                *place = list::word(source, SOURCE);
            }
        }
        Ok(())
    }

    fn lacks_source(&mut self, position: u64) -> Result<bool, Error> {
        if let Some(word) = self.place(position) {
            return Ok(*word == 0);
        }
        self.damaged = true;
        Err(Error::List { fault: ListFault::Chain, position, word: 0 })
    }

    pub(crate) fn place(&mut self, position: u64) -> Option<&mut u64> {
        self.ledger.list_word(position, &mut self.frames)
    }

    fn free_sources(&mut self) {
        let Self { layout, ledger, frames, .. } = self;
        let mut position = 0;
        for segment in layout.segments() {
            position += 1;
            for _ in 0..segment.pages() {
                if let Some(source) = ledger.source(position, frames) {
                    frames.free(source);
                }
                position += 1;
            }
        }
    }
}

impl<S: AsRef<[Segment]>, F: Frames> Drop for Holding<S, F> {
    fn drop(&mut self) {
        if self.damaged {
            return;
        }
        if self.listed {
            self.free_sources();
        }
        self.early.free_all(&mut self.frames);
        self.spares.free_all(&mut self.frames);
        self.ledger.free(&mut self.frames);
    }
}
