//! Quantities in the form people read them.

/// Bytes in the largest unit of which there is at least one, as in `632 KiB`, `1.5 GiB`.
pub(crate) fn bytes(amount: u64) -> String {
    plan::Amount(amount).to_string()
}

/// A number of pages in bytes.
pub(crate) const fn page_bytes(pages: u64) -> u64 {
    pages.saturating_mul(abi::page_list::PAGE_SIZE)
}

/// A count with its noun, which takes an s.
pub(crate) fn count(number: u64, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

/// Time with three digits and a unit, as in `1.25 ms`.
pub(crate) fn microseconds(time: f64) -> String {
    match time {
        time if time >= 1e6 => format!("{} s", three_digits(time / 1e6)),
        time if time >= 1e3 => format!("{} ms", three_digits(time / 1e3)),
        time => format!("{} us", three_digits(time)),
    }
}

fn three_digits(number: f64) -> String {
    match number {
        number if number >= 100.0 => format!("{number:.0}"),
        number if number >= 10.0 => format!("{number:.1}"),
        number => format!("{number:.2}"),
    }
}

/// A time in seconds since 1970, as a date in UTC.
pub(crate) fn date(seconds: u64) -> String {
    let (days, time) = (seconds / 86_400, seconds % 86_400);
    // Years that start in March end with the day that a leap year adds; 400 years are a cycle.
    let days = days + 719_468;
    let (cycle, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    let year = year + cycle * 400 + next;
    let (hour, minute, second) = (time / 3600, time / 60 % 60, time % 60);
    format!("{year}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
}

/// A time ago, rounded to a readable unit.
pub(crate) fn ago(nanoseconds: u64) -> String {
    match nanoseconds / 1_000_000_000 {
        seconds @ 0..120 => format!("{seconds} s ago"),
        seconds @ 120..7200 => format!("{} min ago", seconds / 60),
        seconds @ 7200..172_800 => format!("{} h ago", seconds / 3600),
        seconds => format!("{} days ago", seconds / 86_400),
    }
}

/// Time stamp counter ticks in microseconds, or `None` if the counter's frequency is not known.
pub(crate) fn ticks_in_microseconds(ticks: u64, khz: u64) -> Option<f64> {
    #[expect(clippy::cast_precision_loss, reason = "53 bits of ticks are a month; more digits are of no use")]
    let (ticks, khz) = (ticks as f64, khz as f64);
    (khz > 0.0).then(|| ticks * 1e3 / khz)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_three_digits() {
        assert_eq!(microseconds(0.0), "0.00 us");
        assert_eq!(microseconds(12.34), "12.3 us");
        assert_eq!(microseconds(1250.0), "1.25 ms");
        assert_eq!(microseconds(190_900_000.0), "191 s");
        assert_eq!(ticks_in_microseconds(5000, 2_500_000), Some(2.0));
        assert_eq!(ticks_in_microseconds(5000, 0), None);
    }

    #[test]
    fn dates_are_in_utc() {
        for (seconds, expected) in [
            (0, "1970-01-01 00:00:00 UTC"),
            (951_782_399, "2000-02-28 23:59:59 UTC"),
            (951_782_400, "2000-02-29 00:00:00 UTC"),
            (951_868_800, "2000-03-01 00:00:00 UTC"),
            (1_795_719_273, "2026-11-26 18:54:33 UTC"),
            (4_107_542_400, "2100-03-01 00:00:00 UTC"),
        ] {
            assert_eq!(date(seconds), expected);
        }
        // A damaged header may hold anything.
        assert!(date(u64::MAX).ends_with(" UTC"));
    }

    #[test]
    fn only_one_is_singular() {
        assert_eq!((count(1, "page"), count(0, "page")), ("1 page".into(), "0 pages".into()));
    }
}
