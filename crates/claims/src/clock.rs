//! Which rate of the time stamp counter is used, and whether the counter kept running during a
//! call.

/// Measurements that are taken at most.
const MEASUREMENTS: u32 = 3;

/// Whether the counter's rate has to be measured, after `done` measurements of which the last gave
/// `measured` kHz.
///
/// The kernel may have calibrated the counter while the machine was busy (an emulated machine often
/// is), so its number can be far off, and so can a single measurement. The kernel's clock is not:
/// it does not use the counter then. Without a rate of the kernel's (0) the counter is not usable.
#[must_use]
pub const fn measure_again(kernel_khz: u64, measured: u64, done: u32) -> bool {
    kernel_khz != 0 && done < MEASUREMENTS && (done == 0 || !agree(kernel_khz, measured))
}

/// The rate to use after the last measurement: the kernel's if a measurement confirmed it. 0 if the
/// counter is not usable.
#[must_use]
pub const fn rate(kernel_khz: u64, measured: u64) -> u64 {
    if kernel_khz == 0 || agree(kernel_khz, measured) { kernel_khz } else { measured }
}

/// Within 2 %.
const fn agree(kernel_khz: u64, measured: u64) -> bool {
    kernel_khz.abs_diff(measured) <= kernel_khz / 50
}

/// Whether the counter kept running while the wall clock advanced by `wall_seconds`: it may differ
/// by what two readings of a clock that counts whole seconds lose by rounding.
#[must_use]
pub const fn kept_running(wall_seconds: i64, ticks: u64, khz: u64) -> bool {
    const ROUNDING: u64 = 2;
    let Some(milliseconds) = ticks.checked_div(khz) else {
        return false;
    };
    wall_seconds.abs_diff((milliseconds / 1000).cast_signed()) <= ROUNDING
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rate after these measurements, and how many of them were taken.
    fn decide(kernel: u64, results: &[u64]) -> (u64, u32) {
        let (mut measured, mut done) = (0, 0);
        while measure_again(kernel, measured, done) {
            measured = results[done as usize];
            done += 1;
        }
        (rate(kernel, measured), done)
    }

    #[test]
    fn a_confirmed_rate_is_used_at_once() {
        assert_eq!(decide(3_000_000, &[3_059_000]), (3_000_000, 1));
        assert_eq!(decide(3_000_000, &[2_940_000]), (3_000_000, 1));
    }

    #[test]
    fn a_later_measurement_can_confirm_the_rate() {
        assert_eq!(decide(3_000_000, &[3_060_001, 9, 3_000_001]), (3_000_000, 3));
    }

    #[test]
    fn a_rate_that_is_never_confirmed_is_replaced_by_the_last_measurement() {
        assert_eq!(decide(6_000_000, &[1, 2, 3_000_000]), (3_000_000, 3));
    }

    #[test]
    fn without_a_rate_of_the_kernels_nothing_is_measured() {
        assert_eq!(decide(0, &[]), (0, 0));
    }

    #[test]
    fn a_counter_that_stopped_is_recognised() {
        let khz = 2_000_000;
        assert!(kept_running(10, 10 * 1000 * khz, khz));
        assert!(kept_running(12, 10 * 1000 * khz, khz));
        assert!(!kept_running(13, 10 * 1000 * khz, khz));
        assert!(!kept_running(3600, 0, khz));
    }

    #[test]
    fn a_wall_clock_that_was_set_back_is_not_trusted() {
        assert!(!kept_running(-3, 0, 1));
        assert!(!kept_running(i64::MIN, u64::MAX, 1));
        assert!(!kept_running(i64::MAX, u64::MAX, u64::MAX));
    }

    #[test]
    fn a_counter_of_unknown_rate_is_not_used() {
        assert!(!kept_running(0, 0, 0));
    }
}
