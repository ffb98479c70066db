//! The only way to take frames, and how a frame that is a destination is used.
//!
//! A destination that the allocator hands out is *claimed*: it becomes the source of its own slot,
//! which then needs no exchange. The slot's previous source, if any, is not a destination and
//! serves the request instead. So every frame from the allocator is used at once, and none is kept
//! only because it is in the way.

use core::mem::replace;

use phys::Pfn;

use crate::error::{Error, Purpose};
use crate::frames::{Frames, Zone};
use crate::holding::Holding;
use crate::list::{self, SOURCE};
use crate::segment::Segment;

impl<S: AsRef<[Segment]>, F: Frames> Holding<S, F> {
    /// Takes 2^`order` frames that are not destinations. A run with destinations in it is taken
    /// apart: they are claimed, the rest is spared for later. Each such run claims a page, so there
    /// are fewer of them than pages.
    pub(crate) fn take(&mut self, order: u32, zone: Zone, purpose: Purpose) -> Result<Pfn, Error> {
        loop {
            if order == 0
                && let Some(spare) = self.spares.pop(zone, &mut self.frames)
            {
                return Ok(spare);
            }
            let first = self.hand_out(order, zone, purpose)?;
            if run(first, order).all(|frame| self.layout.find(frame).is_none()) {
                return Ok(first);
            }
            self.take_apart(first, order)?;
        }
    }

    /// Takes a frame that is not a destination, as the source of a slot. `None` if the frame handed
    /// out became the source of its own slot, which lacked one: it may be the very slot that this
    /// is for.
    pub(crate) fn take_source(&mut self) -> Result<Option<Pfn>, Error> {
        if let Some(spare) = self.spares.pop(Zone::Any, &mut self.frames) {
            return Ok(Some(spare));
        }
        let frame = self.hand_out(0, Zone::Any, Purpose::Source)?;
        match self.layout.find(frame) {
            Some(position) => self.claim(position, frame),
            None => Ok(Some(frame)),
        }
    }

    fn take_apart(&mut self, first: Pfn, order: u32) -> Result<(), Error> {
        for frame in run(first, order) {
            let spare = match self.layout.find(frame) {
                Some(position) => self.claim(position, frame)?,
                None => Some(frame),
            };
            if let Some(spare) = spare {
                self.spares.push(spare, &mut self.frames);
            }
        }
        Ok(())
    }

    /// Makes a frame the source of the slot whose destination it is. Returns the slot's previous
    /// source, which is not a destination.
    pub(crate) fn claim(&mut self, position: u64, frame: Pfn) -> Result<Option<Pfn>, Error> {
        if !self.listed {
            self.early.push(frame, &mut self.frames);
            return Ok(None);
        }
        let word = list::word(frame, SOURCE);
        let displaced = self.place(position).map(|place| list::frame(replace(place, word), SOURCE));
        match displaced {
            Some(displaced) if displaced != Some(frame) => Ok(displaced),
            _ => {
                self.damaged = true;
                Err(Error::BadFrame { frame: frame.number(), order: 0, zone: Zone::Any })
            }
        }
    }

    /// The door to the allocator, where its promises are checked.
    fn hand_out(&mut self, order: u32, zone: Zone, purpose: Purpose) -> Result<Pfn, Error> {
        let Some(first) = self.frames.alloc(order, zone) else {
            return Err(Error::NoMemory { purpose, order, zone, held: self.held });
        };
        let pages = 1 << order;
        if !zone.admits(first) || !first.number().is_multiple_of(pages) {
            for frame in run(first, order) {
                self.frames.free(frame);
            }
            return Err(Error::BadFrame { frame: first.number(), order, zone });
        }
        self.held += pages;
        Ok(first)
    }
}

/// The frames of a run that the allocator handed out.
pub(crate) fn run(first: Pfn, order: u32) -> impl Iterator<Item = Pfn> {
    (0..1_u64 << order).filter_map(move |offset| first.checked_add(offset))
}
