use core::ops::Deref;

use phys::{Pfn, PhysRange};

use crate::memory::{Memory, give_back};
use crate::ranges::Ranges;

/// Where the frames of one image come from: destinations claimed from the kernel first, then free
/// memory.
///
/// Frames that were taken and not handed out go back when the supply [ends](Supply::end) or is
/// dropped. Frames that were handed out are the caller's to give back.
pub struct Supply<M: Memory, R: Deref<Target = [PhysRange]>> {
    memory: M,
    claims: Option<Claims<M, R>>,
    free: FreeMemory<M>,
}

impl<M: Memory, R: Deref<Target = [PhysRange]>> Supply<M, R> {
    /// For an image of this many pages. Without `claims` no frame is taken away from the kernel.
    pub const fn new(memory: M, pages: u64, claims: Option<Claims<M, R>>) -> Self {
        Self { memory, claims, free: FreeMemory::new(memory, pages) }
    }

    /// Hands out the next frame, whatever its address.
    pub fn next_frame(&mut self) -> Option<Pfn> {
        let claimed = self.claims.as_mut().and_then(Claims::next_frame);
        match claimed {
            Some(_) => self.free.note_page(),
            None => return self.free.next_frame(),
        }
        claimed
    }

    /// Hands out 2^`order` neighbouring frames, naturally aligned.
    pub fn run(&self, order: u32, below_4_gib: bool) -> Option<Pfn> {
        self.memory.alloc(order, below_4_gib)
    }

    /// Takes back one frame that was handed out.
    pub fn give_back(&self, frame: Pfn) {
        give_back(self.memory, frame);
    }

    /// Ends the supply: the image has all of its frames.
    pub fn end(&mut self) {
        self.claims = None;
        self.free = FreeMemory::new(self.memory, 0);
    }
}

/// Contiguous frames not handed out yet; freed on drop.
struct Ready<M: Memory> {
    memory: M,
    next: u64,
    end: u64,
}

impl<M: Memory> Ready<M> {
    const fn nothing(memory: M) -> Self {
        Self { memory, next: 0, end: 0 }
    }

    const fn of(memory: M, range: PhysRange) -> Self {
        Self { memory, next: range.first().number(), end: range.end_number() }
    }

    fn next_frame(&mut self) -> Option<Pfn> {
        if self.next == self.end {
            return None;
        }
        let frame = Pfn::new(self.next);
        self.next += 1;
        frame
    }
}

impl<M: Memory> Drop for Ready<M> {
    fn drop(&mut self) {
        while let Some(frame) = self.next_frame() {
            give_back(self.memory, frame);
        }
    }
}

/// Free memory in blocks as large as the kernel has them, handed out frame by frame: so
/// neighbouring pages of an image mostly wait in neighbouring frames, and a short list describes
/// where.
struct FreeMemory<M: Memory> {
    memory: M,
    /// Pages that are still needed.
    needed: u64,
    /// The order of the last block. The kernel is not asked again for an order that it did not
    /// have.
    order: u32,
    ready: Ready<M>,
}

impl<M: Memory> FreeMemory<M> {
    const fn new(memory: M, needed: u64) -> Self {
        Self { memory, needed, order: M::LARGEST_ORDER, ready: Ready::nothing(memory) }
    }

    fn next_frame(&mut self) -> Option<Pfn> {
        let frame = match self.ready.next_frame() {
            None => {
                self.ready = Ready::of(self.memory, self.take_block()?);
                self.ready.next_frame()
            }
            ready => ready,
        };
        self.note_page();
        frame
    }

    /// One page less is needed.
    const fn note_page(&mut self) {
        self.needed = self.needed.saturating_sub(1);
    }

    /// Takes a block of which all pages are needed, or a single frame.
    fn take_block(&mut self) -> Option<PhysRange> {
        self.order = self.order.min(self.needed.max(1).ilog2());
        loop {
            match self.memory.alloc(self.order, false) {
                Some(first) => return PhysRange::new(first, 1 << self.order).ok(),
                None => self.order = self.order.checked_sub(1)?,
            }
        }
    }
}

/// Claims the wanted ranges from the kernel, in pieces as large as it gives, and hands out their
/// frames one by one.
///
/// A range is cut at multiples of [`Memory::LARGE`] frames. Where the kernel refuses a large piece,
/// it is claimed block by block, and a block that is refused is left out.
pub struct Claims<M: Memory, R: Deref<Target = [PhysRange]>> {
    memory: M,
    wanted: R,
    ram: Ranges<R>,
    /// The range that is being claimed, and how many of its frames were tried.
    index: usize,
    tried: u64,
    ready: Ready<M>,
}

impl<M: Memory, R: Deref<Target = [PhysRange]>> Claims<M, R> {
    /// Will claim these ranges, as far as they are System RAM.
    pub const fn new(memory: M, wanted: R, ram: Ranges<R>) -> Self {
        Self { memory, wanted, ram, index: 0, tried: 0, ready: Ready::nothing(memory) }
    }

    fn next_frame(&mut self) -> Option<Pfn> {
        loop {
            if let Some(frame) = self.ready.next_frame() {
                return Some(frame);
            }
            self.claim_more()?;
        }
    }

    /// Tries a large piece of the current range, or else its next block. `None` at the end of the
    /// last range.
    fn claim_more(&mut self) -> Option<()> {
        let range = *self.wanted.get(self.index)?;
        if self.tried >= range.pages() {
            self.index += 1;
            self.tried = 0;
            return Some(());
        }
        let start = range.first().number() + self.tried;
        let cut_at = |size: u64| ((start | (size - 1)) + 1).min(range.end_number());
        let (large, block) = (cut_at(M::LARGE), cut_at(M::BLOCK));
        let is_large = self.tried == 0 || start.is_multiple_of(M::LARGE);
        let claimed =
            is_large && self.claim(start, large) || !(is_large && large == block) && self.claim(start, block);
        if !claimed {
            self.tried += block - start;
        }
        Some(())
    }

    fn claim(&mut self, start: u64, end: u64) -> bool {
        let Some(Ok(range)) = Pfn::new(start).map(|first| PhysRange::new(first, end - start)) else {
            return false;
        };
        let claimed = self.ram.set().contains_range(range) && self.memory.blocks().claim(self.memory, range);
        if claimed {
            self.ready = Ready::of(self.memory, range);
            self.tried += range.pages();
        }
        claimed
    }
}
