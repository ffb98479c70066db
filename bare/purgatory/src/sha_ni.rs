//! SHA-256 by the CPU's instructions: Intel's "SHA Extensions" of 2013, in every AMD CPU since Zen
//! and every Intel one since Ice Lake.
// UNSAFETY: instructions that not every CPU has, and loads and stores of vectors.
#![allow(unsafe_code)]

use core::arch::x86_64::{
    __cpuid, __cpuid_count, __m128i, _mm_add_epi32, _mm_alignr_epi8, _mm_blend_epi16, _mm_loadu_si128,
    _mm_set_epi64x, _mm_sha256msg1_epu32, _mm_sha256msg2_epu32, _mm_sha256rnds2_epu32, _mm_shuffle_epi8,
    _mm_shuffle_epi32, _mm_storeu_si128,
};
use core::sync::atomic::{AtomicU8, Ordering};

use crate::sha256::CONSTANTS;

/// Not asked yet, absent, there.
static THERE: AtomicU8 = AtomicU8::new(0);

/// Whether this CPU has the instructions; it is asked once.
pub(crate) fn is_there() -> bool {
    match THERE.load(Ordering::Relaxed) {
        0 => {
            let there = ask();
            THERE.store(1 + u8::from(there), Ordering::Relaxed);
            there
        }
        known => known == 2,
    }
}

/// CPUID: leaf 7 EBX bit 29 (SHA), leaf 1 ECX bits 9 and 19 (SSSE3, SSE4.1).
fn ask() -> bool {
    if __cpuid(0).eax < 7 {
        return false;
    }
    let vectors = 1 << 9 | 1 << 19;
    __cpuid(1).ecx & vectors == vectors && __cpuid_count(7, 0).ebx & 1 << 29 != 0
}

/// Takes blocks in. The CPU has the instructions.
pub(crate) fn compress(state: &mut [u32; 8], blocks: &[[u8; 64]]) {
    // SAFETY: `is_there` was asked.
    unsafe { compress_blocks(state, blocks) }
}

#[target_feature(enable = "sha,sse2,ssse3,sse4.1")]
fn compress_blocks(state: &mut [u32; 8], blocks: &[[u8; 64]]) {
    let [abcd, efgh] = state.as_chunks_mut::<4>().0 else { return };
    // The instructions want abef and cdgh, the first in the highest lane.
    let low = _mm_shuffle_epi32::<0xb1>(load(abcd));
    let high = _mm_shuffle_epi32::<0x1b>(load(efgh));
    let mut abef = _mm_alignr_epi8::<8>(low, high);
    let mut cdgh = _mm_blend_epi16::<0xf0>(high, low);
    for block in blocks {
        (abef, cdgh) = block_turn(abef, cdgh, block);
    }
    let low = _mm_shuffle_epi32::<0x1b>(abef);
    let high = _mm_shuffle_epi32::<0xb1>(cdgh);
    store(abcd, _mm_blend_epi16::<0xf0>(low, high));
    store(efgh, _mm_alignr_epi8::<8>(high, low));
}

#[target_feature(enable = "sha,sse2,ssse3,sse4.1")]
fn block_turn(abef: __m128i, cdgh: __m128i, block: &[u8; 64]) -> (__m128i, __m128i) {
    let big_endian = _mm_set_epi64x(0x0c0d_0e0f_0809_0a0b, 0x0405_0607_0001_0203);
    let (mut a, mut c) = (abef, cdgh);
    let mut words = [_mm_set_epi64x(0, 0); 4];
    for (words, bytes) in words.iter_mut().zip(block.as_chunks::<16>().0) {
        *words = _mm_shuffle_epi8(load(bytes), big_endian);
    }
    for (constants, four) in CONSTANTS.as_chunks::<4>().0.iter().zip(0..) {
        if four >= 4 {
            words = next(words);
        }
        let now = if four < 4 { words[four] } else { words[3] };
        let sum = _mm_add_epi32(now, load(constants));
        c = _mm_sha256rnds2_epu32(c, a, sum);
        a = _mm_sha256rnds2_epu32(a, c, _mm_shuffle_epi32::<0x0e>(sum));
    }
    (_mm_add_epi32(a, abef), _mm_add_epi32(c, cdgh))
}

/// The message schedule's next four words after the last twelve.
#[target_feature(enable = "sha,sse2,ssse3,sse4.1")]
fn next([a, b, c, d]: [__m128i; 4]) -> [__m128i; 4] {
    let sum = _mm_add_epi32(_mm_sha256msg1_epu32(a, b), _mm_alignr_epi8::<4>(d, c));
    [b, c, d, _mm_sha256msg2_epu32(sum, d)]
}

#[target_feature(enable = "sse2")]
fn load<T: Copy, const N: usize>(from: &[T; N]) -> __m128i {
    const { assert!(size_of::<[T; N]>() == 16) }
    // SAFETY: the array has 16 bytes, all of them numbers, and the load needs no alignment.
    unsafe { _mm_loadu_si128(from.as_ptr().cast()) }
}

#[target_feature(enable = "sse2")]
fn store(to: &mut [u32; 4], value: __m128i) {
    // SAFETY: the array has 16 bytes, and the store needs no alignment.
    unsafe { _mm_storeu_si128(to.as_mut_ptr().cast(), value) }
}
