use phys::{PAGE_SIZE, PhysRange, RangeSet};

use crate::{Demand, Error, Search, Segment};

/// Finds places in free pages for all demands, in their order, without overlap. The result does not
/// depend on the order of the free ranges.
///
/// Each demand is served from the pages that earlier ones left, so the hardest to place should come
/// first. O(n log n + d·n) for n free ranges and d demands.
///
/// # Errors
/// [`Error::NoRoom`] for the first demand without a place, with the last of its windows.
pub fn place(demands: &[Demand], free: &[PhysRange]) -> Result<Vec<PhysRange>, Error> {
    let mut free = FreePages::new(free);
    demands.iter().map(|demand| free.take(demand)).collect()
}

/// Free pages, from which places are taken one after the other.
pub(crate) struct FreePages(Vec<PhysRange>);

impl FreePages {
    pub(crate) fn new(free: &[PhysRange]) -> Self {
        let mut free = free.to_vec();
        Self(RangeSet::sort(&mut free).ranges().to_vec())
    }

    /// The free pages outside of these segments, which are sorted and do not overlap.
    pub(crate) fn without(self, segments: &[Segment<'_>]) -> Self {
        let taken: Vec<_> = segments.iter().map(|segment| segment.range).collect();
        Self(self.0.iter().flat_map(|&hole| gaps(hole, &taken)).collect())
    }

    /// Takes a place for this demand.
    ///
    /// # Errors
    /// [`Error::NoRoom`], with the last of its windows.
    pub(crate) fn take(&mut self, demand: &Demand) -> Result<PhysRange, Error> {
        let place = find(demand, &self.0).ok_or_else(|| no_room(demand, &self.0))?;
        cut(&mut self.0, place);
        Ok(place)
    }

    /// Takes a place if there is a demand.
    pub(crate) fn take_if_any(&mut self, demand: Option<&Demand>) -> Result<Option<PhysRange>, Error> {
        demand.map(|demand| self.take(demand)).transpose()
    }
}

fn find(demand: &Demand, free: &[PhysRange]) -> Option<PhysRange> {
    demand.windows.iter().find_map(|&window| {
        let mut fitting = free.iter().filter_map(|&hole| fit(demand, hole, window));
        match demand.search {
            Search::BottomUp => fitting.next(),
            Search::TopDown => fitting.next_back(),
        }
    })
}

/// The place for a demand in the part of a hole inside the window.
fn fit(demand: &Demand, hole: PhysRange, (lowest, highest): (u64, u64)) -> Option<PhysRange> {
    let align = demand.align.max(PAGE_SIZE);
    let bytes = demand.size.max(1);
    let size = bytes.checked_next_multiple_of(PAGE_SIZE)?;
    let start = hole.start().get().max(lowest);
    let last_start = hole.end().checked_sub(size)?.min(highest.checked_sub(bytes - 1)?);
    let start = match demand.search {
        Search::BottomUp => start.checked_next_multiple_of(align)?,
        Search::TopDown => last_start - last_start % align,
    };
    let fits = start >= hole.start().get().max(lowest) && start <= last_start;
    PhysRange::from_bytes(start, size).ok().filter(|_| fits)
}

/// Cuts a place out of the free ranges.
fn cut(free: &mut Vec<PhysRange>, place: PhysRange) {
    let Some(index) = free.iter().position(|hole| hole.contains_range(place)) else { return };
    let hole = free.remove(index);
    let below = PhysRange::from_bytes(hole.start().get(), place.start().get() - hole.start().get());
    let above = PhysRange::from_bytes(place.end(), hole.end() - place.end());
    free.splice(index..index, below.into_iter().chain(above));
}

fn no_room(demand: &Demand, free: &[PhysRange]) -> Error {
    let &(lowest, highest) = demand.windows.last().unwrap_or(&(0, 0));
    let within = |hole: &PhysRange| {
        hole.end().min(highest.saturating_add(1)).saturating_sub(hole.start().get().max(lowest))
    };
    Error::NoRoom {
        name: demand.name,
        size: demand.size,
        align: demand.align.max(PAGE_SIZE),
        lowest,
        highest,
        largest: free.iter().map(within).max().unwrap_or(0),
    }
}

/// The parts of a range outside of all others, which are sorted and do not overlap.
pub(crate) fn gaps(range: PhysRange, others: &[PhysRange]) -> Vec<PhysRange> {
    let mut gaps = Vec::new();
    let mut free = range.start().get();
    for other in others.iter().filter_map(|other| other.intersection(range)) {
        gaps.extend(PhysRange::from_bytes(free, other.start().get() - free));
        free = other.end();
    }
    gaps.extend(PhysRange::from_bytes(free, range.end() - free));
    gaps
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::frames;
    use proptest::prelude::*;

    fn demand(size: u64, align: u64, window: (u64, u64), search: Search) -> Demand {
        Demand { name: "it", size, align, windows: vec![window], search }
    }

    #[test]
    fn a_place_is_the_lowest_or_the_highest_that_fits() {
        let free = [frames(1, 9), frames(0x100, 0x100)];
        let everywhere = (0, u64::MAX);
        let low = demand(0x1800, 0x2000, everywhere, Search::BottomUp);
        let high = demand(0x1800, 0x4000, everywhere, Search::TopDown);
        assert_eq!(place(&[low, high], &free), Ok(vec![frames(2, 2), frames(0x1fc, 2)]));
    }

    #[test]
    fn a_better_window_is_tried_first() {
        let free = [frames(0, 16), frames(0x10_0000, 16)];
        let below = (0, 0xffff_ffff);
        let either =
            |size| Demand { windows: vec![below, (0, u64::MAX)], ..demand(size, 1, below, Search::TopDown) };
        let places = place(&[either(0xc000), either(0x8000)], &free);
        assert_eq!(places, Ok(vec![frames(4, 12), frames(0x10_0008, 8)]));
    }

    #[test]
    fn a_window_of_exactly_the_demands_bytes_has_a_place_for_it() {
        for (size, search) in [(1, Search::BottomUp), (0x1234, Search::BottomUp), (0x1234, Search::TopDown)] {
            let exact = demand(size, 1, (0x2000, 0x2000 + size - 1), search);
            assert_eq!(place(&[exact], &[frames(1, 9)]), Ok(vec![frames(2, size.div_ceil(0x1000))]));
            let smaller = demand(size, 1, (0x2000, 0x2000 + size - 2), search);
            place(&[smaller], &[frames(1, 9)]).unwrap_err();
            let hole_too_small = demand(0x1234, 1, (0x2000, 0x3233), search);
            place(&[hole_too_small], &[frames(2, 1)]).unwrap_err();
        }
    }

    #[test]
    fn an_error_names_the_demand_with_the_numbers() {
        let demand =
            Demand { name: "initrd", ..demand(52 << 20, 1, (0x10_0000, 0x37ff_ffff), Search::TopDown) };
        let free = [frames(0, 0x100), frames(0x200, 31 << 8), frames(0x3_7000, 1 << 16)];
        let text =
            "no room for initrd: 52 MiB, aligned 4 KiB, between 0x100000 and 0x37ffffff; largest hole 31 MiB";
        assert_eq!(place(&[demand], &free).unwrap_err().to_string(), text);
    }

    #[test]
    fn huge_demands_are_rejected_without_overflow() {
        for (size, align) in [(u64::MAX, 1), (1, 1 << 63), (u64::MAX - 0xfff, 1 << 63)] {
            for search in [Search::BottomUp, Search::TopDown] {
                place(&[demand(size, align, (0x1001, u64::MAX), search)], &[frames(1, 100)]).unwrap_err();
            }
        }
    }

    fn any_demand() -> impl Strategy<Value = Demand> {
        let search = prop_oneof![Just(Search::BottomUp), Just(Search::TopDown)];
        (0_u64..0x5000, 0_u32..16, 0_u64..0x6_0000, 0_u64..0x6_0000, search).prop_map(
            |(size, align, lowest, more, search)| demand(size, 1 << align, (lowest, lowest + more), search),
        )
    }

    proptest! {
        #[test]
        fn places_are_free_aligned_inside_their_window_and_apart(
            demands in prop::collection::vec(any_demand(), 1..6),
            holes in prop::collection::vec((0_u64..90, 1_u64..20), 1..8),
        ) {
            let holes: Vec<_> = holes.into_iter().map(|(first, count)| frames(first, count)).collect();
            let Ok(places) = place(&demands, &holes) else { return Ok(()) };
            let mut sorted = holes;
            let free = RangeSet::sort(&mut sorted);
            prop_assert_eq!(places.len(), demands.len());
            for (place, demand) in places.iter().zip(&demands) {
                let (lowest, highest) = demand.windows[0];
                prop_assert!(free.contains_range(*place));
                let last = place.start().get() + demand.size.max(1) - 1;
                prop_assert!(place.start().get() >= lowest && last <= highest);
                prop_assert!(place.start().get().is_multiple_of(demand.align));
                prop_assert!(place.bytes() >= demand.size);
            }
            for (index, place) in places.iter().enumerate() {
                prop_assert!(places[..index].iter().all(|other| other.intersection(*place).is_none()));
            }
        }

        #[test]
        fn a_demand_is_rejected_only_if_no_place_fits(
            demand in any_demand(), holes in prop::collection::vec((0_u64..90, 1_u64..20), 1..8),
        ) {
            let mut holes: Vec<_> = holes.into_iter().map(|(first, count)| frames(first, count)).collect();
            let found = place(std::slice::from_ref(&demand), &holes).ok().map(|places| places[0]);
            let free = RangeSet::sort(&mut holes);
            let (lowest, highest) = demand.windows[0];
            let count = demand.size.max(1).div_ceil(4096);
            let mut fitting = (0..128).map(|first| frames(first, count)).filter(|place| {
                let last = place.start().get() + demand.size.max(1) - 1;
                free.contains_range(*place) && place.start().get() >= lowest && last <= highest
                    && place.start().get().is_multiple_of(demand.align)
            });
            let best = match demand.search {
                Search::BottomUp => fitting.next(),
                Search::TopDown => fitting.next_back(),
            };
            prop_assert_eq!(found, best);
        }
    }
}
