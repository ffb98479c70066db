//! Loads made of arbitrary bytes: a short run of the fuzz target `segments`.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod simulation;

use proptest::prelude::*;
use simulation::hostile_load;

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    #[cfg_attr(miri, ignore = "too many cases for it")]
    fn an_image_is_sound_or_refused_for_a_reason(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        hostile_load(&bytes);
    }
}

#[test]
fn the_bytes_reach_every_outcome() {
    let mut random = 1_u64;
    let mut byte = || {
        random = random.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
        u8::try_from(random >> 56).unwrap()
    };
    let mut outcomes = [0; 3];
    for _ in 0..if cfg!(miri) { 8 } else { 4000 } {
        let mut bytes: Vec<u8> = (0..300).map(|_| byte()).collect();
        bytes[0] %= 4;
        outcomes[hostile_load(&bytes) as usize] += 1;
    }
    assert!(cfg!(miri) || outcomes.iter().all(|&count| count > 20), "{outcomes:?}");
}
