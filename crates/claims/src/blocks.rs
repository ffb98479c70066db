use phys::{Pfn, PhysRange};

use crate::Memory;

/// Blocks that were claimed whole and of which images hold only some frames.
///
/// The kernel empties a range only if nothing is bound to its place in all the blocks that the
/// range touches, and the frames of images are. So blocks are claimed whole, and the frames of one
/// that are not wanted are spare: they wait here for the next segment or image, until all of the
/// block has been given back.
///
/// Invariant: every frame of a block in this list is either spare or held by an image. A block of
/// which all frames are spare goes back to the kernel at once. The list has no order.
pub struct Blocks<M: Memory> {
    first: Option<M::Boxed<Block<M>>>,
}

/// 64-bit words of the largest block's map.
const WORDS: usize = 8;

/// A block with a bit for each frame: set if the frame is spare.
struct Block<M: Memory> {
    number: u64,
    spare: [u64; WORDS],
    next: Option<M::Boxed<Block<M>>>,
}

impl<M: Memory> Blocks<M> {
    /// The most frames a block can have.
    pub const MOST_FRAMES: u64 = WORDS as u64 * u64::BITS as u64;

    /// Without a block.
    #[must_use]
    pub const fn new() -> Self {
        const { assert!(M::BLOCK.is_power_of_two() && M::LARGE.is_power_of_two()) };
        const { assert!(M::BLOCK <= Self::MOST_FRAMES && M::BLOCK <= M::LARGE) };
        Self { first: None }
    }

    /// Whether all blocks have gone back to the kernel.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    /// Takes all frames of a range of System RAM: spare ones, or else away from the kernel. False
    /// if that is not possible; then none is taken.
    pub fn claim(&mut self, memory: M, range: PhysRange) -> bool {
        self.take_spare(range)
            || self.claim_whole(memory, range)
            || memory.claim_range(range)
            || range.end_number() <= M::LOW_END && memory.claim_low(range)
    }

    /// Makes a frame spare, if it belongs to a block; the block goes back with the last of its
    /// frames.
    pub fn make_spare(&mut self, memory: M, frame: Pfn) -> bool {
        let Some(block) = self.find(frame) else {
            return false;
        };
        block.mark(frame.number() % M::BLOCK, true);
        if block.is_spare() {
            let number = block.number;
            self.remove(number);
            if let Some(first) = Pfn::new(number * M::BLOCK) {
                memory.free_block(first);
            }
        }
        true
    }

    /// Takes the range, if all of it is spare in one block.
    fn take_spare(&mut self, range: PhysRange) -> bool {
        self.find(range.first()).is_some_and(|block| block.take(range))
    }

    /// Claims all blocks that a range touches. Only the first and the last can have frames to
    /// spare.
    fn claim_whole(&mut self, memory: M, range: PhysRange) -> bool {
        let [first, last] = [range.first().number(), range.end_number() - 1].map(|frame| frame / M::BLOCK);
        let start = Pfn::new(first * M::BLOCK);
        let Some(Ok(whole)) = start.map(|start| PhysRange::new(start, (last + 1 - first) * M::BLOCK)) else {
            return false;
        };
        let Some(head) = Block::without(memory, first, range) else {
            return false;
        };
        let tail = (last != first).then(|| Block::without(memory, last, range));
        if matches!(tail, Some(None)) || !memory.claim_range(whole) {
            return false;
        }
        self.add(head);
        if let Some(tail) = tail.flatten() {
            self.add(tail);
        }
        true
    }

    fn find(&mut self, frame: Pfn) -> Option<&mut Block<M>> {
        let mut at = self.first.as_deref_mut();
        while let Some(block) = at {
            if block.number == frame.number() / M::BLOCK {
                return Some(block);
            }
            at = block.next.as_deref_mut();
        }
        None
    }

    fn add(&mut self, mut block: M::Boxed<Block<M>>) {
        block.next = self.first.take();
        self.first = Some(block);
    }

    fn remove(&mut self, number: u64) {
        let mut link = &mut self.first;
        while let Some(mut block) = link.take() {
            if block.number == number {
                *link = block.next.take();
                return;
            }
            link = &mut link.insert(block).next;
        }
    }
}

impl<M: Memory> Default for Blocks<M> {
    fn default() -> Self {
        Self::new()
    }
}

impl<M: Memory> Block<M> {
    /// The block with this number, of which the frames of `used` are not spare.
    fn without(memory: M, number: u64, used: PhysRange) -> Option<M::Boxed<Self>> {
        let mut block = memory.boxed(Self { number, spare: [0; WORDS], next: None })?;
        let (start, used) = (number * M::BLOCK, used.first().number()..used.end_number());
        for offset in (0..M::BLOCK).filter(|offset| !used.contains(&(start + offset))) {
            block.mark(offset, true);
        }
        Some(block)
    }

    /// Takes the range, if all of it is here and spare.
    fn take(&mut self, range: PhysRange) -> bool {
        let first = range.first().number() % M::BLOCK;
        let wanted = first..first + range.pages();
        let here = wanted.end <= M::BLOCK && wanted.clone().all(|offset| self.has_spare(offset));
        if here {
            wanted.for_each(|offset| self.mark(offset, false));
        }
        here
    }

    fn is_spare(&self) -> bool {
        self.spare.iter().map(|bits| u64::from(bits.count_ones())).sum::<u64>() == M::BLOCK
    }

    fn has_spare(&self, offset: u64) -> bool {
        let (word, bit) = place(offset);
        self.spare.get(word).is_some_and(|bits| bits & bit != 0)
    }

    fn mark(&mut self, offset: u64, spare: bool) {
        let (word, bit) = place(offset);
        if let Some(bits) = self.spare.get_mut(word) {
            *bits = if spare { *bits | bit } else { *bits & !bit };
        }
    }
}

/// The word of a frame's bit, and the bit in it.
const fn place(offset: u64) -> (usize, u64) {
    ((offset / 64) as usize, 1 << (offset % 64))
}
