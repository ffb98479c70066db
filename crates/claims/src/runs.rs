//! Slots joined to runs, as a caller gets them.

use phys::Pfn;

/// Neighbouring destinations whose sources are neighbours too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// The first destination.
    pub destination: Pfn,
    /// Its source.
    pub source: Pfn,
    /// The number of slots.
    pub pages: u64,
}

/// Joins slots, in the order in which they are added.
#[derive(Default)]
pub struct Runs {
    last: Option<Run>,
}

impl Runs {
    /// Adds a slot. Returns the run before it, if the slot does not continue it.
    pub fn add(&mut self, destination: Pfn, source: Pfn) -> Option<Run> {
        if let Some(run) = &mut self.last
            && run.destination.checked_add(run.pages) == Some(destination)
            && run.source.checked_add(run.pages) == Some(source)
        {
            run.pages += 1;
            return None;
        }
        self.last.replace(Run { destination, source, pages: 1 })
    }

    /// Returns the last run.
    pub fn end(&mut self) -> Option<Run> {
        self.last.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    extern crate std;

    fn joined(slots: &[(u64, u64)]) -> Vec<Run> {
        let frame = |number| Pfn::new(number).unwrap();
        let mut runs = Runs::default();
        let mut all: Vec<Run> = slots
            .iter()
            .filter_map(|&(destination, source)| runs.add(frame(destination), frame(source)))
            .collect();
        all.extend(runs.end());
        assert_eq!(runs.end(), None);
        all
    }

    #[test]
    fn a_run_needs_neighbours_on_both_sides() {
        let lengths = |slots| joined(slots).iter().map(|run| run.pages).collect::<Vec<_>>();
        assert_eq!(lengths(&[(1, 11), (2, 12), (3, 13)]), [3]);
        assert_eq!(lengths(&[(1, 11), (2, 13), (3, 14)]), [1, 2]);
        assert_eq!(lengths(&[(1, 11), (3, 12)]), [1, 1]);
        assert_eq!(lengths(&[(2, 12), (1, 11)]), [1, 1]);
        assert_eq!(lengths(&[]), []);
    }

    #[test]
    fn a_run_ends_at_the_end_of_the_address_space() {
        let last = phys::FRAME_END - 1;
        assert_eq!(joined(&[(last, last), (0, 0)]).len(), 2);
    }

    proptest! {
        #[test]
        #[cfg_attr(miri, ignore = "too many cases for it")]
        fn runs_hold_the_slots_in_order_and_are_as_long_as_can_be(
            steps in prop::collection::vec((1_u64..3, 1_u64..3), 0..40),
        ) {
            let slots: Vec<_> = steps
                .iter()
                .scan((0, 100), |at, step| {
                    *at = (at.0 + step.0, at.1 + step.1);
                    Some(*at)
                })
                .collect();
            let runs = joined(&slots);
            let pages = |run: &Run| {
                let (to, from) = (run.destination.number(), run.source.number());
                (0..run.pages).map(move |page| (to + page, from + page))
            };
            prop_assert_eq!(runs.iter().flat_map(pages).collect::<Vec<_>>(), slots);
            for pair in runs.windows(2) {
                let continued = |a: Pfn, b: Pfn| a.number() + pair[0].pages == b.number();
                let both = continued(pair[0].destination, pair[1].destination)
                    && continued(pair[0].source, pair[1].source);
                prop_assert!(!both);
            }
        }
    }
}
