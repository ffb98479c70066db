//! Prefix codes of deflate (RFC 1951, 3.2): lengths from counts, code words from lengths.

/// The bits of the longest code word of literals, lengths and distances.
pub(super) const LONGEST: u32 = 15;

/// The bits of the longest code word for lengths of code words.
pub(super) const LONGEST_OF_LENGTHS: u32 = 7;

/// A code word: its bits in the order of the stream, and their number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) bits: u16,
    pub(super) length: u8,
}

/// A code of `N` symbols. Symbols that do not occur have no code word: its length is 0.
#[derive(Clone, Debug)]
pub(super) struct Code<const N: usize>(pub(super) [Word; N]);

impl<const N: usize> Default for Code<N> {
    fn default() -> Self {
        Self([Word::default(); N])
    }
}

impl<const N: usize> Code<N> {
    /// The code that needs the fewest bits for these counts of symbols, with no code word longer
    /// than `longest`. Readers reject codes of fewer than two words, so there are at least two;
    /// `counts` is changed to have both.
    pub(super) fn of(counts: &mut [u16; N], longest: u32) -> Self {
        let mut symbols = [0_u32; N];
        let mut used = collect(counts, &mut symbols);
        if used < 2 {
            // Whichever of the first two symbols does not occur.
            for count in &mut counts[..2] {
                *count = (*count).max(1);
            }
            used = collect(counts, &mut symbols);
        }
        let symbols = &mut symbols[..used];
        symbols.sort_unstable();
        let mut depths = [0_u16; N];
        let depths = &mut depths[..used];
        let mut shift = 0;
        loop {
            for (depth, symbol) in depths.iter_mut().zip(&*symbols) {
                *depth = weight(*symbol, shift);
            }
            weights_to_depths(depths);
            // The rarest symbol has the longest word. If it is too long, all counts are made more
            // alike.
            if u32::from(depths[0]) <= longest {
                break;
            }
            shift += 1;
        }
        Self::of_lengths(symbols, depths)
    }

    /// Code words are assigned in order of length, and within one length in order of symbol.
    fn of_lengths(symbols: &[u32], depths: &[u16]) -> Self {
        let mut code = Self::default();
        let mut of_length = [0_u16; LONGEST as usize + 1];
        for (symbol, depth) in symbols.iter().zip(depths) {
            code.0[index(*symbol)].length = u8::try_from(*depth).unwrap_or(0);
            of_length[usize::from(*depth)] += 1;
        }
        let (mut next, mut first) = ([0_u16; LONGEST as usize + 1], 0_u16);
        for length in 1..next.len() {
            next[length] = first;
            first = first.wrapping_add(of_length[length]).wrapping_mul(2);
        }
        for word in &mut code.0 {
            let place = &mut next[usize::from(word.length)];
            if word.length > 0 {
                word.bits = place.reverse_bits() >> (16 - word.length);
                *place = place.wrapping_add(1);
            }
        }
        code
    }

    /// How many bits symbols with these counts take.
    pub(super) fn bits(&self, counts: &[u16; N]) -> u32 {
        self.0.iter().zip(counts).map(|(word, count)| u32::from(word.length) * u32::from(*count)).sum()
    }
}

/// The symbols that occur, each with its count in the higher bits, so that they sort by count;
/// returns their number.
fn collect<const N: usize>(counts: &[u16; N], symbols: &mut [u32; N]) -> usize {
    let mut used = 0;
    for (symbol, count) in (0_u32..).zip(counts) {
        // Always written: a branch here would be unpredictable.
        symbols[used] = u32::from(*count) << SYMBOL_BITS | symbol;
        used += usize::from(*count > 0);
    }
    used
}

/// Bits of the largest symbol, 287.
const SYMBOL_BITS: u32 = 9;

const fn index(symbol: u32) -> usize {
    (symbol & ((1 << SYMBOL_BITS) - 1)) as usize
}

/// Its count, halved `shift` times, but at least 1.
fn weight(symbol: u32, shift: u32) -> u16 {
    u16::try_from(symbol >> SYMBOL_BITS).unwrap_or(u16::MAX).checked_shr(shift).unwrap_or(0).max(1)
}

