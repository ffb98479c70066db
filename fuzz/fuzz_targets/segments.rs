//! A hostile segment list, hostile allowed ranges and an allocator that hands out frames in the worst order: the
//! image is sound or refused for a reason that is so, and leaves no trace.
#![no_main]

#[path = "../../crates/kimage/tests/simulation/mod.rs"]
mod simulation;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    simulation::hostile_load(bytes);
});
