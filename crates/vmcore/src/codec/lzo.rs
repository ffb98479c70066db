//! LZO1X as in dumps: no header, no checksum, an end mark.
//!
//! The stream is described in Linux, Documentation/staging/lzo.rst. An instruction's first byte
//! determines what it copies from earlier output; the low two bits of its last byte but one, or an
//! instruction of its own, hold the number of literals that follow.
//!
//! | first byte | copies | distance |
//! |---|---|---|
//! | 0-15, after no or at least four literals | literals, or 3 bytes | 2049-3072 |
//! | 0-15, after one to three literals | 2 bytes | 1-1024 |
//! | 16-31 | 3 bytes and more | 16384-49151; 16384 itself is the end mark |
//! | 32-63 | 3 bytes and more | 1-16384 |
//! | 64-127 | 3 or 4 bytes | 1-2048 |
//! | 128-255 | 5 to 8 bytes | 1-2048 |

/// The end mark.
const END: [u8; 3] = [0x11, 0, 0];

/// The longest distance of an instruction of two bytes.
const NEAR: usize = 2048;

/// The longest input of [`compress`]: every distance fits the instructions 32-63.
const MOST: usize = 16384;

/// The shortest input in which repetitions are searched for.
const LEAST: usize = 32;

/// Up to this many first literals of a stream have their number in one byte.
const FIRST_LITERALS: usize = 238;

/// The most bytes that [`compress`] may need for an input of this length, with room for copies in
/// steps of [`STEP`].
pub(crate) const fn bound(input: usize) -> usize {
    input + input / 16 + 64 + 3 + STEP
}

/// Literals are copied in steps of this many bytes, the last one beyond their end.
const STEP: usize = 16;

const HASH_BITS: u32 = 12;

/// Shorter repetitions are not searched for: they would make pages a fifteenth smaller and take
/// half as much time again, because each costs unpredictable branches.
const SHORTEST: u32 = 6;

/// Bits of a word beyond the shortest repetition.
const BEYOND: u32 = 64 - 8 * SHORTEST;

/// The last position of each hash in the current input; 0 at first.
pub struct Dictionary(Box<[u16; 1 << HASH_BITS]>);

impl Default for Dictionary {
    fn default() -> Self {
        Self(Box::new([0; 1 << HASH_BITS]))
    }
}

impl Dictionary {
    /// The last position of a word with this hash; records the current one.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "an input has at most 2^14 bytes, the hash 12 bits")]
    fn exchange(&mut self, word: u64, at: usize) -> usize {
        let hash = (word << BEYOND).wrapping_mul(0x9e37_79b1_85eb_ca87) >> (64 - HASH_BITS);
        usize::from(std::mem::replace(&mut self.0[hash as usize], at as u16))
    }
}

/// Compresses at most 16 KiB; `None` if the input is longer, or `out` is shorter than `bound` of
/// its length.
pub fn compress(dictionary: &mut Dictionary, input: &[u8], out: &mut [u8]) -> Option<usize> {
    if input.len() > MOST || out.len() < bound(input.len()) {
        return None;
    }
    let mut stream = Stream { out, length: 0 };
    let mut literals_from = 0;
    if input.len() >= LEAST {
        dictionary.0.fill(0);
        let mut at = 1;
        while let Some((place, before)) = repetition(dictionary, input, at) {
            let length = same(input, before, place);
            stream.literals(input, literals_from, place);
            stream.copy(place - before, length);
            at = place + length;
            literals_from = at;
        }
    }
    stream.literals(input, literals_from, input.len());
    stream.put(&END);
    Some(stream.length)
}

/// The next position whose bytes occurred earlier, and where.
#[inline]
fn repetition(dictionary: &mut Dictionary, input: &[u8], mut at: usize) -> Option<(usize, usize)> {
    let last = input.len() - 8;
    let mut pace = 8;
    while at <= last {
        let word = word_at(input, at);
        let before = dictionary.exchange(word, at);
        if (word_at(input, before) ^ word) << BEYOND == 0 {
            return Some((at, before));
        }
        // The longer nothing is found, the larger the steps.
        at += pace >> 3;
        pace += 1;
    }
    None
}

#[inline]
pub(super) fn word_at(input: &[u8], at: usize) -> u64 {
    input[at..].first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

/// How many bytes at `a` and at `b` are the same; `a` is less than `b`.
#[inline]
pub(super) fn same(input: &[u8], a: usize, b: usize) -> usize {
    let mut count = 0;
    // Most are shorter than two words, whose lengths are found without a branch.
    if b + 16 <= input.len() {
        let first = word_at(input, a) ^ word_at(input, b);
        let second = word_at(input, a + 8) ^ word_at(input, b + 8);
        let (skipped, difference) = if first == 0 { (8, second) } else { (0, first) };
        if difference != 0 {
            return skipped + same_bytes(difference);
        }
        count = 16;
    }
    while b + count + 8 <= input.len() {
        let difference = word_at(input, a + count) ^ word_at(input, b + count);
        if difference != 0 {
            return count + same_bytes(difference);
        }
        count += 8;
    }
    count + input[b + count..].iter().zip(&input[a + count..]).take_while(|(x, y)| x == y).count()
}

/// How many low bytes are equal in two words whose difference is this.
#[inline]
fn same_bytes(difference: u64) -> usize {
    (difference.trailing_zeros() / 8) as usize
}

/// A stream of instructions.
struct Stream<'a> {
    out: &'a mut [u8],
    length: usize,
}

