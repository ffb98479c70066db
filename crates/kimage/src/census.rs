use phys::Pfn;

use crate::frames::{Frames, Zone};
use crate::tree::Tree;

/// A set of frames, to notice a frame that occurs twice: a bit each, in a sparse tree whose leaves
/// cover 128 MiB.
///
/// The tree's frames come from the allocator and go back to it. While it exists they may be
/// destinations, since nothing moves yet.
#[derive(Default)]
pub(crate) struct Census {
    bits: Tree,
}

impl Census {
    /// Enters the frame and returns whether it is new; `None` when there is no memory.
    pub(crate) fn enter(&mut self, frame: Pfn, frames: &mut impl Frames) -> Option<bool> {
        let index = frame.number() / u64::from(u64::BITS);
        let bit = 1 << (frame.number() % u64::from(u64::BITS));
        loop {
            if let Some(word) = self.bits.word(index, frames) {
                let met = *word & bit != 0;
                *word |= bit;
                return Some(!met);
            }
            let node = frames.alloc(0, Zone::Any)?;
            self.bits.attach(node, index, frames);
        }
    }

    /// Gives the memory back.
    pub(crate) fn free(mut self, frames: &mut impl Frames) {
        self.bits.free(frames);
    }
}
