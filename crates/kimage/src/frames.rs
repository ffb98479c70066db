use core::fmt;

use phys::Pfn;

/// 64-bit words in a page frame.
pub(crate) const WORDS: usize = 512;

/// The index in its frame of the word with this number, in an array that spans frames.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "a remainder below 512")]
pub(crate) const fn place(number: u64) -> usize {
    (number % WORDS as u64) as usize
}

/// The first frame number beyond 4 GiB.
const FRAMES_BELOW_4GIB: u64 = (1 << 32) >> phys::PAGE_SHIFT;

/// The largest order that [`Frames::alloc`] is called with: 4 MiB, the largest piece that Linux
/// allocates.
pub(crate) const MAX_ORDER: u32 = 10;

/// Where page frames come from: in the kernel its page allocator and the direct map, on the host a
/// simulation.
///
/// An image takes frames one by one and gives all of them back when it is dropped, so an
/// implementor keeps no record of them. A long load is interrupted here: `alloc` may sleep, and
/// returns `None` when a signal is pending.
pub trait Frames {
    /// Hands out 2^`order` neighbouring frames, naturally aligned, of which each can be given back
    /// alone.
    ///
    /// The contents do not matter. `None` when there are none (or none of this zone).
    fn alloc(&mut self, order: u32, zone: Zone) -> Option<Pfn>;

    /// Takes back one frame that `alloc` handed out.
    fn free(&mut self, frame: Pfn);

    /// The contents of a frame that `alloc` handed out and that was not given back.
    fn words(&mut self, frame: Pfn) -> &mut [u64; WORDS];
}

impl<F: Frames + ?Sized> Frames for &mut F {
    fn alloc(&mut self, order: u32, zone: Zone) -> Option<Pfn> {
        (**self).alloc(order, zone)
    }

    fn free(&mut self, frame: Pfn) {
        (**self).free(frame);
    }

    fn words(&mut self, frame: Pfn) -> &mut [u64; WORDS] {
        (**self).words(frame)
    }
}

/// Which physical addresses are suitable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Zone {
    /// Every address.
    Any = 1,
    /// Addresses that fit 32 bits: those that code without paging, and CR3 outside 64-bit mode, can
    /// hold.
    Below4GiB = 2,
}

impl Zone {
    /// Whether the frame lies in the zone. A naturally aligned run lies there if its first frame
    /// does.
    #[inline]
    pub(crate) const fn admits(self, frame: Pfn) -> bool {
        match self {
            Self::Any => true,
            Self::Below4GiB => frame.number() < FRAMES_BELOW_4GIB,
        }
    }

    /// The zone as it crosses an ioctl.
    pub(crate) const fn number(self) -> u64 {
        self as u64
    }

    pub(crate) fn from_number(number: u64) -> Option<Self> {
        [Self::Any, Self::Below4GiB].into_iter().find(|zone| zone.number() == number)
    }
}

impl fmt::Display for Zone {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Any => "anywhere",
            Self::Below4GiB => "below 4 GiB",
        })
    }
}

/// A frame number as it is stored inside frames: 0 for none, else the address with bit 0 set.
#[inline]
pub(crate) const fn link(frame: Option<Pfn>) -> u64 {
    match frame {
        Some(frame) => frame.address().get() | 1,
        None => 0,
    }
}

/// Reads what [`link`] wrote.
#[inline]
pub(crate) const fn linked(word: u64) -> Option<Pfn> {
    if word & 1 == 0 { None } else { Pfn::starting_at(word & !(phys::PAGE_SIZE - 1)) }
}
