//! A fast encoder for zlib streams of single pages.
//!
//! General encoders are slow at pages: they prepare for streams of any length, and weigh every
//! choice. Here repetitions are found as for LZO, with one look-up each, and literals, lengths and
//! distances get codes that are made for the page (RFC 1950, RFC 1951).

use super::huffman::{Code, LONGEST, LONGEST_OF_LENGTHS, Word};
use super::lzo::{same, word_at};

/// The longest input: positions and counts fit in 16 bits.
pub(super) const MOST: usize = 16384;

/// Symbols of literals, the end, and lengths.
const LITERALS: usize = 286;
const DISTANCES: usize = 30;
/// Symbols for lengths of code words, and the order in which a stream stores their own lengths.
const LENGTHS: usize = 19;
const ORDER: [usize; LENGTHS] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

const END: usize = 256;
const LONGEST_COPY: usize = 258;
const SHORTEST_COPY: usize = 3;

/// Shorter repetitions are not searched for.
const SHORTEST: u32 = 5;
const BEYOND: u32 = 64 - 8 * SHORTEST;
const HASH_BITS: u32 = 12;

/// The most bytes that [`Deflate::compress`] may need for an input of this length: literals of 15
/// bits each, and the description of the codes.
pub(super) const fn bound(input: usize) -> usize {
    input * 2 + 512
}

/// Literals, then a copy of earlier bytes.
#[derive(Clone, Copy, Default)]
struct Sequence {
    literals: u16,
    length: u16,
    distance: u16,
}

/// Buffers that are kept from page to page.
pub(super) struct Deflate {
    /// The last position of each hash; 0 at first.
    seen: Box<[u16; 1 << HASH_BITS]>,
    sequences: Vec<Sequence>,
}

impl Default for Deflate {
    fn default() -> Self {
        Self { seen: Box::new([0; 1 << HASH_BITS]), sequences: Vec::new() }
    }
}

impl Deflate {
    /// Compresses at most 16 KiB; `None` if the input is longer, `out` shorter than [`bound`], or
    /// the page does not become smaller.
    pub(super) fn compress(&mut self, input: &[u8], out: &mut [u8]) -> Option<usize> {
        if input.len() > MOST || out.len() < bound(input.len()) {
            return None;
        }
        self.find(input);
        let (mut literals, mut distances) = self.counts(input);
        let codes = Codes {
            literals: Code::of(&mut literals, LONGEST),
            distances: Code::of(&mut distances, LONGEST),
        };
        let bits = codes.literals.bits(&literals) + codes.distances.bits(&distances);
        if bits as usize / 8 >= input.len() {
            return None;
        }
        let mut stream = Bits { out, at: 0, held: 0, count: 0 };
        // Deflate, a window of 32 KiB, fastest algorithm; then the header of the last block, with
        // dynamic codes.
        stream.put(0x0178, 16);
        stream.put(0b101, 3);
        codes.describe(&mut stream);
        self.write(input, &codes, &mut stream);
        stream.word(codes.literals.0[END]);
        let end = stream.end();
        out[end..end + 4].copy_from_slice(&libdeflater::adler32(input).to_be_bytes());
        Some(end + 4)
    }

    fn find(&mut self, input: &[u8]) {
        self.sequences.clear();
        self.seen.fill(0);
        let (mut at, mut literals_from) = (1, 0);
        while let Some((place, before)) = self.repetition(input, at) {
            let mut length = same(input, before, place);
            at = place + length;
            let distance = to_u16(place - before);
            let mut literals = to_u16(place - literals_from);
            while length > LONGEST_COPY {
                // The rest must be long enough to be copied, too.
                let part = LONGEST_COPY.min(length - SHORTEST_COPY);
                self.sequences.push(Sequence { literals, length: to_u16(part), distance });
                (length, literals) = (length - part, 0);
            }
            self.sequences.push(Sequence { literals, length: to_u16(length), distance });
            literals_from = at;
        }
        self.sequences.push(Sequence {
            literals: to_u16(input.len() - literals_from),
            length: 0,
            distance: 0,
        });
    }

    /// The next position whose bytes occurred earlier, and where.
    #[inline]
    fn repetition(&mut self, input: &[u8], mut at: usize) -> Option<(usize, usize)> {
        let last = input.len().checked_sub(8)?;
        let mut pace = 16;
        while at <= last {
            let word = word_at(input, at);
            let hash = (word << BEYOND).wrapping_mul(0x9e37_79b1_85eb_ca87) >> (64 - HASH_BITS);
            let before = usize::from(std::mem::replace(&mut self.seen[hash as usize], to_u16(at)));
            if (word_at(input, before) ^ word) << BEYOND == 0 {
                return Some((at, before));
            }
            // The longer nothing is found, the larger the steps.
            at += pace >> 4;
            pace += 1;
        }
        None
    }

