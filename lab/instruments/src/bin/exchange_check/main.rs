//! Runs page lists through the relocator's assembly and through the model in Rust, and compares all memory.
//!
//! The page mover itself is the image that is called, with a page list in memory of the image as its argument:
//!
//! ```text
//!   window   code page   the relocator's code; the entry point is its page mover
//!            arena       random words; among them page lists, and the pages that these move
//! ```
//!
//! A list is written into the arena and into a copy of it. The assembly moves pages of the arena, the model pages of the
//! copy, and then every byte of the window has to be what the copy says. Windows lie in memory that is reserved from the
//! kernel (`--vouch`, with `memmap=64M$0x10000000` on the kernel's command line, say), where each call also moves the
//! window itself in and out, and in memory that is claimed from the kernel.
#![forbid(unsafe_code)]

mod arena;
mod build;
mod check;
mod kind;
mod random;
mod tally;
mod window;
mod write;

use std::process::ExitCode;

use abi::device::Range;
use anyhow::{Result, bail};
use clap::Parser;

use check::{Check, Mover};
use kind::Kind;
use random::Random;
use tally::Tally;
use window::Window;

/// Compares the assembly that moves pages with its model
#[derive(Parser)]
struct Words {
    /// Memory that the kernel does not use, to have a window in
    #[arg(long, value_name = "START-END", value_parser = range)]
    vouch: Option<Range>,
    /// What the lists are made from
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Lists of each kind, for each mover and direction
    #[arg(long, default_value_t = 3)]
    lists: u64,
    /// Expect a wrong byte somewhere: the comparison has to fail
    #[arg(long)]
    mutant: bool,
}

fn main() -> ExitCode {
    match run(&Words::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("exchange_check: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Pages of the arena that most lists are tried in, and of that for long ones.
const SMALL: u64 = 512;
const LARGE: u64 = 3000;

fn run(words: &Words) -> Result<()> {
    let (movers, missing) = Mover::of_this_cpu()?;
    let mut random = Random::new(words.seed);
    let mut tally = Tally::default();
    for pages in [SMALL, LARGE] {
        let lists = if pages == SMALL { words.lists } else { words.lists.div_ceil(10) };
        let vouched = words.vouch.map(|range| Window::vouched(range, pages));
        for window in vouched.into_iter().chain([Window::claimed(pages)]) {
            let window = window?;
            println!("{window}");
            let mut check =
                Check { window: &window, movers: &movers, random: &mut random, mutant: words.mutant };
            for kind in Kind::ALL {
                let of_kind = check.lists(kind, lists)?;
                println!("  {kind:<26} {of_kind}");
                tally.add(&of_kind);
            }
        }
    }
    for name in missing {
        println!("not tried, as this CPU lacks it: {name}");
    }
    println!("the same everywhere: {tally}");
    Ok(())
}

/// `START-END`, the end not included.
fn range(word: &str) -> Result<Range> {
    let number = |word: &str| u64::from_str_radix(word.trim_start_matches("0x"), 16);
    match word.split_once('-') {
        Some((start, end)) => Ok(Range { start: number(start)?, end: number(end)? }),
        None => bail!("a range is two hexadecimal numbers: START-END"),
    }
}
