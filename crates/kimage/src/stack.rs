use phys::Pfn;

use crate::frames::{Frames, Zone, link, linked};

/// A stack of frames, linked through the first word of each: it needs no other memory.
#[derive(Default)]
pub(crate) struct Stack {
    top: Option<Pfn>,
}

impl Stack {
    pub(crate) fn push(&mut self, frame: Pfn, frames: &mut impl Frames) {
        frames.words(frame)[0] = link(self.top);
        self.top = Some(frame);
    }

    pub(crate) fn pop(&mut self, frames: &mut impl Frames) -> Option<Pfn> {
        let frame = self.top?;
        self.top = linked(frames.words(frame)[0]);
        Some(frame)
    }

    pub(crate) fn free_all(&mut self, frames: &mut impl Frames) -> u64 {
        let mut freed = 0;
        while let Some(frame) = self.pop(frames) {
            frames.free(frame);
            freed += 1;
        }
        freed
    }
}

/// Frames that are neither destinations nor needed yet.
#[derive(Default)]
pub(crate) struct Spares {
    low: Stack,
    high: Stack,
}

impl Spares {
    pub(crate) fn push(&mut self, frame: Pfn, frames: &mut impl Frames) {
        let low = Zone::Below4GiB.admits(frame);
        if low { self.low.push(frame, frames) } else { self.high.push(frame, frames) }
    }

    /// Takes a spare frame of the zone; the scarce low ones last.
    pub(crate) fn pop(&mut self, zone: Zone, frames: &mut impl Frames) -> Option<Pfn> {
        match zone {
            Zone::Any => self.high.pop(frames).or_else(|| self.low.pop(frames)),
            Zone::Below4GiB => self.low.pop(frames),
        }
    }

    pub(crate) fn free_all(&mut self, frames: &mut impl Frames) -> u64 {
        self.low.free_all(frames) + self.high.free_all(frames)
    }
}
