use crate::{Pfn, PhysRange, sort};

/// A set of page frames, as ranges in rising order of which no two overlap or touch, borrowed from
/// the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RangeSet<'a> {
    ranges: &'a [PhysRange],
}

impl<'a> RangeSet<'a> {
    /// The set without a frame.
    pub const EMPTY: RangeSet<'static> = RangeSet { ranges: &[] };

    /// The frames of one range.
    #[inline]
    #[must_use]
    pub const fn of(range: &'a PhysRange) -> Self {
        Self { ranges: core::slice::from_ref(range) }
    }

    /// The frames of all these ranges, which may come in any order and overlap.
    ///
    /// Sorts the ranges in place and joins those that overlap or touch; the contents of the slice
    /// after the joined ranges are unspecified. O(n log n), no allocation.
    #[must_use]
    pub fn sort(ranges: &'a mut [PhysRange]) -> Self {
        sort::by_key(ranges, |range| range.first());
        let joined = join_neighbours(ranges);
        Self { ranges: ranges.get(..joined).unwrap_or(&[]) }
    }

    /// The frames of ranges that are in rising order already, none overlapping or touching another:
    /// as [`RangeSet::ranges`] gives them. `None` if they are not. O(n).
    #[must_use]
    pub fn from_sorted(ranges: &'a [PhysRange]) -> Option<Self> {
        let apart = |pair: &[PhysRange]| matches!(pair, [a, b] if a.end_number() < b.first().number());
        ranges.windows(2).all(apart).then_some(Self { ranges })
    }

    /// The ranges, in rising order; no two touch.
    #[inline]
    #[must_use]
    pub const fn ranges(self) -> &'a [PhysRange] {
        self.ranges
    }

    /// Whether the set holds the frame. O(log n).
    #[inline]
    #[must_use]
    pub fn contains(self, frame: Pfn) -> bool {
        self.range_at_or_below(frame).is_some_and(|range| range.contains(frame))
    }

    /// Whether the set holds every frame of the range. O(log n).
    #[inline]
    #[must_use]
    pub fn contains_range(self, range: PhysRange) -> bool {
        self.first_gap(range).is_none()
    }

    /// The first frame of the range that the set does not hold. O(log n).
    #[must_use]
    pub fn first_gap(self, range: PhysRange) -> Option<Pfn> {
        match self.range_at_or_below(range.first()) {
            Some(held) if held.contains(range.first()) => {
                let covered = held.end_number() - range.first().number();
                if covered >= range.pages() { None } else { range.first().checked_add(covered) }
            }
            _ => Some(range.first()),
        }
    }

    fn range_at_or_below(self, frame: Pfn) -> Option<PhysRange> {
        let above = self.ranges.partition_point(|range| range.first() <= frame);
        self.ranges.get(above.checked_sub(1)?).copied()
    }
}

/// Joins neighbours of a sorted slice towards its front; returns the number of ranges that remain.
fn join_neighbours(ranges: &mut [PhysRange]) -> usize {
    let Some(&first) = ranges.first() else { return 0 };
    let mut last = first;
    let mut kept = 0;
    for next in 1..ranges.len() {
        let Some(&range) = ranges.get(next) else { break };
        if let Some(joined) = last.joined(range) {
            last = joined;
            continue;
        }
        put(ranges, kept, last);
        kept += 1;
        last = range;
    }
    put(ranges, kept, last);
    kept + 1
}

fn put(ranges: &mut [PhysRange], position: usize, range: PhysRange) {
    if let Some(place) = ranges.get_mut(position) {
        *place = range;
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;
    use std::vec::Vec;

    fn range(first: u64, pages: u64) -> PhysRange {
        PhysRange::new(Pfn::new(first).unwrap(), pages).unwrap()
    }

    #[test]
    fn touching_and_overlapping_ranges_become_one() {
        let mut ranges = [range(8, 2), range(0, 2), range(2, 1), range(9, 4), range(20, 1)];
        assert_eq!(RangeSet::sort(&mut ranges).ranges(), [range(0, 3), range(8, 5), range(20, 1)]);
        assert_eq!(RangeSet::sort(&mut []).ranges(), []);
    }

    #[test]
    fn the_first_gap_is_the_frame_after_the_range_that_holds_the_start() {
        let mut ranges = [range(4, 4), range(10, 2)];
        let set = RangeSet::sort(&mut ranges);
        assert_eq!(set.first_gap(range(4, 4)), None);
        assert_eq!(set.first_gap(range(5, 4)), Pfn::new(8));
        assert_eq!(set.first_gap(range(3, 2)), Pfn::new(3));
        assert_eq!(set.first_gap(range(9, 1)), Pfn::new(9));
        assert_eq!(RangeSet::EMPTY.first_gap(range(0, 1)), Pfn::new(0));
    }

    proptest! {
        #[test]
        #[cfg_attr(miri, ignore = "too many cases for it")]
        fn a_set_holds_exactly_the_frames_of_its_ranges(
            input in prop::collection::vec((0_u64..64, 1_u64..8), 0..12), asked in (0_u64..72, 1_u64..8),
        ) {
            let all = input.iter().flat_map(|&(first, pages)| first..first + pages);
            let frames: BTreeSet<u64> = all.collect();
            let mut ranges: Vec<_> = input.iter().map(|&(first, pages)| range(first, pages)).collect();
            let set = RangeSet::sort(&mut ranges);
            for number in 0..80 {
                prop_assert_eq!(set.contains(Pfn::new(number).unwrap()), frames.contains(&number));
            }
            let gap = (asked.0..asked.0 + asked.1).find(|number| !frames.contains(number));
            let asked = range(asked.0, asked.1);
            prop_assert_eq!(set.first_gap(asked), gap.and_then(Pfn::new));
            prop_assert_eq!(set.contains_range(asked), gap.is_none());
            for pair in set.ranges().windows(2) {
                prop_assert!(pair[0].end_number() < pair[1].first().number());
            }
        }
    }
}
