//! Which memory is tested, and where the image that tests it lies.

use abi::device::Range;
use anyhow::bail;
use machine::iomem::Resource;

/// Bytes of a page.
pub(super) const PAGE: u64 = 4096;
/// Below this, ranges may lie outside of System RAM.
const LOW_MEMORY: u64 = 1 << 20;
/// Most places for the image that are tried.
const MOST: usize = 16;

/// Whole pages from the first address to the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Span {
    pub(super) first: u64,
    pub(super) end: u64,
}

/// System RAM in whole pages.
pub(super) fn ram(resources: &[Resource]) -> Vec<Span> {
    let ram = resources.iter().filter(|resource| resource.is_system_ram());
    ram.filter_map(|ram| {
        let first = ram.first.checked_next_multiple_of(PAGE)?;
        let end = ram.last.checked_add(1)? / PAGE * PAGE;
        (first < end).then_some(Span { first, end })
    })
    .collect()
}

/// The ranges that were given, in rising order, which must be memory.
pub(super) fn given(ranges: &[Range], ram: &[Span]) -> anyhow::Result<Vec<Span>> {
    let mut spans: Vec<Span> =
        ranges.iter().map(|range| Span { first: range.start, end: range.end }).collect();
    spans.sort_unstable();
    for span in &spans {
        let is_ram = ram.iter().any(|ram| ram.first <= span.first && span.end <= ram.end);
        if !is_ram && (span.end > LOW_MEMORY || span.first < PAGE) {
            bail!(
                "--range {:#x}-{:#x} is not System RAM; `kjump map` shows where that is",
                span.first,
                span.end
            );
        }
    }
    if let Some(pair) = spans.windows(2).find(|pair| pair[1].first < pair[0].end) {
        bail!("--range {:#x}-{:#x} overlaps another", pair[1].first, pair[1].end);
    }
    Ok(spans)
}

/// Pages of spans.
pub(super) fn pages(spans: &[Span]) -> u64 {
    spans.iter().map(|span| (span.end - span.first) / PAGE).sum()
}

/// Spans of neighbouring pages, which are sorted.
pub(super) fn of_pages(pages: &mut Vec<u64>) -> Vec<Span> {
    pages.sort_unstable();
    pages.dedup();
    let mut spans: Vec<Span> = Vec::new();
    for &page in pages.iter() {
        match spans.last_mut() {
            Some(last) if last.end == page => last.end += PAGE,
            _ => spans.push(Span { first: page, end: page + PAGE }),
        }
    }
    spans
}

/// Addresses for an image of this size, spread over System RAM, apart from the kernel and from
/// these spans.
pub(super) fn places(resources: &[Resource], bytes: u64, apart: &[Span]) -> Vec<u64> {
    let kernel = resources.iter().filter(|resource| resource.name.starts_with("Kernel "));
    let kernel = kernel.map(|part| Span { first: part.first, end: part.last.saturating_add(1) });
    let taken: Vec<Span> = kernel.chain(apart.iter().copied()).collect();
    let is_free = |at: u64| !taken.iter().any(|span| span.first < at + bytes && at < span.end);
    let step = 1 << 20;
    let ram = ram(resources).into_iter().filter(|ram| ram.end > LOW_MEMORY);
    let all = ram.flat_map(|ram| {
        let first = ram.first.max(2 * LOW_MEMORY).next_multiple_of(step);
        (first..ram.end).step_by(1 << 20).take_while(move |at| at + bytes <= ram.end)
    });
    let free: Vec<u64> = all.filter(|&at| is_free(at)).collect();
    let step = free.len().div_ceil(MOST).max(1);
    free.into_iter().step_by(step).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map() -> Vec<Resource> {
        let resource = |first, last, name: &str| Resource { first, last, depth: 0, name: name.into() };
        vec![
            resource(0x1000, 0x9_fbff, "System RAM"),
            resource(0xf_0000, 0xf_ffff, "System ROM"),
            resource(0x10_0000, 0x1fff_ffff, "System RAM"),
            resource(0x100_0000, 0x1ff_ffff, "Kernel code"),
        ]
    }

    #[test]
    fn ram_is_tested_in_whole_pages() {
        let spans = ram(&map());
        assert_eq!(
            spans,
            [Span { first: 0x1000, end: 0x9_f000 }, Span { first: 0x10_0000, end: 0x2000_0000 }]
        );
        assert_eq!(pages(&spans), 0x9e + 0x1ff00);
    }

    #[test]
    fn a_range_is_ram_or_low_memory() {
        let ram = ram(&map());
        let given = |start, end| given(&[Range { start, end }], &ram);
        assert_eq!(given(0xf_0000, 0xf_2000).unwrap(), [Span { first: 0xf_0000, end: 0xf_2000 }]);
        given(0x20_0000, 0x30_0000).unwrap();
        for (start, end) in [(0x1fff_f000, 0x2000_1000), (0xfee0_0000, 0xfee0_1000), (0, 0x1000)] {
            assert!(given(start, end).unwrap_err().to_string().contains("not System RAM"));
        }
        let two = [Range { start: 0x20_0000, end: 0x30_0000 }, Range { start: 0x2f_f000, end: 0x31_0000 }];
        assert!(super::given(&two, &ram).unwrap_err().to_string().contains("overlaps"));
    }

    #[test]
    fn pages_that_were_left_out_are_joined() {
        let spans = of_pages(&mut vec![0x5000, 0x3000, 0x4000, 0x8000, 0x3000]);
        assert_eq!(spans, [Span { first: 0x3000, end: 0x6000 }, Span { first: 0x8000, end: 0x9000 }]);
    }

    #[test]
    fn the_image_lies_apart_from_the_kernel_and_from_what_it_tests() {
        let apart = [Span { first: 0x300_0000, end: 0x301_0000 }];
        let places = places(&map(), 0xb000, &apart);
        assert!(places.len() > 10);
        assert!(places.iter().all(|at| !(0xff_6000..0x200_0000).contains(at) && *at != 0x300_0000));
    }
}
