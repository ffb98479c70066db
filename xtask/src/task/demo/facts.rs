//! What is known beforehand, and what follows from it.

/// What the guest is given.
#[derive(Default)]
pub(crate) struct Facts {
    /// The release of Debian's kernel.
    pub(crate) release: String,
    /// That of the kernel that is booted beside it, if one is.
    pub(crate) peer: String,
    /// SHA-256 of the bytes that are in the window.
    pub(crate) window: String,
    /// SHA-256 of the disk.
    pub(crate) disk: String,
}

/// What sum64 and sum32 are called with.
pub(crate) const ARGUMENTS: [u64; 6] = [1, 2, 3, 4, 5, 6];

/// What sum64 and sum32 have to return.
pub(crate) fn sum(call: u64) -> u64 {
    let [a, b, c, d, e, f] = ARGUMENTS;
    a + 2 * b + 3 * c + 4 * d + 5 * e + 6 * f + 1000 * call
}

/// What the image of `underneath` has to find, in pages that it wrote itself: first the words of page number n, which are
/// (2 * 2^48 + 512n + place) times a constant, then the number of the call before in every word.
pub(crate) fn sum_underneath(pages: u64, call: u64) -> u64 {
    // One page is code; of the others, one of 512 is a table that names the other 511.
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
    fn the_sums_are_those_of_the_payloads_descriptions() {
        assert_eq!(sum(1), 1 + 4 + 9 + 16 + 25 + 36 + 1000);
        assert_eq!(sum_underneath(3, 2), 512);
        assert_eq!(sum_underneath(514, 3), 2 * 511 * 512);
    }
}
