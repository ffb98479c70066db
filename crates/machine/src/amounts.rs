//! `/proc/meminfo`: the amounts of memory.

use std::path::Path;

use crate::root::Root;
use crate::{Fact, Garbled};

/// Amounts of memory, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Amounts {
    /// All memory that the kernel manages.
    pub total: u64,
    /// Unused memory.
    pub free: u64,
    /// Memory that can be allocated without swapping.
    pub available: u64,
    /// Unused swap space.
    pub swap: u64,
}

impl Amounts {
    /// Memory that can be had before the kernel ends processes to free some.
    #[must_use]
    pub const fn room(&self) -> u64 {
        self.available.saturating_add(self.swap)
    }
}

/// The amounts of memory of this moment.
///
/// # Errors
/// The file is missing, as where `/proc` is not mounted, or cannot be parsed.
pub fn now(root: &Path) -> Fact<Amounts> {
    Root::new(root).parse("/proc/meminfo", parse)
}

/// Parses `/proc/meminfo`.
///
/// # Errors
/// [`Garbled`] if an amount is missing or is not a number of kB. Without an amount of swap space,
/// there is none.
pub fn parse(text: &str) -> Result<Amounts, Garbled> {
    let amount = |name| {
        let mut lines = text.lines().zip(1..);
        let found =
            lines.find_map(|(line, number)| Some((line.strip_prefix(name)?.strip_prefix(':')?, number)));
        let (value, line) = found.unwrap_or(("", text.lines().count()));
        parse_amount(value).ok_or(Garbled { line, wanted: "an amount of memory in kB" })
    };
    Ok(Amounts {
        total: amount("MemTotal")?,
        free: amount("MemFree")?,
        available: amount("MemAvailable")?,
        swap: if text.contains("\nSwapFree:") { amount("SwapFree")? } else { 0 },
    })
}

fn parse_amount(value: &str) -> Option<u64> {
    value.trim().strip_suffix(" kB")?.parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_bytes() {
        let text = "MemTotal:        1000 kB\nMemFree:          20 kB\nMemAvailable:     30 kB\n";
        assert_eq!(parse(text), Ok(Amounts { total: 1_024_000, free: 20_480, available: 30_720, swap: 0 }));
        let amounts = parse(&format!("{text}SwapFree: 5 kB\n")).unwrap();
        assert_eq!((amounts.swap, amounts.room()), (5_120, 35_840));
    }

    #[test]
    fn an_amount_that_is_missing_or_monstrous_is_garbled() {
        parse("MemTotal: 1 kB\nMemFree: 1 kB\n").unwrap_err();
        let monstrous = "MemTotal: 18446744073709551615 kB\nMemFree: 1 kB\nMemAvailable: 1 kB\n";
        assert_eq!(parse(monstrous).unwrap_err().line, 1);
        parse("MemTotal: 1 MB\nMemFree: 1 kB\nMemAvailable: 1 kB\n").unwrap_err();
    }
}