impl Stream<'_> {
    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        self.out[self.length..self.length + bytes.len()].copy_from_slice(bytes);
        self.length += bytes.len();
    }

    /// A few literals, the usual case, need no branch: their number goes into the previous
    /// instruction or into one of its own, and surplus copied bytes are overwritten later.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "at most STEP")]
    fn literals(&mut self, input: &[u8], from: usize, to: usize) {
        let count = to - from;
        match input[from..].first_chunk::<STEP>() {
            Some(source) if count <= STEP && self.length > 0 => {
                let few = count <= 3;
                self.out[self.length - 2] |= if few { count as u8 } else { 0 };
                self.out[self.length] = (count as u8).wrapping_sub(3);
                self.length += usize::from(!few);
                self.out[self.length..self.length + STEP].copy_from_slice(source);
                self.length += count;
            }
            _ => self.many_literals(&input[from..to]),
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "every number is below 256 where it is written")]
    fn many_literals(&mut self, literals: &[u8]) {
        let count = literals.len();
        match count {
            0 => return,
            _ if self.length == 0 && count <= FIRST_LITERALS => self.put(&[17 + count as u8]),
            // Except at the start, the previous instruction is a copy, whose last byte but one has
            // room for the number.
            1..=3 => self.out[self.length - 2] |= count as u8,
            4..=18 => self.put(&[count as u8 - 3]),
            _ => {
                self.put(&[0]);
                self.rest(count - 18);
            }
        }
        self.put(literals);
    }

    /// Both short forms are computed and one is used; a surplus byte is overwritten later.
    #[inline]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "distance and length are in range for their instruction"
    )]
    fn copy(&mut self, distance: usize, length: usize) {
        let back = distance - 1;
        if length <= 33 {
            let short = (length - 1) << 5 | (back & 7) << 2 | (back >> 3) << 8;
            let long = 32 | (length - 2) | back << 10;
            let is_short = length <= 8 && distance <= NEAR;
            let instruction = if is_short { short } else { long } as u32;
            self.out[self.length..self.length + 4].copy_from_slice(&instruction.to_le_bytes());
            self.length += 3 - usize::from(is_short);
        } else {
            self.put(&[32]);
            self.rest(length - 33);
            self.put(&((back << 2) as u16).to_le_bytes());
        }
    }

    /// A number of at least 1: each 0 byte stands for 255, the last byte for itself.
    #[expect(clippy::cast_possible_truncation, reason = "at most 255 is left at the end")]
    fn rest(&mut self, mut number: usize) {
        while number > 255 {
            self.put(&[0]);
            number -= 255;
        }
        self.put(&[number as u8]);
    }
}

/// Decompresses a whole stream; returns the number of bytes, or `None` if the stream is damaged or
/// `out` too small.
#[must_use]
pub fn decompress(input: &[u8], out: &mut [u8]) -> Option<usize> {
    let mut reader = Reader { input, out, at: 0, length: 0 };
    // How many literals preceded; 4 stands for 4 or more.
    let mut state = 0;
    let first = *input.first()?;
    if first > 17 {
        reader.at = 1;
        let count = usize::from(first) - 17;
        reader.literals(count)?;
        state = count.min(4);
    }
    loop {
        let byte = reader.byte()?;
        let high = usize::from(byte);
        let (distance, length, literals) = match byte {
            0..=15 if state == 0 => {
                let count = reader.number(high, 15)? + 3;
                reader.literals(count)?;
                state = 4;
                continue;
            }
            0..=15 => {
                let distance = (reader.byte_as_number()? << 2) + (high >> 2) + 1;
                if state == 4 { (distance + NEAR, 3, high & 3) } else { (distance, 2, high & 3) }
            }
            16..=31 => {
                let length = reader.number(high & 7, 7)? + 2;
                let low = reader.pair()?;
                let distance = 16384 + ((high & 8) << 11) + (low >> 2);
                if distance == 16384 {
                    // The end mark has a fixed length, and nothing may follow it.
                    return (length == 3 && reader.at == input.len()).then_some(reader.length);
                }
                (distance, length, low & 3)
            }
            32..=63 => {
                let length = reader.number(high & 31, 31)? + 2;
                let low = reader.pair()?;
                ((low >> 2) + 1, length, low & 3)
            }
            64..=255 => {
                let distance = (reader.byte_as_number()? << 3) + (high >> 2 & 7) + 1;
                (distance, (high >> 5) + 1, high & 3)
            }
        };
        reader.copy(distance, length)?;
        reader.literals(literals)?;
        state = literals;
    }
}

