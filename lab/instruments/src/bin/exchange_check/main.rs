//! Runs page lists through the relocator's assembly and through the model in Rust, and compares all
//! memory.
//!
//! The page mover itself is the image that is called, with a page list in memory of the image as
//! its argument:
//!
//! ```text
//!   window   code page   the relocator's code; the entry point is its page mover
//!            arena       random words; among them page lists, and the pages that these move
//! ```
//!
//! A list is written into the arena and into a copy of it. The assembly moves pages of the arena,
//! the model moves pages of the copy, and then every byte of the window must equal the copy.
//! Windows lie in memory that is reserved from the kernel (`--vouch`, for example with
//! `memmap=64M$0x10000000` on the kernel's command line), where each call also moves the window
//! itself in and out, and in memory that is claimed from the kernel.
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
struct Args {
    /// Memory for a window that the kernel does not use
    #[arg(long, value_name = "START-END", value_parser = range)]
    vouch: Option<Range>,
    /// Seed of the lists
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Number of lists of each kind, for each mover and direction
    #[arg(long, default_value_t = 3)]
    lists: u64,
    /// Change a byte, so that the comparison must fail
    #[arg(long)]
    mutant: bool,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("exchange_check: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Pages in the arena of most lists, and in the arena of long lists.
const SMALL: u64 = 512;
const LARGE: u64 = 3000;

fn run(args: &Args) -> Result<()> {
    let (movers, missing) = Mover::of_this_cpu()?;
    let mut random = Random::new(args.seed);
    let mut tally = Tally::default();
    for pages in [SMALL, LARGE] {
        let lists = if pages == SMALL { args.lists } else { args.lists.div_ceil(10) };
        let vouched = args.vouch.map(|range| Window::vouched(range, pages));
        for window in vouched.into_iter().chain([Window::claimed(pages)]) {
            let window = window?;
            println!("{window}");
            let mut check =
                Check { window: &window, movers: &movers, random: &mut random, mutant: args.mutant };
            for kind in Kind::ALL {
                let of_kind = check.lists(kind, lists)?;
                println!("  {kind:<26} {of_kind}");
                tally.add(&of_kind);
            }
        }
    }
    for name in missing {
        println!("not tried, because this CPU lacks it: {name}");
    }
    println!("the same everywhere: {tally}");
    Ok(())
}

/// `START-END`; END is exclusive.
fn range(word: &str) -> Result<Range> {
    let number = |word: &str| u64::from_str_radix(word.trim_start_matches("0x"), 16);
    match word.split_once('-') {
        Some((start, end)) => Ok(Range { start: number(start)?, end: number(end)? }),
        None => bail!("expected two hexadecimal numbers: START-END"),
    }
}
