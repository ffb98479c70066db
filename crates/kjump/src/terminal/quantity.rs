//! Amounts as people read them.

/// Bytes with at most three digits and a unit, as in `632 KiB`, `1.5 GiB`.
pub(crate) fn bytes(amount: u64) -> String {
    const UNITS: [&str; 7] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let mut unit = 0;
    let mut whole = amount;
    let mut rest = 0;
    while whole >= 1024 {
        rest = whole % 1024;
        whole /= 1024;
        unit += 1;
    }
    let tenths = rest * 10 / 1024;
    let unit = UNITS.get(unit).unwrap_or(&"");
    if whole < 10 && tenths > 0 { format!("{whole}.{tenths} {unit}") } else { format!("{whole} {unit}") }
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

/// How long ago something was, roughly.
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
    #[expect(clippy::cast_precision_loss, reason = "53 bits of ticks are a month; nobody reads more digits")]
    let (ticks, khz) = (ticks as f64, khz as f64);
    (khz > 0.0).then(|| ticks * 1e3 / khz)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_the_largest_unit_that_leaves_a_digit() {
        for (amount, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (4096, "4 KiB"),
            (1536 << 20, "1.5 GiB"),
            (0x9f000, "636 KiB"),
            (u64::MAX, "15 EiB"),
            ((10 << 20) + (512 << 10), "10 MiB"),
        ] {
            assert_eq!(bytes(amount), text);
        }
    }

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
    fn only_one_is_singular() {
        assert_eq!((count(1, "page"), count(0, "page")), ("1 page".into(), "0 pages".into()));
    }
}
