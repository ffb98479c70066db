use core::ops::DerefMut;

use phys::{Pfn, PhysRange};

use crate::Blocks;

/// The kernel's memory management: in the module the page allocator, on the host a small simulated
/// machine. A handle, copied freely.
///
/// Every frame that `alloc`, `claim_range` or `claim_low` gave is given back once: alone, or with
/// its whole block.
pub trait Memory: Copy {
    /// Frames of a block, which the kernel frees or refuses as one when it moves pages away: a
    /// power of two, at most [`Blocks::MOST_FRAMES`].
    const BLOCK: u64 = 512;
    /// The most frames to claim at once, a power of two: the kernel moves all of their pages
    /// without a pause.
    const LARGE: u64 = 16 * Self::BLOCK;
    /// The binary logarithm of the most frames to allocate in one piece.
    const LARGEST_ORDER: u32 = 10;
    /// The number of the first frame above the zone for ISA DMA.
    const LOW_END: u64 = 4096;

    /// A value in memory of its own.
    type Boxed<T>: DerefMut<Target = T>;
    /// Exclusive access to the blocks that all images share.
    type Shared: DerefMut<Target = Blocks<Self>>;

    /// Takes 2^`order` neighbouring free frames, naturally aligned, each of which can be given back
    /// alone.
    fn alloc(self, order: u32, below_4_gib: bool) -> Option<Pfn>;

    /// Takes all frames of a range of System RAM, in use or not, if the kernel can move their
    /// contents elsewhere.
    fn claim_range(self, range: PhysRange) -> bool;

    /// Takes all frames of a range in the zone for ISA DMA, if all are free.
    fn claim_low(self, range: PhysRange) -> bool;

    /// Gives one frame back.
    fn free(self, frame: Pfn);

    /// Gives back the block that starts at this frame: one [`claim_range`](Self::claim_range) took
    /// all of it.
    fn free_block(self, first: Pfn);

    /// Allocates memory for a value. `None` if there is none.
    fn boxed<T>(self, value: T) -> Option<Self::Boxed<T>>;

    /// Waits for the blocks. A caller holds them for one operation, and never calls this while it
    /// does.
    fn blocks(self) -> Self::Shared;
}

/// Gives back a frame of an image, through the block it belongs to, if any.
pub(crate) fn give_back(memory: impl Memory, frame: Pfn) {
    let kept = memory.blocks().make_spare(memory, frame);
    if !kept {
        memory.free(frame);
    }
}
