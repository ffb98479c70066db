//! A hostile segment list, hostile allowed ranges and an allocator that returns frames in the worst
//! order: the image is correct, or refused for a true reason, and nothing stays claimed.
#![no_main]

#[path = "../../crates/kimage/tests/simulation/mod.rs"]
mod simulation;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    simulation::hostile_load(bytes);
});
