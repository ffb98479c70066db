//! Units of pages, which are read together.

use phys::PAGE_SIZE;

use crate::format::kdump::BLOCK;
use crate::{FrameSet, PhysRead};

/// The most pages of a unit: 256 KiB, so that a CPU's cache holds them and their compressed form.
pub(super) const UNIT: usize = 64;

/// A unit of pages, for one thread.
#[derive(Default)]
pub(super) struct Unit {
    /// Number of the units before it.
    pub(super) number: u64,
    /// The numbers of its pages, in order.
    pub(super) pages: Vec<u64>,
}

/// All units of sets of pages, set by set.
pub(super) struct Units<'a> {
    sets: std::slice::Iter<'a, FrameSet>,
    pages: Option<&'a FrameSet>,
    from: u64,
    number: u64,
}

impl<'a> Units<'a> {
    pub(super) fn new(sets: &'a [FrameSet]) -> Self {
        let mut sets = sets.iter();
        Self { pages: sets.next(), sets, from: 0, number: 0 }
    }

    /// How many units there are.
    pub(super) fn count(sets: &[FrameSet]) -> u64 {
        sets.iter().map(|set| set.count().div_ceil(UNIT as u64)).sum()
    }

    /// Fills in the next unit; returns whether there was one.
    pub(super) fn next(&mut self, unit: &mut Unit) -> bool {
        while let Some(pages) = self.pages {
            pages.collect_from(self.from, UNIT, &mut unit.pages);
            if let Some(last) = unit.pages.last() {
                self.from = last + 1;
                unit.number = self.number;
                self.number += 1;
                return true;
            }
            self.pages = self.sets.next();
            self.from = 0;
        }
        unit.pages.clear();
        false
    }
}

/// Runs of consecutive pages: the index of the first in the unit, and the length.
pub(super) fn runs(pages: &[u64]) -> impl Iterator<Item = (usize, usize)> + '_ {
    let mut from = 0;
    std::iter::from_fn(move || {
        let first = *pages.get(from)?;
        let run =
            pages[from..].iter().zip(first..).take_while(|(page, expected)| **page == *expected).count();
        from += run;
        Some((from - run, run))
    })
}

/// Fills the buffer with all pages. Pages that cannot be read become zeros; `missing` is called
/// with the index in the unit and the error of each.
pub(super) fn read(
    memory: &(impl PhysRead + ?Sized),
    pages: &[u64],
    buffer: &mut [u8],
    mut missing: impl FnMut(usize, crate::Error),
) {
    for (first, count) in runs(pages) {
        let part = &mut buffer[first * BLOCK..(first + count) * BLOCK];
        if memory.read_phys(pages[first] * PAGE_SIZE, part).is_ok() {
            continue;
        }
        for (index, page) in part.chunks_exact_mut(BLOCK).enumerate() {
            if let Err(error) = memory.read_phys(pages[first + index] * PAGE_SIZE, page) {
                page.fill(0);
                missing(first + index, error);
            }
        }
    }
}

/// Whether a page has only zeros.
pub(super) fn is_zero(page: &[u8]) -> bool {
    // Most other pages have an early byte that is not zero; the steps are wide enough for vector
    // instructions.
    page.chunks(128).all(|part| part.iter().fold(0, |all, byte| all | byte) == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_full_except_the_last_of_each_set() {
        let (mut first, mut second) = (FrameSet::new(), FrameSet::new());
        first.insert(40_000, 40_300);
        second.insert(10, 300);
        second.insert(40_300, 40_301);
        let sets = [first, FrameSet::new(), second];
        let (mut units, mut unit, mut seen, mut count) =
            (Units::new(&sets), Unit::default(), Vec::<u64>::new(), 0);
        while units.next(&mut unit) {
            assert_eq!(unit.number, count);
            assert!(unit.pages.len() <= UNIT);
            count += 1;
            seen.extend(&unit.pages);
        }
        assert!(seen.into_iter().eq((40_000..40_300).chain(10..300).chain([40_300])));
        assert_eq!((count, unit.pages.len()), (Units::count(&sets), 0));
    }

    #[test]
    fn runs_end_where_a_page_is_left_out() {
        assert!(runs(&[3, 4, 5, 9, 11, 12]).eq([(0, 3), (3, 1), (4, 2)]));
    }

    #[test]
    fn a_single_bit_makes_a_page_not_zero() {
        let mut page = [0; BLOCK];
        assert!(is_zero(&page));
        for at in [0, 127, 128, BLOCK - 1] {
            page[at] = 1;
            assert!(!is_zero(&page));
            page[at] = 0;
        }
    }
}
