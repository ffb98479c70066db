//! SHA-256 (FIPS 180-4), in general registers; between two kernels by the CPU's own instructions
//! where it has them. A program has too little to hash for that to matter.

/// Words of the state.
type State = [u32; 8];
/// The unit of input.
const BLOCK: usize = 64;

/// A hash that is being made.
#[derive(Clone)]
pub struct Sha256 {
    state: State,
    pending: [u8; BLOCK],
    held: usize,
    taken: u64,
}

impl Default for Sha256 {
    fn default() -> Self {
        Self::new()
    }
}

impl Sha256 {
    /// The hash of nothing, yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { state: START, pending: [0; BLOCK], held: 0, taken: 0 }
    }

    /// Takes bytes in.
    pub fn update(&mut self, mut bytes: &[u8]) {
        self.taken = self.taken.wrapping_add(bytes.len() as u64);
        if self.held > 0 {
            let place = self.pending.get_mut(self.held..).unwrap_or_default();
            let count = place.len().min(bytes.len());
            let (now, later) = bytes.split_at(count);
            for (place, byte) in place.iter_mut().zip(now) {
                *place = *byte;
            }
            self.held += count;
            bytes = later;
            if self.held < BLOCK {
                return;
            }
            compress(&mut self.state, &[self.pending]);
            self.held = 0;
        }
        let (blocks, rest) = bytes.as_chunks();
        compress(&mut self.state, blocks);
        for (place, byte) in self.pending.iter_mut().zip(rest) {
            *place = *byte;
        }
        self.held = rest.len();
    }

    /// The hash.
    #[must_use]
    pub fn finish(mut self) -> [u8; 32] {
        let bits = self.taken.wrapping_mul(8);
        self.update(&[0x80]);
        while self.held != BLOCK - 8 {
            self.update(&[0]);
        }
        self.update(&bits.to_be_bytes());
        let mut hash = [0; 32];
        for (place, word) in hash.as_chunks_mut().0.iter_mut().zip(self.state) {
            *place = word.to_be_bytes();
        }
        hash
    }
}

/// FIPS 180-4, 5.3.3.
const START: State =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];

/// FIPS 180-4, 4.2.2: the fractions of the cube roots of the first 64 primes.
pub(crate) static CONSTANTS: [u32; 64] = cube_roots();

const fn cube_roots() -> [u32; 64] {
    let mut constants = [0; 64];
    let (mut found, mut number) = (0, 2_u128);
    while found < 64 {
        if is_prime(number) {
            constants[found] = fraction_of_cube_root(number);
            found += 1;
        }
        number += 1;
    }
    constants
}

const fn is_prime(number: u128) -> bool {
    let mut divisor = 2;
    while divisor * divisor <= number {
        if number.is_multiple_of(divisor) {
            return false;
        }
        divisor += 1;
    }
    true
}

/// The first 32 bits after the point: the cube root of the number times 2^96, found bit by bit.
#[expect(clippy::cast_possible_truncation, reason = "the fraction is what is asked for")]
const fn fraction_of_cube_root(number: u128) -> u32 {
    let (mut root, mut bit) = (0_u128, 36);
    while bit > 0 {
        bit -= 1;
        let larger = root | 1 << bit;
        if larger * larger * larger <= number << 96 {
            root = larger;
        }
    }
    root as u32
}

fn compress(state: &mut State, blocks: &[[u8; BLOCK]]) {
    #[cfg(all(target_arch = "x86_64", purgatory_image))]
    if crate::sha_ni::is_there() {
        return crate::sha_ni::compress(state, blocks);
    }
    compress_plain(state, blocks);
}

fn compress_plain(state: &mut State, blocks: &[[u8; BLOCK]]) {
    for block in blocks {
        let mut schedule = [0_u32; 16];
        for (word, bytes) in schedule.iter_mut().zip(block.as_chunks().0) {
            *word = u32::from_be_bytes(*bytes);
        }
        let mut s = *state;
        for (constants, round) in CONSTANTS.as_chunks::<16>().0.iter().zip(0..) {
            if round > 0 {
                extend(&mut schedule);
            }
            for (word, constant) in schedule.iter().zip(constants) {
                s = turn(s, word.wrapping_add(*constant));
            }
        }
        for (word, change) in state.iter_mut().zip(s) {
            *word = word.wrapping_add(change);
        }
    }
}

/// The next sixteen words of the message schedule, in place.
fn extend(w: &mut [u32; 16]) {
    for t in 0..16 {
        let (a, b) = (w[(t + 1) % 16], w[(t + 14) % 16]);
        let low = a.rotate_right(7) ^ a.rotate_right(18) ^ a >> 3;
        let high = b.rotate_right(17) ^ b.rotate_right(19) ^ b >> 10;
        w[t] = w[t].wrapping_add(low).wrapping_add(w[(t + 9) % 16]).wrapping_add(high);
    }
}

const fn turn([a, b, c, d, e, f, g, h]: State, word: u32) -> State {
    let sum = e.rotate_right(6) ^ e.rotate_right(11) ^ e.rotate_right(25);
    let first = h.wrapping_add(sum).wrapping_add(e & f ^ !e & g).wrapping_add(word);
    let sum = a.rotate_right(2) ^ a.rotate_right(13) ^ a.rotate_right(22);
    let second = sum.wrapping_add(a & b ^ a & c ^ b & c);
    [first.wrapping_add(second), a, b, c, d.wrapping_add(first), e, f, g]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn hash(bytes: &[u8]) -> String {
        let mut hash = Sha256::new();
        hash.update(bytes);
        hash.finish().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// FIPS 180-2, appendix B, and the hash of nothing.
    #[test]
    fn known_hashes_are_made() {
        assert_eq!(hash(b""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        assert_eq!(hash(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        let two_blocks = b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
        assert_eq!(hash(two_blocks), "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
        let million = vec![b'a'; 1_000_000];
        assert_eq!(hash(&million), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    }

    proptest! {
        #[test]
        fn bytes_may_come_in_parts(
            bytes in prop::collection::vec(any::<u8>(), 0..300), cut: prop::sample::Index,
        ) {
            let (front, back) = bytes.split_at(cut.index(bytes.len() + 1));
            let mut parts = Sha256::new();
            parts.update(front);
            parts.update(back);
            let mut whole = Sha256::new();
            whole.update(&bytes);
            prop_assert_eq!(parts.finish(), whole.finish());
        }

        #[cfg(target_arch = "x86_64")]
        #[test]
        fn the_cpus_instructions_make_the_same(
            state: State, blocks in prop::collection::vec(any::<[u8; BLOCK]>(), 0..5),
        ) {
            prop_assume!(crate::sha_ni::is_there());
            let (mut plain, mut by_cpu) = (state, state);
            compress_plain(&mut plain, &blocks);
            crate::sha_ni::compress(&mut by_cpu, &blocks);
            prop_assert_eq!(plain, by_cpu);
        }
    }
}
