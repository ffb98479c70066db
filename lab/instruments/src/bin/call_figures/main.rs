//! Measures calls, for `cargo xtask bench call`: prints a JSON array of `{"name", "value",
//! "unit"}`.
#![forbid(unsafe_code)]

mod exchange;
mod figure;
mod image;
mod latency;
mod live;
mod spread;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use figure::Figure;

/// Measures calls of images
#[derive(Parser)]
struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// The speed of exchanging pages, and of copying memory in a program
    Exchange {
        /// Repetitions of each
        #[arg(long, default_value_t = 5)]
        rounds: u32,
        /// Sizes of images in MiB; each needs a payload window64-MIB
        #[arg(default_values_t = [1, 64, 400])]
        mebibytes: Vec<u64>,
    },
    /// The duration of a call without a suspend
    Quick {
        #[arg(long, default_value_t = 5000)]
        calls: u32,
    },
    /// The duration of a call with a suspend
    Suspend {
        #[arg(long, default_value_t = 50)]
        calls: u32,
    },
}

fn main() -> ExitCode {
    match run(&Args::parse().what).and_then(|figures| figure::print(&figures)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("call_figures: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(what: &What) -> Result<Vec<Figure>> {
    match what {
        What::Exchange { rounds, mebibytes } => {
            let figures = mebibytes.iter().map(|&mebibytes| exchange::figures(mebibytes, *rounds));
            Ok(figures.collect::<Result<Vec<_>>>()?.concat())
        }
        What::Quick { calls } => latency::quick(*calls),
        What::Suspend { calls } => latency::suspend(*calls),
    }
}
