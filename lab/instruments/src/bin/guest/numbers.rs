//! Numbers on the command line, and pseudo-random numbers.

use anyhow::{Context as _, Result};

/// The argument at this position as a number: decimal, or hexadecimal with 0x.
pub(crate) fn argument(arguments: &[String], place: usize, name: &str) -> Result<u64> {
    let word = arguments.get(place).with_context(|| format!("{name} is missing"))?;
    let number = match word.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => word.parse(),
    };
    number.with_context(|| format!("{name} is {word}"))
}

/// SplitMix64 (Steele, Lea and Flood 2014).
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }
}