    fn counts(&self, input: &[u8]) -> ([u16; LITERALS], [u16; DISTANCES]) {
        // Two tables, so that the second of two equal bytes does not wait for the first's update.
        let (mut literals, mut others, mut distances) = ([0_u16; LITERALS], [0_u16; 256], [0_u16; DISTANCES]);
        let mut at = 0;
        for sequence in &self.sequences {
            let count = usize::from(sequence.literals);
            let mut pairs = input[at..at + count].chunks_exact(2);
            for pair in &mut pairs {
                literals[usize::from(pair[0])] += 1;
                others[usize::from(pair[1])] += 1;
            }
            for byte in pairs.remainder() {
                literals[usize::from(*byte)] += 1;
            }
            if sequence.length > 0 {
                literals[length_symbol(sequence.length).0] += 1;
                distances[distance_symbol(sequence.distance).0] += 1;
            }
            at += count + usize::from(sequence.length);
        }
        for (count, other) in literals.iter_mut().zip(others) {
            *count += other;
        }
        literals[END] = 1;
        (literals, distances)
    }

    fn write(&self, input: &[u8], codes: &Codes, stream: &mut Bits<'_>) {
        let mut at = 0;
        for sequence in &self.sequences {
            let count = usize::from(sequence.literals);
            // Three code words of at most 15 bits fit in one step.
            for bytes in input[at..at + count].chunks(3) {
                for byte in bytes {
                    stream.hold(codes.literals.0[usize::from(*byte)]);
                }
                stream.flush();
            }
            if sequence.length > 0 {
                let (symbol, extra, bits) = length_symbol(sequence.length);
                stream.hold(codes.literals.0[symbol]);
                stream.hold(Word { bits: extra, length: bits });
                let (symbol, extra, bits) = distance_symbol(sequence.distance);
                stream.hold(codes.distances.0[symbol]);
                stream.hold(Word { bits: extra, length: bits });
                stream.flush();
            }
            at += count + usize::from(sequence.length);
        }
    }
}

struct Codes {
    literals: Code<LITERALS>,
    distances: Code<DISTANCES>,
}

impl Codes {
    /// Writes both codes: the lengths of all code words, in a code of their own.
    fn describe(&self, stream: &mut Bits<'_>) {
        let literals = used(&self.literals).max(END + 1);
        let distances = used(&self.distances).max(1);
        let mut lengths = [0; LITERALS + DISTANCES];
        for (length, word) in
            lengths.iter_mut().zip(self.literals.0[..literals].iter().chain(&self.distances.0[..distances]))
        {
            *length = word.length;
        }
        let mut items = [(0_u8, 0_u8); LITERALS + DISTANCES];
        let count = items_of(&lengths[..literals + distances], &mut items);
        let mut counts = [0; LENGTHS];
        for (symbol, _) in &items[..count] {
            counts[usize::from(*symbol)] += 1;
        }
        let code = Code::of(&mut counts, LONGEST_OF_LENGTHS);
        let stored =
            ORDER.iter().rposition(|symbol| code.0[*symbol].length > 0).map_or(4, |last| last + 1).max(4);
        stream.put(to_u16(literals - 257).into(), 5);
        stream.put(to_u16(distances - 1).into(), 5);
        stream.put(to_u16(stored - 4).into(), 4);
        for symbol in &ORDER[..stored] {
            stream.put(code.0[*symbol].length.into(), 3);
        }
        for (symbol, extra) in &items[..count] {
            stream.hold(code.0[usize::from(*symbol)]);
            let length = match symbol {
                16 => 2,
                17 => 3,
                18 => 7,
                _ => 0,
            };
            stream.hold(Word { bits: (*extra).into(), length });
            stream.flush();
        }
    }
}

/// The number of symbols up to the last one that has a code word.
fn used<const N: usize>(code: &Code<N>) -> usize {
    code.0.iter().rposition(|word| word.length > 0).map_or(0, |last| last + 1)
}

/// Lengths as symbols, each with its extra bits; runs of the same length become one symbol. Returns
/// the number of symbols.
#[expect(clippy::cast_possible_truncation, reason = "runs are cut to 138 at most")]
fn items_of(lengths: &[u8], items: &mut [(u8, u8)]) -> usize {
    let (mut at, mut count) = (0, 0);
    let mut push = |symbol, extra| {
        items[count] = (symbol, extra);
        count += 1;
    };
    while at < lengths.len() {
        let value = lengths[at];
        let run = lengths[at..].iter().take(138).take_while(|length| **length == value).count();
        at += match (value, run) {
            (0, 3..=10) => {
                push(17, run as u8 - 3);
                run
            }
            (0, 11..) => {
                push(18, run as u8 - 11);
                run
            }
            (1.., 4..) => {
                push(value, 0);
                let again = (run - 1).min(6);
                push(16, again as u8 - 3);
                1 + again
            }
            _ => {
                push(value, 0);
                1
            }
        };
    }
    count
}

