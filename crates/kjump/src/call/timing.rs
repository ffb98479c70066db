//! The time that calls took, by phase.

use std::time::Duration;

use abi::device::Ticks;
use serde::Serialize;

use crate::terminal::quantity;

/// The time of one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sample {
    pub(super) ticks: Ticks,
    /// From the program and back, by the monotonic clock.
    pub(super) elapsed: Duration,
}

/// A phase of the ticks.
type OfTicks = fn(&Ticks) -> u64;

/// The phases of a call in their order, and their ticks.
const PHASES: [(&str, OfTicks); 7] = [
    ("quiesce", |ticks| ticks.quiesce),
    ("enter", |ticks| ticks.enter),
    ("run", |ticks| ticks.run),
    ("leave", |ticks| ticks.leave),
    ("resume", |ticks| ticks.resume),
    ("exchange", |ticks| ticks.exchange),
    ("all", |ticks| {
        let phases = [ticks.quiesce, ticks.enter, ticks.run, ticks.leave, ticks.resume];
        phases.into_iter().fold(0, u64::saturating_add)
    }),
];

/// Minimum, median and maximum of some numbers.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Spread<T> {
    pub(super) min: T,
    pub(super) median: T,
    pub(super) max: T,
}

impl<T> Spread<T> {
    fn map<U>(self, change: impl Fn(T) -> U) -> Spread<U> {
        Spread { min: change(self.min), median: change(self.median), max: change(self.max) }
    }
}

/// The time that all calls took in one phase.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Phase {
    pub(super) name: &'static str,
    pub(super) ticks: Spread<u64>,
    /// `None` if the frequency of the time stamp counter is not known.
    pub(super) microseconds: Option<Spread<f64>>,
}

/// The time that calls took.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Timing {
    pub(super) tsc_khz: u64,
    pub(super) phases: Vec<Phase>,
    /// From the program and back; `None` if the system was suspended, because the program's clock
    /// then stands still.
    pub(super) ioctl_microseconds: Option<Spread<f64>>,
}

impl Timing {
    /// The time of some calls; `None` if there were none.
    pub(super) fn of(samples: &[Sample], tsc_khz: u64, suspended: bool) -> Option<Self> {
        let phase = |(name, of): (&'static str, OfTicks)| {
            let ticks = spread(samples.iter().map(|sample| of(&sample.ticks)).collect())?;
            let known = tsc_khz > 0;
            let microseconds = known
                .then(|| ticks.map(|ticks| quantity::ticks_in_microseconds(ticks, tsc_khz).unwrap_or(0.0)));
            Some(Phase { name, ticks, microseconds })
        };
        Some(Self {
            tsc_khz,
            phases: PHASES.into_iter().map(phase).collect::<Option<_>>()?,
            ioctl_microseconds: spread(samples.iter().map(|sample| sample.elapsed).collect())
                .filter(|_| !suspended)
                .map(|elapsed| elapsed.map(|elapsed| elapsed.as_secs_f64() * 1e6)),
        })
    }
}

/// The spread of at least one number. The median of an even count is the lower of the two in the
/// middle.
fn spread<T: Copy + Ord>(mut numbers: Vec<T>) -> Option<Spread<T>> {
    numbers.sort_unstable();
    let median = *numbers.get(numbers.len().checked_sub(1)? / 2)?;
    Some(Spread { min: *numbers.first()?, median, max: *numbers.last()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(run: u64, microseconds: u64) -> Sample {
        Sample { ticks: Ticks { run, ..Ticks::default() }, elapsed: Duration::from_micros(microseconds) }
    }

    #[test]
    fn the_median_is_one_of_the_numbers() {
        let all =
            |numbers: &[u64]| spread(numbers.to_vec()).map(|spread| (spread.min, spread.median, spread.max));
        assert_eq!(all(&[5]), Some((5, 5, 5)));
        assert_eq!(all(&[9, 1, 4]), Some((1, 4, 9)));
        assert_eq!(all(&[9, 1, 4, 3]), Some((1, 3, 9)));
        assert_eq!(all(&[]), None);
    }

    #[test]
    fn ticks_become_microseconds_where_the_frequency_is_known() {
        let samples = [sample(2000, 10), sample(4000, 30), sample(6000, 20)];
        let timing = Timing::of(&samples, 2_000_000, false).unwrap();
        let run = timing.phases[2];
        assert_eq!((run.name, run.ticks.median), ("run", 4000));
        assert_eq!(run.microseconds, Some(Spread { min: 1.0, median: 2.0, max: 3.0 }));
        assert_eq!(timing.ioctl_microseconds, Some(Spread { min: 10.0, median: 20.0, max: 30.0 }));
        assert_eq!(Timing::of(&samples, 0, false).unwrap().phases[2].microseconds, None);
        assert_eq!(Timing::of(&[], 1, false), None);
    }

    #[test]
    fn the_programs_clock_is_not_used_if_the_system_was_suspended() {
        assert_eq!(Timing::of(&[sample(1, 1)], 1, true).unwrap().ioctl_microseconds, None);
    }

    #[test]
    fn all_is_the_sum_of_the_phases_that_follow_each_other() {
        let ticks = Ticks { quiesce: 1, enter: 20, run: 300, leave: 4000, resume: 50_000, exchange: 7 };
        let timing = Timing::of(&[Sample { ticks, elapsed: Duration::ZERO }], 1, false).unwrap();
        let all = timing.phases.iter().find(|phase| phase.name == "all").unwrap();
        assert_eq!(all.ticks.median, 54_321);
    }
}
