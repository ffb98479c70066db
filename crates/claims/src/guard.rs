//! Where the CPU that guards an image starts.

use phys::{Pfn, RangeSet};

/// Above are firmware's data and adapters' memory.
const REAL_MODE_END: u64 = 0xa0000;

/// The highest page of RAM that a CPU in real mode can start in.
#[must_use]
pub fn start_page(ram: RangeSet<'_>) -> Option<Pfn> {
    let low = ram.ranges().iter().take_while(|range| range.end() <= REAL_MODE_END).last()?;
    Pfn::new(low.end_number() - 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use phys::PhysRange;

    fn page_of(ranges: &mut [(u64, u64)]) -> Option<u64> {
        let mut ranges = [0, 1].map(|n| {
            let (start, end) = ranges[n];
            PhysRange::from_bytes(start, end - start).unwrap()
        });
        start_page(RangeSet::sort(&mut ranges)).map(|page| page.address().get())
    }

    #[test]
    fn the_highest_page_of_conventional_memory_is_used() {
        assert_eq!(page_of(&mut [(0x1000, 0x9f000), (0x10_0000, 0x20_0000)]), Some(0x9e000));
        assert_eq!(page_of(&mut [(0x1000, 0x8_0000), (0x9_0000, 0xa_0000)]), Some(0x9f000));
    }

    #[test]
    fn without_conventional_memory_there_is_none() {
        assert_eq!(page_of(&mut [(0x10_0000, 0x20_0000), (0x40_0000, 0x50_0000)]), None);
        assert_eq!(start_page(RangeSet::EMPTY), None);
    }
}
