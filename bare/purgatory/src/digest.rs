//! The digest of a load: computed by the program that loads it, and again by purgatory before it
//! hands over.
//!
//! It guards against damage: a device that still writes, a bit that flips, a stray pointer of a
//! dying kernel. 32 bytes in two steps:
//!
//! 1. Every page is pressed into a 32-byte [`Tag`] by NH, the universal hash of UMAC (RFC 4418,
//!    5.2), here on 64-bit words: the sum of `(word + key) * (word + key)` over pairs of words,
//!    modulo 2^128; and once more with the key shifted by a pair. Whatever two different pages are,
//!    for a key that does not depend on them their tags are the same with a probability of 2^-128
//!    (Black, Halevi, Krawczyk, Krovetz, Rogaway: UMAC, CRYPTO '99, theorem on NH with a Toeplitz
//!    key).
//! 2. SHA-256 over the description of the load, and over all tags.
//!
//! The key is random for every load, so there are no two images that always have the same digest.
//! Code that can write to the block with the key can write a matching digest too: this is not a
//! signature, and neither would be any other digest.
//!
//! Why this one: a page costs one multiplication for each of its words, and 64-bit multiplications
//! are as fast in general registers as memory is, on every x86-64 and in emulators, where SHA-256,
//! BLAKE3 or vectors of 32-bit products cost several times as much. What is left for SHA-256 is a
//! 128th of the memory.

use crate::sha256::Sha256;

/// Bytes that make a tag.
pub const PAGE: usize = 4096;
/// What a page is pressed into.
pub type Tag = [u8; 32];

/// Pairs of words in a page.
const PAIRS: usize = PAGE / 16;

/// A key, made as long as a page.
pub struct Schedule {
    words: [u64; 2 * PAIRS + 2],
}

impl Schedule {
    /// Makes a key long: SHA-256 of the key and a number, again and again.
    #[must_use]
    pub fn new(key: &[u8; 32]) -> Self {
        let mut words = [0; 2 * PAIRS + 2];
        for (number, words) in (0_u64..).zip(words.chunks_mut(4)) {
            let mut hash = Sha256::new();
            hash.update(key);
            hash.update(&number.to_le_bytes());
            let bytes = hash.finish();
            for (word, bytes) in words.iter_mut().zip(bytes.as_chunks().0) {
                *word = u64::from_le_bytes(*bytes);
            }
        }
        Self { words }
    }

    /// The tag of a page; a shorter input is padded with zeros.
    #[must_use]
    pub fn tag(&self, page: &[u8]) -> Tag {
        match page.first_chunk::<PAGE>() {
            Some(page) => self.tag_of_whole(page),
            None => {
                let mut whole = [0; PAGE];
                for (place, byte) in whole.iter_mut().zip(page) {
                    *place = *byte;
                }
                self.tag_of_whole(&whole)
            }
        }
    }

    #[inline(never)]
    fn tag_of_whole(&self, page: &[u8; PAGE]) -> Tag {
        let (mut first, mut second) = (0_u128, 0_u128);
        // Eight pairs per iteration: at every jump, an emulator discards the registers it has
        // cached.
        for (pairs, start) in page.as_chunks::<128>().0.iter().zip((0..).step_by(16)) {
            let keys = self.words.get(start..).and_then(<[u64]>::first_chunk::<18>);
            let Some(keys) = keys else { continue };
            for pair in 0..8 {
                let [low, high] = words_of(&pairs.as_chunks::<16>().0[pair]);
                let [a, b, c, d] = [0, 1, 2, 3].map(|word| keys[2 * pair + word]);
                first = first.wrapping_add(product(low.wrapping_add(a), high.wrapping_add(b)));
                second = second.wrapping_add(product(low.wrapping_add(c), high.wrapping_add(d)));
            }
        }
        let mut tag = [0; 32];
        let (front, back) = tag.split_at_mut(16);
        front.copy_from_slice(&first.to_le_bytes());
        back.copy_from_slice(&second.to_le_bytes());
        tag
    }
}

fn words_of(pair: &[u8; 16]) -> [u64; 2] {
    let both = u128::from_le_bytes(*pair);
    #[expect(clippy::cast_possible_truncation, reason = "the halves are what is asked for")]
    [both as u64, (both >> 64) as u64]
}