/// Replaces weights, the smallest first, by the lengths of their code words, in place (A. Moffat,
/// J. Katajainen, "In-place calculation of minimum-redundancy codes", 1995). Their sum must be
/// below 2^16, and there must be at least two.
fn weights_to_depths(nodes: &mut [u16]) {
    let count = nodes.len();
    // Pairs become nodes: each entry is a weight until it is part of a pair, then the index of its
    // parent.
    let (mut leaf, mut root) = (0, 0);
    let mut take = |nodes: &mut [u16], next: usize| {
        if leaf >= count || (root < next && nodes[root] < nodes[leaf]) {
            let weight = std::mem::replace(&mut nodes[root], u16::try_from(next).unwrap_or(0));
            root += 1;
            weight
        } else {
            leaf += 1;
            nodes[leaf - 1]
        }
    };
    for next in 0..count - 1 {
        let first = take(nodes, next);
        // The index may be that of the leaf just used.
        let second = take(nodes, next);
        nodes[next] = first.saturating_add(second);
    }
    // From the root down, indices of parents become depths.
    nodes[count - 2] = 0;
    for next in (0..count - 2).rev() {
        nodes[next] = nodes[usize::from(nodes[next])] + 1;
    }
    // Entries of each level that are not nodes are leaves; the most frequent symbols get the
    // shortest code words.
    let (mut available, mut depth, mut inner, mut leaf) = (1, 0, count - 1, count);
    while available > 0 {
        let mut used = 0;
        while inner > 0 && nodes[inner - 1] == depth {
            used += 1;
            inner -= 1;
        }
        for _ in used..available {
            leaf -= 1;
            nodes[leaf] = depth;
        }
        (available, depth) = (2 * used, depth + 1);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The share of all bit strings that start with a code word: readers require exactly all.
    fn share<const N: usize>(code: &Code<N>) -> u32 {
        code.0.iter().filter(|word| word.length > 0).map(|word| 1 << (LONGEST - u32::from(word.length))).sum()
    }

    #[test]
    fn frequent_symbols_get_short_words() {
        let mut counts = [0; 8];
        counts[..5].copy_from_slice(&[1, 1, 2, 4, 8]);
        let code = Code::of(&mut counts, LONGEST);
        let lengths = code.0.map(|word| word.length);
        assert_eq!(lengths, [4, 4, 3, 2, 1, 0, 0, 0]);
        assert_eq!(code.bits(&counts), 4 + 4 + 6 + 8 + 8);
        assert_eq!((code.0[4].bits, code.0[3].bits, code.0[0].bits, code.0[1].bits), (0, 1, 0b0111, 0b1111));
    }

    #[test]
    fn a_code_has_at_least_two_words() {
        for only in [0, 1, 5] {
            let mut counts = [0; 30];
            counts[only] = 9;
            let code = Code::of(&mut counts, LONGEST);
            assert!(code.0[only].length > 0);
            assert_eq!(share(&code), 1 << LONGEST);
        }
        assert_eq!(share(&Code::of(&mut [0; 30], LONGEST)), 1 << LONGEST);
    }

    #[test]
    fn no_word_exceeds_the_limit() {
        let mut counts = [0; 19];
        let (mut a, mut b) = (1, 1);
        for count in &mut counts {
            *count = a;
            (a, b) = (b, a + b);
        }
        for longest in [LONGEST, LONGEST_OF_LENGTHS, 5] {
            let code = Code::of(&mut counts, longest);
            assert!(code.0.iter().all(|word| (1..=longest).contains(&u32::from(word.length))));
            assert_eq!(share(&code), 1 << LONGEST);
        }
    }

    proptest! {
        #[test]
        fn every_code_is_complete(some in prop::collection::vec((0_usize..286, 0_u16..200), 0..300)) {
            let mut counts = [0_u16; 286];
            for (symbol, count) in some {
                counts[symbol] = count;
            }
            let code = Code::of(&mut counts, LONGEST);
            prop_assert_eq!(share(&code), 1 << LONGEST);
            for (word, count) in code.0.iter().zip(&counts) {
                prop_assert_eq!(word.length > 0, *count > 0);
            }
        }
    }
}
