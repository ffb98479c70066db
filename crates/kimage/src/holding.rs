use phys::Pfn;

use crate::error::{Error, Purpose};
use crate::frames::{Frames, MAX_ORDER, Zone};
use crate::ledger::Ledger;
use crate::list::{self, DESTINATION, DONE, INDIRECTION, LINK, SOURCE};
use crate::segment::Layout;
use crate::stack::{Spares, Stack};

/// Everything an image holds, and the one place that takes frames from the allocator. Dropped, it gives all back.
///
/// The page list is the slot table: where its words stand is known before a single source page is there, so a slot
/// is found by arithmetic. The word of a slot without a source yet is 0.
pub(crate) struct Holding<'a, F: Frames> {
    pub(crate) frames: F,
    pub(crate) layout: Layout<'a>,
    pub(crate) ledger: Ledger,
    /// Whether the list stands; before that, claimed frames wait in `early`.
    listed: bool,
    early: Stack,
    spares: Spares,
    /// Frames taken from the allocator and not given back.
    held: u64,
    /// Set when the list or the allocator contradicts itself: giving frames back would only spread the damage.
    damaged: bool,
}

impl<'a, F: Frames> Holding<'a, F> {
    /// Takes the page list for these segments, without sources.
    pub(crate) fn new(layout: Layout<'a>, frames: F) -> Result<Self, Error> {
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
        let mut position = 0;
        for segment in self.layout.segments() {
            position += 1;
            for _ in 0..segment.pages() {
                self.fill_slot(position)?;
                position += 1;
            }
        }
        self.held -= self.spares.free_all(&mut self.frames);
        Ok(())
    }

    /// Takes frames that are nobody's destination and enters them in the ledger.
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

    /// The source page of the slot with this word.
    pub(crate) fn source(&mut self, position: u64) -> Option<Pfn> {
        list::frame(self.word(position), SOURCE)
    }

    /// Records that the image's frames cannot be trusted any more.
    pub(crate) const fn mark_damaged(&mut self) {
        self.damaged = true;
    }

    /// Makes room in the ledger, before the frames to be entered exist: none is ever held without an entry.
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

    fn write_list(&mut self) {
        for index in 0..self.list_frames() {
            let next =
                self.ledger.get(index + 1, &mut self.frames).filter(|_| index + 1 < self.list_frames());
            if let Some(frame) = self.ledger.get(index, &mut self.frames) {
                let words = self.frames.words(frame);
                words.fill(0);
                words[LINK] = next.map_or(0, |next| list::word(next, INDIRECTION));
            }
        }
        let mut position = 0;
        for segment in self.layout.segments() {
            self.set_word(position, segment.mem | DESTINATION);
            position += 1 + segment.pages();
        }
        self.set_word(position, DONE);
    }

    fn claim_early(&mut self) -> Result<(), Error> {
        while let Some(frame) = self.early.pop(&mut self.frames) {
            if let Some(position) = self.layout.find(frame) {
                self.claim(position, frame)?;
            }
        }
        Ok(())
    }

    /// A frame on the way to this slot may turn out to be the slot's own destination; then there is nothing left
    /// to do.
    fn fill_slot(&mut self, position: u64) -> Result<(), Error> {
        while self.word(position) == 0 {
            let source = match self.spares.pop(Zone::Any, &mut self.frames) {
                Some(spare) => Some(spare),
                None => self.step(0, Zone::Any, Purpose::Source)?,
            };
            if let Some(source) = source {
                self.set_word(position, list::word(source, SOURCE));
            }
        }
        Ok(())
    }

    /// Takes frames that are nobody's destination. Every step that finds none claims a destination, so there are
    /// fewer steps than pages.
    fn take(&mut self, order: u32, zone: Zone, purpose: Purpose) -> Result<Pfn, Error> {
        if order == 0
            && let Some(spare) = self.spares.pop(zone, &mut self.frames)
        {
            return Ok(spare);
        }
        loop {
            if let Some(first) = self.step(order, zone, purpose)? {
                return Ok(first);
            }
        }
    }