struct Reader<'a> {
    input: &'a [u8],
    out: &'a mut [u8],
    at: usize,
    length: usize,
}

impl Reader<'_> {
    #[inline]
    fn byte(&mut self) -> Option<u8> {
        let byte = *self.input.get(self.at)?;
        self.at += 1;
        Some(byte)
    }

    #[inline]
    fn byte_as_number(&mut self) -> Option<usize> {
        self.byte().map(usize::from)
    }

    #[inline]
    fn pair(&mut self) -> Option<usize> {
        Some(self.byte_as_number()? | self.byte_as_number()? << 8)
    }

    /// A number in the instruction's bits or, if they are 0, in the bytes after it, added to
    /// `most`.
    #[inline]
    fn number(&mut self, given: usize, most: usize) -> Option<usize> {
        if given != 0 {
            return Some(given);
        }
        let mut number = most;
        loop {
            match self.byte_as_number()? {
                // The input is finite, so this ends, and cannot overflow.
                0 => number += 255,
                last => return Some(number + last),
            }
        }
    }

    #[inline]
    fn literals(&mut self, count: usize) -> Option<()> {
        let source = self.input.get(self.at..self.at.checked_add(count)?)?;
        self.out.get_mut(self.length..self.length.checked_add(count)?)?.copy_from_slice(source);
        self.at += count;
        self.length += count;
        Some(())
    }

    /// Source and destination may overlap: then the bytes repeat.
    #[inline]
    fn copy(&mut self, distance: usize, length: usize) -> Option<()> {
        let from = self.length.checked_sub(distance)?;
        let end = self.length.checked_add(length).filter(|end| *end <= self.out.len())?;
        if distance >= length {
            self.out.copy_within(from..from + length, self.length);
        } else {
            for at in self.length..end {
                self.out[at] = self.out[at - distance];
            }
        }
        self.length = end;
        Some(())
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    fn round_trip(dictionary: &mut Dictionary, input: &[u8]) {
        let mut stored = vec![0; bound(input.len())];
        let length = compress(dictionary, input, &mut stored).unwrap();
        let mut back = vec![0; input.len()];
        assert_eq!(decompress(&stored[..length], &mut back), Some(input.len()));
        assert!(back == input);
        let mut theirs = vec![0; input.len()];
        assert_eq!(lzokay::decompress::decompress(&stored[..length], &mut theirs), Ok(input.len()));
        assert!(theirs == input);
    }

    /// Bytes as in memory: runs, repetitions at all distances, noise.
    pub(in super::super) fn memory() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            (any::<u8>(), 1_usize..900).prop_map(|(byte, count)| vec![byte; count]),
            prop::collection::vec(any::<u8>(), 1..400),
            (prop::collection::vec(any::<u8>(), 3..40), 2_usize..20)
                .prop_map(|(word, count)| word.repeat(count)),
            prop::collection::vec(0_u8..3, 1..200),
        ];
        prop::collection::vec(piece, 1..24).prop_map(|pieces| pieces.concat())
    }

    #[test]
    fn literal_runs_of_every_length_come_back() {
        let mut dictionary = Dictionary::default();
        let noise: Vec<u8> =
            (0_u64..2000).map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes()[4]).collect();
        for length in 0..600 {
            round_trip(&mut dictionary, &noise[..length]);
            let after_a_copy = [&[7; 64][..], &noise[..length], &[7; 64]].concat();
            round_trip(&mut dictionary, &after_a_copy);
        }
    }

    proptest! {
        #[test]
        fn compressed_pages_are_decompressed_here_and_elsewhere(
            inputs in prop::collection::vec(memory(), 1..6),
        ) {
            let mut dictionary = Dictionary::default();
            for input in inputs {
                round_trip(&mut dictionary, &input[..input.len().min(MOST)]);
            }
        }

        #[test]
        fn pages_that_others_compressed_are_decompressed(input in memory()) {
            let stored = lzokay::compress::compress(&input).unwrap();
            let mut back = vec![0; input.len()];
            prop_assert_eq!(decompress(&stored, &mut back), Some(input.len()));
            prop_assert!(back == input);
        }

        #[test]
        fn damaged_streams_end_without_a_panic(input in prop::collection::vec(any::<u8>(), 0..400)) {
            let mut out = [0; 4096];
            let _ = decompress(&input, &mut out);
        }
    }

    #[test]
    fn an_input_that_is_too_long_is_refused() {
        let mut out = vec![0; bound(MOST + 1)];
        assert_eq!(compress(&mut Dictionary::default(), &vec![0; MOST + 1], &mut out), None);
    }
}
