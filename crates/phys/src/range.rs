use core::fmt;
use core::num::NonZero;

use crate::{FRAME_END, PAGE_SHIFT, PAGE_SIZE, Pfn, PhysAddr};

/// Neighbouring page frames: at least one, none beyond the 52-bit address space.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct PhysRange {
    first: Pfn,
    pages: NonZero<u64>,
}

/// Why bytes or frames do not make a [`PhysRange`]. Addresses and lengths are in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RangeError {
    /// The range holds no page.
    Empty {
        /// Where it would start.
        start: u64,
    },
    /// The start or the length is not a multiple of the page size.
    Unaligned {
        /// Where it would start.
        start: u64,
        /// Its length.
        length: u64,
    },
    /// The range ends beyond 52 bits.
    TooHigh {
        /// Where it would start.
        start: u64,
        /// Its length.
        length: u64,
    },
}

impl PhysRange {
    /// `pages` frames from `first` on.
    ///
    /// # Errors
    /// [`RangeError::Empty`] or [`RangeError::TooHigh`].
    #[inline]
    pub const fn new(first: Pfn, pages: u64) -> Result<Self, RangeError> {
        let start = first.address().get();
        let Some(count) = NonZero::new(pages) else {
            return Err(RangeError::Empty { start });
        };
        if pages > FRAME_END - first.number() {
            return Err(RangeError::TooHigh { start, length: pages.saturating_mul(PAGE_SIZE) });
        }
        Ok(Self { first, pages: count })
    }

    /// The range of this frame alone.
    #[inline]
    #[must_use]
    pub const fn single(frame: Pfn) -> Self {
        Self { first: frame, pages: NonZero::<u64>::MIN }
    }

    /// The range of exactly these bytes.
    ///
    /// # Errors
    /// Every [`RangeError`]: neither end is moved to make the bytes fit.
    #[inline]
    pub const fn from_bytes(start: u64, length: u64) -> Result<Self, RangeError> {
        if !start.is_multiple_of(PAGE_SIZE) || !length.is_multiple_of(PAGE_SIZE) {
            return Err(RangeError::Unaligned { start, length });
        }
        match Pfn::starting_at(start) {
            Some(first) => Self::new(first, length >> PAGE_SHIFT),
            None => Err(RangeError::TooHigh { start, length }),
        }
    }

    /// The pages wholly inside `length` bytes from `start` on.
    ///
    /// # Errors
    /// [`RangeError::Empty`] if there is none, [`RangeError::TooHigh`].
    #[inline]
    pub const fn within_bytes(start: u64, length: u64) -> Result<Self, RangeError> {
        let too_high = RangeError::TooHigh { start, length };
        let (Some(end), Some(first)) = (start.checked_add(length), start.checked_next_multiple_of(PAGE_SIZE))
        else {
            return Err(too_high);
        };
        let end = end - end % PAGE_SIZE;
        if first >= end {
            return Err(RangeError::Empty { start });
        }
        match Pfn::starting_at(first) {
            Some(first_frame) => Self::new(first_frame, (end - first) >> PAGE_SHIFT),
            None => Err(too_high),
        }
    }

    /// The pages touched by `length` bytes from `start` on.
    ///
    /// # Errors
    /// [`RangeError::Empty`] when `length` is 0, [`RangeError::TooHigh`].
    #[inline]
    pub const fn around_bytes(start: u64, length: u64) -> Result<Self, RangeError> {
        let too_high = RangeError::TooHigh { start, length };
        let Some(end) = start.checked_add(length) else { return Err(too_high) };
        let Some(end) = end.checked_next_multiple_of(PAGE_SIZE) else { return Err(too_high) };
        if length == 0 {
            return Err(RangeError::Empty { start });
        }
        let first = start - start % PAGE_SIZE;
        match Pfn::starting_at(first) {
            Some(first_frame) => Self::new(first_frame, (end - first) >> PAGE_SHIFT),
            None => Err(too_high),
        }
    }

    /// The first frame.
    #[inline]
    #[must_use]
    pub const fn first(self) -> Pfn {
        self.first
    }

    /// The number of frames, at least 1.
    #[inline]
    #[must_use]
    pub const fn pages(self) -> u64 {
        self.pages.get()
    }

    /// The number of the first frame after the range, at most [`FRAME_END`].
    #[inline]
    #[must_use]
    pub const fn end_number(self) -> u64 {
        self.first.number() + self.pages.get()
    }

    /// The address of the first byte.
    #[inline]
    #[must_use]
    pub const fn start(self) -> PhysAddr {
        self.first.address()
    }

    /// The address of the first byte after the range, at most [`crate::ADDRESS_END`] (hence a plain
    /// number).
    #[inline]
    #[must_use]
    pub const fn end(self) -> u64 {
        self.end_number() << PAGE_SHIFT
    }

    /// The length in bytes.
    #[inline]
    #[must_use]
    pub const fn bytes(self) -> u64 {
        self.pages.get() << PAGE_SHIFT
    }

    /// Whether the frame lies in the range.
    #[inline]
    #[must_use]
    pub const fn contains(self, frame: Pfn) -> bool {
        self.first.number() <= frame.number() && frame.number() < self.end_number()
    }

