//! Facts known in advance, and the results that follow from them.

/// The inputs of the guest.
#[derive(Default)]
pub(crate) struct Facts {
    /// The release of the kernel.
    pub(crate) release: String,
    /// The release of the peer, if there is one.
    pub(crate) peer: String,
    /// SHA-256 of the bytes in the window.
    pub(crate) window: String,
    /// SHA-256 of the disk.
    pub(crate) disk: String,
}

/// The arguments of sum64 and sum32.
pub(crate) const ARGUMENTS: [u64; 6] = [1, 2, 3, 4, 5, 6];

/// The expected result of sum64 and sum32.
pub(crate) fn sum(call: u64) -> u64 {
    let [a, b, c, d, e, f] = ARGUMENTS;
    a + 2 * b + 3 * c + 4 * d + 5 * e + 6 * f + 1000 * call
}

/// The sum that the image of `underneath` must find in pages that it wrote itself. At first, word i
/// of page n is (2 * 2^48 + 512n + i) times a constant. Later, every word is the number of the
/// previous call.
pub(crate) fn sum_underneath(pages: u64, call: u64) -> u64 {
    // One page is code. Of the others, one in 512 is a table with the addresses of the other 511.
    let first = 1 + (pages - 1).div_ceil(512);
    let words = (pages - first) * 512;
    if call > 1 {
        return words.wrapping_mul(call - 1);
    }
    let word = |number: u64| (2 << 48 | number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (first * 512..pages * 512).map(word).fold(0, u64::wrapping_add)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sums_are_those_that_the_payloads_document() {
        assert_eq!(sum(1), 1 + 4 + 9 + 16 + 25 + 36 + 1000);
        assert_eq!(sum_underneath(3, 2), 512);
        assert_eq!(sum_underneath(514, 3), 2 * 511 * 512);
    }
}
