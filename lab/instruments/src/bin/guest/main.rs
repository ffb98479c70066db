//! What the lab's stories do in a guest where the program `kjump` has no words for it: wrong requests, several
//! processes at once, a look at registers and clocks.
//!
//! `guest SCENE [ARGUMENT...]` plays one scene and says what it saw; the exit status is 0 if all was as it should be.
#![allow(
    clippy::cast_possible_truncation,
    clippy::manual_is_multiple_of,
    clippy::multiple_unsafe_ops_per_block,
    clippy::zombie_processes,
    reason = "numbers are small here, children are reaped by their guard"
)]

mod access;
mod asleep;
mod between;
mod busy;
mod calls;
mod cpu;
mod crowd;
mod dirty;
mod faults;
mod hostile;
mod image;
mod kernel_text;
mod leaks;
mod memory;
mod numbers;
mod pages;
mod plain;
mod raw;
mod registers;
mod turns;
mod unpacked;

use std::process::ExitCode;

use anyhow::{Context as _, Result};

type Scene = fn(&[String]) -> Result<()>;

/// Every scene there is.
const SCENES: &[(&str, Scene)] = &[
    ("calls", calls::calls),
    ("between", between::between),
    ("damage", between::damage),
    ("hash", between::hash),
    ("buffers", calls::buffers),
    ("faults", faults::faults),
    ("dirty", dirty::dirty),
    ("crash", cpu::crash),
    ("machine", cpu::machine),
    ("in-use", busy::in_use),
    ("vouched", busy::vouched),
    ("above", busy::above),
    ("wandering", busy::wandering),
    ("hostile", hostile::hostile),
    ("random", hostile::random),
    ("caller", crowd::caller),
    ("several", crowd::several),
    ("spinning", crowd::spinning),
    ("kept", crowd::kept),
    ("loading", crowd::loading),
    ("sleepless", crowd::sleepless),
    ("storm", crowd::storm),
    ("without-capability", access::without_capability),
    ("refused-by", access::refused_by),
    ("asleep", asleep::asleep),
    ("away", asleep::away),
    ("plain-suspends", plain::suspends),
    ("turns", turns::turns),
    ("rounds", leaks::rounds),
    ("hold", leaks::hold),
    ("killed", leaks::killed),
    ("too-large", leaks::too_large),
    ("unpacked", unpacked::unpacked),
    ("fill", pages::fill),
    ("find", pages::find),
];

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match play(&words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("guest {}: {error:#}", words.join(" "));
            ExitCode::FAILURE
        }
    }
}

fn play(words: &[String]) -> Result<()> {
    let names = || SCENES.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
    let (name, arguments) = words.split_first().with_context(|| format!("scenes: {}", names()))?;
    let scene = SCENES.iter().find(|(known, _)| known == name);
    let (_, scene) = scene.with_context(|| format!("no scene {name}: there are {}", names()))?;
    scene(arguments)
}
