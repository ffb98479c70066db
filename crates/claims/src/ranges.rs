//! Ranges of memory as the kernel and callers name them, by start and end address.

use core::ops::{Deref, DerefMut};

use phys::{PhysRange, RangeSet};

/// Sorted and joined ranges, in memory of their own.
pub struct Ranges<R> {
    ranges: R,
    count: usize,
}

impl<R: DerefMut<Target = [PhysRange]>> Ranges<R> {
    /// Sorts and joins the ranges.
    pub fn new(mut ranges: R) -> Self {
        let count = RangeSet::sort(&mut ranges).ranges().len();
        Self { ranges, count }
    }
}

impl<R: Deref<Target = [PhysRange]>> Ranges<R> {
    /// The frames.
    pub fn set(&self) -> RangeSet<'_> {
        let sorted = self.ranges.get(..self.count).unwrap_or(&[]);
        RangeSet::from_sorted(sorted).unwrap_or(RangeSet::EMPTY)
    }
}

/// The whole pages between two addresses. System RAM may start and end anywhere.
#[must_use]
pub fn whole_pages(start: u64, end: u64) -> Option<PhysRange> {
    PhysRange::within_bytes(start, end.checked_sub(start)?).ok()
}

/// The range between two addresses that a caller vouches for. Both must be multiples of the page
/// size, and the range not empty.
#[must_use]
pub fn exact(start: u64, end: u64) -> Option<PhysRange> {
    PhysRange::from_bytes(start, end.checked_sub(start)?).ok()
}

/// Whether memory between two addresses belongs to the set.
#[must_use]
pub fn overlaps(start: u64, end: u64, set: RangeSet<'_>) -> bool {
    set.ranges().iter().any(|range| range.start().get() < end && start < range.end())
}

#[cfg(test)]
mod tests {
    use super::*;
    use phys::Pfn;
    use std::vec;

    extern crate std;

    fn range(first: u64, pages: u64) -> PhysRange {
        PhysRange::new(Pfn::new(first).unwrap(), pages).unwrap()
    }

    #[test]
    fn ranges_are_sorted_and_joined() {
        let ranges = Ranges::new(vec![range(8, 2), range(1, 3), range(4, 1)]);
        assert_eq!(ranges.set().ranges(), [range(1, 4), range(8, 2)]);
        assert_eq!(Ranges::new(vec![]).set(), RangeSet::EMPTY);
    }

    #[test]
    fn only_whole_pages_of_ram_count() {
        assert_eq!(whole_pages(0x1001, 0x4fff), Some(range(2, 2)));
        assert_eq!(whole_pages(0x1001, 0x2fff), None);
        assert_eq!(whole_pages(0x2000, 0x1000), None);
        assert_eq!(whole_pages(0, u64::MAX), None, "beyond physical addresses");
    }

    #[test]
    fn a_range_that_is_vouched_for_is_exact() {
        assert_eq!(exact(0x1000, 0x3000), Some(range(1, 2)));
        for (start, end) in
            [(0x1001, 0x3000), (0x1000, 0x3001), (0x1000, 0x1000), (0x3000, 0x1000), (0, u64::MAX)]
        {
            assert_eq!(exact(start, end), None, "{start:#x}-{end:#x}");
        }
    }

    #[test]
    fn a_single_byte_in_common_is_an_overlap() {
        let mut ranges = [range(2, 2), range(8, 1)];
        let set = RangeSet::sort(&mut ranges);
        assert!(overlaps(0x1000, 0x2001, set));
        assert!(overlaps(0x3fff, 0x4000, set));
        assert!(overlaps(0, u64::MAX, set));
        assert!(!overlaps(0x1000, 0x2000, set));
        assert!(!overlaps(0x4000, 0x8000, set));
    }
}
