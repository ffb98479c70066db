//! The window of memory that an image may use in addition to its own: saved around each call, zero
//! at first.

use std::borrow::Cow;

use abi::page_list::PAGE_SIZE;
use kernel_file::Segment;
use phys::PhysRange;

/// Segments without bytes for the System RAM of the window that no segment covers. `covered` is
/// sorted and does not overlap.
pub(super) fn backup(
    ram: &[PhysRange],
    covered: &[Segment<'_>],
    (min, max): (u64, u64),
) -> Vec<Segment<'static>> {
    let Some(first) = min.checked_next_multiple_of(PAGE_SIZE) else { return Vec::new() };
    let end_of_window = max.saturating_add(1);
    let end_of_window = end_of_window - end_of_window % PAGE_SIZE;
    let mut segments = Vec::new();
    for range in ram {
        let (start, end) = (range.start().get().max(first), range.end().min(end_of_window));
        let mut free = start;
        for segment in covered.iter().filter(|segment| segment.end() > start && segment.address < end) {
            segments.extend(zeros(free, segment.address));
            free = free.max(segment.end());
        }
        segments.extend(zeros(free, end));
    }
    segments
}

fn zeros(start: u64, end: u64) -> Option<Segment<'static>> {
    let size = end.checked_sub(start).filter(|&size| size > 0)?;
    Some(Segment { name: "window".into(), address: start, size, bytes: Cow::Borrowed(&[]) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ram(start: u64, end: u64) -> PhysRange {
        PhysRange::from_bytes(start, end - start).unwrap()
    }

    fn segment(address: u64, end: u64) -> Segment<'static> {
        Segment { name: "file".into(), address, size: end - address, bytes: Cow::Borrowed(&[]) }
    }

    fn ranges(segments: &[Segment<'_>]) -> Vec<(u64, u64)> {
        segments.iter().map(|segment| (segment.address, segment.end())).collect()
    }

    #[test]
    fn ram_in_the_window_is_covered_around_the_file() {
        let ram = [ram(0x1000, 0x9f000), ram(0x10_0000, 0x80_0000)];
        let covered = [segment(0x10_0000, 0x10_2000), segment(0x20_0000, 0x20_1000)];
        assert_eq!(
            ranges(&backup(&ram, &covered, (0x9_0800, 0x2f_ffff))),
            [(0x9_1000, 0x9_f000), (0x10_2000, 0x20_0000), (0x20_1000, 0x30_0000)]
        );
    }

    #[test]
    fn a_window_without_a_whole_page_of_ram_adds_nothing() {
        let ram = [ram(0x1000, 0x9000)];
        for window in [(0x1001, 0x1fff), (0x9000, u64::MAX), (u64::MAX, u64::MAX), (0, 0xffe)] {
            assert_eq!(backup(&ram, &[], window), [], "{window:x?}");
        }
        assert_eq!(ranges(&backup(&ram, &[], (0, u64::MAX))), [(0x1000, 0x9000)]);
    }

    proptest! {
        #[test]
        fn every_page_of_ram_in_the_window_is_covered_once(
            window in (0_u64..0x30_000, 0_u64..0x30_000),
            cuts in prop::collection::btree_set(0_u64..0x30, 0..12),
        ) {
            let ram = [ram(0x2000, 0xa000), ram(0x10_000, 0x28_000)];
            let cuts: Vec<u64> = cuts.into_iter().map(|page| page * PAGE_SIZE).collect();
            let pairs = cuts.chunks_exact(2);
            let covered: Vec<Segment<'_>> = pairs.map(|pair| segment(pair[0], pair[1])).collect();
            let backup = backup(&ram, &covered, window);
            let holds = |segments: &[Segment<'_>], page: u64| {
                segments.iter().filter(|it| it.address <= page && page < it.end()).count()
            };
            for page in (0..0x30_000).step_by(0x1000) {
                let in_window = window.0 <= page && page + 0xfff <= window.1;
                let in_ram = ram.iter().any(|it| it.start().get() <= page && page < it.end());
                let wanted = usize::from(in_window && in_ram && holds(&covered, page) == 0);
                prop_assert_eq!(holds(&backup, page), wanted);
            }
        }
    }
}