    /// Asks the allocator once. Destinations among the frames are claimed; `None` if that leaves nothing to hand on.
    fn step(&mut self, order: u32, zone: Zone, purpose: Purpose) -> Result<Option<Pfn>, Error> {
        let first = self.hand_out(order, zone, purpose)?;
        if order > 0 {
            return self.split(first, order);
        }
        let Some(position) = self.layout.find(first) else { return Ok(Some(first)) };
        match self.claim(position, first)? {
            Some(displaced) if zone.admits(displaced, 1) => Ok(Some(displaced)),
            displaced => {
                self.spare(displaced);
                Ok(None)
            }
        }
    }

    /// Hands on a run without a destination in it. Any other is taken apart, and its remains are spared.
    fn split(&mut self, first: Pfn, order: u32) -> Result<Option<Pfn>, Error> {
        if run(first, order).all(|frame| self.layout.find(frame).is_none()) {
            return Ok(Some(first));
        }
        for frame in run(first, order) {
            let spare = match self.layout.find(frame) {
                Some(position) => self.claim(position, frame)?,
                None => Some(frame),
            };
            self.spare(spare);
        }
        Ok(None)
    }

    /// Makes a frame the source of the slot whose destination it is. Returns the source that the slot had, which is
    /// nobody's destination.
    fn claim(&mut self, position: u64, frame: Pfn) -> Result<Option<Pfn>, Error> {
        if !self.listed {
            self.early.push(frame, &mut self.frames);
            return Ok(None);
        }
        let Some(place) = self.place(position) else { return Ok(Some(frame)) };
        let displaced = list::frame(*place, SOURCE);
        *place = list::word(frame, SOURCE);
        if displaced == Some(frame) {
            self.damaged = true;
            return Err(Error::BadFrame { frame: frame.number(), order: 0, zone: Zone::Any });
        }
        Ok(displaced)
    }

    fn spare(&mut self, frame: Option<Pfn>) {
        if let Some(frame) = frame {
            self.spares.push(frame, &mut self.frames);
        }
    }

    /// The door to the allocator, where its promises are checked.
    fn hand_out(&mut self, order: u32, zone: Zone, purpose: Purpose) -> Result<Pfn, Error> {
        let Some(first) = self.frames.alloc(order, zone) else {
            return Err(Error::NoMemory { purpose, order, zone, held: self.held });
        };
        let pages = 1 << order;
        if !zone.admits(first, pages) || !first.number().is_multiple_of(pages) {
            for frame in run(first, order) {
                self.frames.free(frame);
            }
            return Err(Error::BadFrame { frame: first.number(), order, zone });
        }
        self.held += pages;
        Ok(first)
    }

    fn word(&mut self, position: u64) -> u64 {
        self.place(position).map_or(0, |word| *word)
    }

    fn set_word(&mut self, position: u64, word: u64) {
        if let Some(place) = self.place(position) {
            *place = word;
        }
    }

    fn place(&mut self, position: u64) -> Option<&mut u64> {
        let list_frame = self.ledger.get(list::frame_of(position), &mut self.frames)?;
        self.frames.words(list_frame).get_mut(list::place(position))
    }

    fn free_sources(&mut self) {
        let mut position = 0;
        for segment in self.layout.segments() {
            position += 1;
            for _ in 0..segment.pages() {
                if let Some(source) = self.source(position) {
                    self.frames.free(source);
                }
                position += 1;
            }
        }
    }
}

impl<F: Frames> Drop for Holding<'_, F> {
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

/// The frames of a run that the allocator handed out.
fn run(first: Pfn, order: u32) -> impl Iterator<Item = Pfn> {
    (0..1_u64 << order).filter_map(move |offset| first.checked_add(offset))
}
