//! Scenes for the lab's stories that the program `kjump` has no option for: invalid requests,
//! several processes at once, registers and clocks.
//!
//! `guest SCENE [ARGUMENT...]` runs one scene and prints its findings; the exit status is 0 if all
//! checks passed.
#![allow(
    clippy::cast_possible_truncation,
    clippy::manual_is_multiple_of,
    clippy::multiple_unsafe_ops_per_block,
    clippy::zombie_processes,
    reason = "the numbers are small; children are reaped on drop"
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
mod remember;
mod turns;
mod unpacked;
mod virtual_machine;

use std::process::ExitCode;

use anyhow::{Context as _, Result};

type Scene = fn(&[String]) -> Result<()>;

/// All scenes.
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
    ("latch", crowd::latch),
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
    ("leave", leaks::leave),
    ("unpacked", unpacked::unpacked),
    ("virtual-machine", virtual_machine::virtual_machine),
    ("fill", pages::fill),
    ("find", pages::find),
    ("remember", remember::remember),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("guest {}: {error:#}", arguments.join(" "));
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> Result<()> {
    let names = || SCENES.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
    let (name, arguments) = arguments.split_first().with_context(|| format!("scenes: {}", names()))?;
    let scene = SCENES.iter().find(|(known, _)| known == name);
    let (_, scene) = scene.with_context(|| format!("no scene {name}; scenes: {}", names()))?;
    scene(arguments)
}