fn product(a: u64, b: u64) -> u128 {
    u128::from(a) * u128::from(b)
}

/// The second step: SHA-256 over the description of a load, then over the tags of its bytes, page
/// by page.
#[derive(Clone, Default)]
pub struct Digest {
    hash: Sha256,
}

impl Digest {
    /// A digest of nothing yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { hash: Sha256::new() }
    }

    /// A part of the description. It precedes the tags and contains their number.
    pub fn describe(&mut self, part: &[u8]) {
        self.hash.update(part);
    }

    /// Tags that follow.
    pub fn tags(&mut self, tags: &[Tag]) {
        self.hash.update(tags.as_flattened());
    }

    /// The digest.
    #[must_use]
    pub fn finish(self) -> [u8; 32] {
        self.hash.finish()
    }
}

/// Whether all bytes are zero, a word at a time.
#[must_use]
pub fn is_zero(bytes: &[u8]) -> bool {
    let (words, rest) = bytes.as_chunks::<64>();
    words.iter().all(|words| {
        words.as_chunks::<8>().0.iter().fold(0, |sum, word| sum | u64::from_le_bytes(*word)) == 0
    }) && rest.iter().all(|&byte| byte == 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The definition, word by word.
    fn plain_tag(schedule: &Schedule, page: &[u8]) -> Tag {
        let mut bytes = page.to_vec();
        bytes.resize(PAGE, 0);
        let words: Vec<u64> =
            bytes.chunks(8).map(|word| u64::from_le_bytes(word.try_into().unwrap())).collect();
        let nh = |shift: usize| {
            (0..PAIRS).fold(0_u128, |sum, pair| {
                let factor = |word: usize| words[word].wrapping_add(schedule.words[word + shift]);
                sum.wrapping_add(u128::from(factor(2 * pair)) * u128::from(factor(2 * pair + 1)))
            })
        };
        [nh(0).to_le_bytes(), nh(2).to_le_bytes()].concat().try_into().unwrap()
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn the_digest_of_known_bytes_stays_what_it_is() {
        let schedule = Schedule::new(&[7; 32]);
        let bytes: Vec<u8> = (0..10_000_u32).map(|number| (number * 31 % 251) as u8).collect();
        let tags: Vec<Tag> = bytes.chunks(PAGE).map(|page| schedule.tag(page)).collect();
        let mut digest = Digest::new();
        digest.describe(b"10000 bytes");
        digest.tags(&tags);
        // Made by another program after the definition above.
        let known = "940cd30967651b2892b25b5e1e47dda8f6add5c6441d36731187bfa6907b9208";
        assert_eq!(hex(&digest.finish()), known);
    }

    proptest! {
        #[test]
        fn a_tag_is_what_its_definition_says(
            key: [u8; 32], page in prop::collection::vec(any::<u8>(), 0..=PAGE),
        ) {
            let schedule = Schedule::new(&key);
            prop_assert_eq!(schedule.tag(&page), plain_tag(&schedule, &page));
        }

        #[test]
        fn a_changed_bit_changes_the_tag(key: [u8; 32], fill: u8, bit in 0..PAGE * 8) {
            let schedule = Schedule::new(&key);
            let mut page = [fill; PAGE];
            let before = schedule.tag(&page);
            page[bit / 8] ^= 1 << (bit % 8);
            prop_assert_ne!(schedule.tag(&page), before);
        }

        #[test]
        fn exchanged_pairs_of_words_change_the_tag(key: [u8; 32], a in 0..PAIRS, b in 0..PAIRS) {
            prop_assume!(a != b);
            let schedule = Schedule::new(&key);
            let mut page = [0; PAGE];
            page[a * 16] = 1;
            let before = schedule.tag(&page);
            page.swap(a * 16, b * 16);
            prop_assert_ne!(schedule.tag(&page), before);
        }

        #[test]
        fn a_byte_that_is_not_zero_is_found(length in 0_usize..300, place: prop::sample::Index) {
            let mut bytes = vec![0; length];
            prop_assert!(is_zero(&bytes));
            if length > 0 {
                bytes[place.index(length)] = 0x80;
                prop_assert!(!is_zero(&bytes));
            }
        }
    }
}
