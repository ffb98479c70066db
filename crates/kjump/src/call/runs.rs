use serde::Serialize;

/// Results in the order of their calls, as runs that each rise by a step, which may be 0 or
/// negative.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Runs {
    runs: Vec<Run>,
}

/// Results of successive calls that rise by a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Run {
    /// The first call, counted from 1.
    pub(super) first_call: u64,
    /// The number of calls.
    pub(super) calls: u64,
    /// The result of the first.
    pub(super) value: u64,
    /// The difference of each result from the previous one, modulo 2^64.
    pub(super) step: i64,
}

impl Run {
    /// The result of the last call.
    pub(super) const fn last_value(&self) -> u64 {
        let steps = self.calls.wrapping_sub(1);
        self.value.wrapping_add(steps.wrapping_mul(self.step.cast_unsigned()))
    }

    /// The last call, counted from 1.
    pub(super) const fn last_call(&self) -> u64 {
        self.first_call + (self.calls - 1)
    }
}

impl Runs {
    pub(super) fn all(&self) -> &[Run] {
        &self.runs
    }

    /// Adds the result of one more call.
    pub(super) fn push(&mut self, value: u64) {
        let single = |first_call| Run { first_call, calls: 1, value, step: 0 };
        let Some(last) = self.runs.last_mut() else { return self.runs.push(single(1)) };
        let step = value.wrapping_sub(last.last_value()).cast_signed();
        let next_call = last.last_call() + 1;
        match last.calls {
            1 => (last.calls, last.step) = (2, step),
            _ if step == last.step => last.calls += 1,
            2 => {
                // Two numbers do not make a run yet: the second may belong with the third.
                let second = last.last_value();
                (last.calls, last.step) = (1, 0);
                self.runs.push(Run { first_call: next_call - 1, calls: 2, value: second, step });
            }
            _ => self.runs.push(single(next_call)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn runs(values: &[u64]) -> Runs {
        let mut runs = Runs::default();
        values.iter().for_each(|&value| runs.push(value));
        runs
    }

    fn shapes(values: &[u64]) -> Vec<(u64, u64, u64, i64)> {
        runs(values).all().iter().map(|run| (run.first_call, run.calls, run.value, run.step)).collect()
    }

    #[test]
    fn a_counter_is_one_run() {
        assert_eq!(shapes(&[1, 2, 3, 4]), [(1, 4, 1, 1)]);
        assert_eq!(shapes(&[7, 7, 7]), [(1, 3, 7, 0)]);
        assert_eq!(shapes(&[1, 0, u64::MAX]), [(1, 3, 1, -1)]);
        assert_eq!(shapes(&[]), []);
    }

    #[test]
    fn one_wrong_result_stands_out() {
        assert_eq!(shapes(&[7, 7, 7, 8, 7, 7, 7]), [(1, 3, 7, 0), (4, 1, 8, 0), (5, 3, 7, 0)]);
    }

    proptest! {
        #[test]
        fn runs_hold_every_result_in_order(
            values in prop::collection::vec(prop_oneof![0_u64..4, any::<u64>()], 0..50),
        ) {
            let runs = runs(&values);
            let mut back = Vec::new();
            for run in runs.all() {
                prop_assert_eq!(run.first_call, back.len() as u64 + 1);
                let step = run.step.cast_unsigned();
                back.extend((0..run.calls).map(|call| run.value.wrapping_add(call.wrapping_mul(step))));
                prop_assert_eq!(back.last().copied(), Some(run.last_value()));
            }
            prop_assert_eq!(back, values);
        }
    }
}