/// The symbol of a length, its extra bits and their number (RFC 1951, 3.2.5).
#[inline]
fn length_symbol(length: u16) -> (usize, u16, u8) {
    let rest = u32::from(length) - 3;
    if rest < 8 {
        return (257 + rest as usize, 0, 0);
    }
    if rest == 255 {
        return (285, 0, 0);
    }
    let extra = rest.ilog2() - 2;
    let symbol = 257 + 4 * (extra + 1) + (rest >> extra & 3);
    (symbol as usize, low_bits(rest, extra), low_byte(extra))
}

/// Like [`length_symbol`], for a distance.
#[inline]
fn distance_symbol(distance: u16) -> (usize, u16, u8) {
    let rest = u32::from(distance) - 1;
    if rest < 4 {
        return (rest as usize, 0, 0);
    }
    let extra = rest.ilog2() - 1;
    let symbol = 2 * (extra + 1) + (rest >> extra & 1);
    (symbol as usize, low_bits(rest, extra), low_byte(extra))
}

#[inline]
#[expect(clippy::cast_possible_truncation, reason = "lengths and distances have 14 bits at most")]
const fn low_bits(number: u32, count: u32) -> u16 {
    (number & ((1 << count) - 1)) as u16
}

#[inline]
#[expect(clippy::cast_possible_truncation, reason = "numbers of bits are below 16")]
const fn low_byte(number: u32) -> u8 {
    number as u8
}

#[inline]
#[expect(clippy::cast_possible_truncation, reason = "places and counts are at most MOST")]
const fn to_u16(number: usize) -> u16 {
    number as u16
}

/// A bit stream, the lowest bit first.
struct Bits<'a> {
    out: &'a mut [u8],
    at: usize,
    held: u64,
    count: u32,
}

impl Bits<'_> {
    /// Adds a code word; at most 56 bits may wait to be flushed.
    #[inline]
    fn hold(&mut self, word: Word) {
        self.held |= u64::from(word.bits) << self.count;
        self.count += u32::from(word.length);
    }

    /// Writes whole bytes, and some more, which the next call overwrites.
    #[inline]
    fn flush(&mut self) {
        if let Some(place) = self.out[self.at..].first_chunk_mut() {
            *place = self.held.to_le_bytes();
        }
        self.at += (self.count / 8) as usize;
        self.held >>= self.count & !7;
        self.count &= 7;
    }

    fn put(&mut self, bits: u32, length: u8) {
        self.hold(Word { bits: to_u16(bits as usize), length });
        self.flush();
    }

    fn word(&mut self, word: Word) {
        self.hold(word);
        self.flush();
    }

    /// Pads the last byte; returns the total number of bytes.
    fn end(mut self) -> usize {
        self.count += 7;
        self.flush();
        self.at
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::lzo::tests::memory;
    use super::*;

    fn round_trip(deflate: &mut Deflate, input: &[u8]) -> Option<usize> {
        let mut stored = vec![0; bound(input.len())];
        let length = deflate.compress(input, &mut stored)?;
        let mut back = vec![0; input.len()];
        let read = libdeflater::Decompressor::new().zlib_decompress(&stored[..length], &mut back);
        assert_eq!(read, Ok(input.len()));
        assert!(back == input);
        Some(length)
    }

    #[test]
    fn symbols_are_those_of_the_standard() {
        for (length, symbol) in [(3, (257, 0, 0)), (10, (264, 0, 0)), (11, (265, 0, 1)), (12, (265, 1, 1))] {
            assert_eq!(length_symbol(length), symbol);
        }
        assert_eq!((length_symbol(257), length_symbol(258)), ((284, 30, 5), (285, 0, 0)));
        for (distance, symbol) in [(1, (0, 0, 0)), (4, (3, 0, 0)), (5, (4, 0, 1)), (7, (5, 0, 1))] {
            assert_eq!(distance_symbol(distance), symbol);
        }
        assert_eq!((distance_symbol(4096), distance_symbol(16384)), ((23, 1023, 10), (27, 4095, 12)));
    }

    #[test]
    fn copies_of_every_length_come_back() {
        let mut deflate = Deflate::default();
        for length in 1..1200 {
            assert!(round_trip(&mut deflate, &[&[7; 40][..], &vec![9; length]].concat()).is_some());
        }
    }

    #[test]
    fn noise_is_refused() {
        let noise: Vec<u8> = (0_u64..4096)
            .map(|n| {
                n.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29).wrapping_mul(n | 1).to_le_bytes()[7]
            })
            .collect();
        let length = round_trip(&mut Deflate::default(), &noise);
        assert!(length.is_none_or(|length| length > 4000));
    }

    proptest! {
        #[test]
        fn compressed_pages_are_decompressed_by_others(inputs in prop::collection::vec(memory(), 1..6)) {
            let mut deflate = Deflate::default();
            for input in inputs {
                round_trip(&mut deflate, &input[..input.len().min(MOST)]);
            }
        }
    }
}
