//! The duration of each phase of one call.

use abi::device::Ticks;
use serde::Serialize;

use crate::terminal::quantity;

/// Microseconds of each phase of a call, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Phases {
    /// Stopping the system.
    quiesce: f64,
    /// Entering the image.
    enter: f64,
    /// Running the image.
    pub(crate) run: f64,
    /// Leaving the image.
    leave: f64,
    /// Resuming the system.
    resume: f64,
}

impl Phases {
    /// `None` if the frequency of the time stamp counter, in kHz, is not known.
    pub(crate) fn of(ticks: &Ticks, tsc_khz: u64) -> Option<Self> {
        let time = |ticks| quantity::ticks_in_microseconds(ticks, tsc_khz);
        Some(Self {
            quiesce: time(ticks.quiesce)?,
            enter: time(ticks.enter)?,
            run: time(ticks.run)?,
            leave: time(ticks.leave)?,
            resume: time(ticks.resume)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phases_are_known_if_the_frequency_is() {
        let ticks = Ticks { quiesce: 1000, enter: 2000, run: 3000, leave: 4000, resume: 5000, exchange: 9 };
        let phases = Phases { quiesce: 0.5, enter: 1.0, run: 1.5, leave: 2.0, resume: 2.5 };
        assert_eq!(Phases::of(&ticks, 2_000_000), Some(phases));
        assert_eq!(Phases::of(&ticks, 0), None);
    }
}