    /// Whether all of `other` lies in the range.
    #[inline]
    #[must_use]
    pub const fn contains_range(self, other: Self) -> bool {
        self.first.number() <= other.first.number() && other.end_number() <= self.end_number()
    }

    /// The frames that lie in both ranges, if there are any.
    #[inline]
    #[must_use]
    pub const fn intersection(self, other: Self) -> Option<Self> {
        let first = if self.first.number() >= other.first.number() { self.first } else { other.first };
        let (own_end, other_end) = (self.end_number(), other.end_number());
        let end = if own_end <= other_end { own_end } else { other_end };
        match NonZero::new(end.saturating_sub(first.number())) {
            Some(pages) => Some(Self { first, pages }),
            None => None,
        }
    }

    /// One range of both, if they overlap or touch.
    #[inline]
    #[must_use]
    pub const fn joined(self, other: Self) -> Option<Self> {
        let first = if self.first.number() <= other.first.number() { self.first } else { other.first };
        let (own_end, other_end) = (self.end_number(), other.end_number());
        let apart = own_end < other.first.number() || other_end < self.first.number();
        let end = if own_end >= other_end { own_end } else { other_end };
        match NonZero::new(end - first.number()) {
            Some(pages) if !apart => Some(Self { first, pages }),
            _ => None,
        }
    }
}

impl fmt::Debug for PhysRange {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PhysRange({self})")
    }
}

/// The first and the last byte, as /proc/iomem shows a range.
impl fmt::Display for PhysRange {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}-{:#x}", self.start().get(), self.end() - 1)
    }
}

impl fmt::Display for RangeError {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Empty { start } => write!(f, "range at {start:#x} does not contain a whole page"),
            Self::Unaligned { start, length } => {
                write!(f, "range at {start:#x} of {length:#x} bytes is not aligned to {PAGE_SIZE} bytes")
            }
            Self::TooHigh { start, length } => {
                write!(f, "range at {start:#x} of {length:#x} bytes ends beyond 52 bits")
            }
        }
    }
}

impl core::error::Error for RangeError {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ADDRESS_END;

    fn range(first: u64, pages: u64) -> PhysRange {
        PhysRange::new(Pfn::new(first).unwrap(), pages).unwrap()
    }

    #[test]
    fn exact_bytes_make_a_range_or_an_error() {
        assert_eq!(PhysRange::from_bytes(0x3000, 0x2000), Ok(range(3, 2)));
        let top = PhysRange::from_bytes(0, ADDRESS_END).unwrap();
        assert_eq!((top.end(), top.pages()), (ADDRESS_END, FRAME_END));
        assert_eq!(PhysRange::from_bytes(0x3000, 0), Err(RangeError::Empty { start: 0x3000 }));
        for (start, length) in [(0x3001, 0x1000), (0x3000, 0x1001)] {
            assert_eq!(PhysRange::from_bytes(start, length), Err(RangeError::Unaligned { start, length }));
        }
        for (start, length) in
            [(ADDRESS_END, 0x1000), (0x1000, ADDRESS_END), (0x1000, 0_u64.wrapping_sub(0x1000))]
        {
            assert_eq!(PhysRange::from_bytes(start, length), Err(RangeError::TooHigh { start, length }));
        }
    }

    #[test]
    fn ragged_bytes_shrink_inwards_or_grow_outwards() {
        assert_eq!(PhysRange::within_bytes(0xfff, 0x2002), Ok(range(1, 2)));
        assert_eq!(PhysRange::around_bytes(0xfff, 0x2002), Ok(range(0, 4)));
        assert_eq!(PhysRange::within_bytes(0x1001, 0x1ffe), Err(RangeError::Empty { start: 0x1001 }));
        assert_eq!(PhysRange::around_bytes(0x1001, 1), Ok(range(1, 1)));
        assert_eq!(PhysRange::around_bytes(0x1001, 0), Err(RangeError::Empty { start: 0x1001 }));
        for start in [ADDRESS_END, u64::MAX] {
            for length in [1, 0x1000, u64::MAX] {
                PhysRange::within_bytes(start, length).unwrap_err();
                PhysRange::around_bytes(start, length).unwrap_err();
            }
        }
    }

    #[test]
    fn two_ranges_are_joined_when_no_frame_lies_between_them() {
        assert_eq!(range(1, 2).joined(range(3, 1)), Some(range(1, 3)));
        assert_eq!(range(3, 1).joined(range(1, 2)), Some(range(1, 3)));
        assert_eq!(range(1, 9).joined(range(3, 1)), Some(range(1, 9)));
        assert_eq!(range(1, 2).joined(range(4, 1)), None);
        assert_eq!(range(4, 1).joined(range(1, 2)), None);
    }

    #[test]
    fn an_intersection_holds_the_frames_of_both() {
        for (a, b) in [(range(1, 4), range(3, 9)), (range(3, 9), range(1, 4))] {
            assert_eq!(a.intersection(b), Some(range(3, 2)));
        }
        assert_eq!(range(1, 2).intersection(range(3, 1)), None);
        assert!(range(1, 4).contains_range(range(2, 3)));
        assert!(!range(1, 4).contains_range(range(2, 4)));
    }
}
