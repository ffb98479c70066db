//! Loads an image over this very program's memory, calls it, and looks whether the memory is as it was.
//!
//! The program fills memory with a pattern, asks the kernel which page frames it lies in, and loads an image of as many
//! segments of one page each, whose destinations are exactly these frames. The system is suspended for a call; the image
//! finds its own pages there, zeroes, and overwrites them. Back again, every byte must be the pattern's.
#![forbid(unsafe_code)]

mod image;
mod memory;

use std::process::ExitCode;

use abi::device::quiesce;
use anyhow::{Result, ensure};
use clap::Parser;

use image::Image;
use memory::Memory;

/// Loads an image over this program's memory, calls it, and looks whether the memory is as it was
#[derive(Parser)]
struct Words {
    /// How much memory
    #[arg(default_value_t = 32)]
    mebibytes: usize,
    /// How many calls
    #[arg(long, default_value_t = 2)]
    calls: u64,
}

fn main() -> ExitCode {
    match run(&Words::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("underneath: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(words: &Words) -> Result<()> {
    let memory = Memory::filled(words.mebibytes << 8);
    let (frames, before) = (memory.frames()?, memory.hash());
    let image = Image::load(&frames)?;
    println!("{} pages of memory, scattered over {} ranges, hash {before:016x}", frames.len(), runs(&frames));
    for number in 1..=words.calls {
        let call = image.call(quiesce::SUSPEND)?;
        let expected = if number == 1 { 0 } else { image.words() };
        ensure!(call.value == expected, "the image found {} of its words set, not {expected}", call.value);
        println!("call {number}: the image found {} of its {} words set", call.value, image.words());
    }
    ensure!(memory.frames()? == frames, "the memory lies elsewhere now");
    let after = memory.hash();
    println!("after the calls: hash {after:016x}");
    ensure!(after == before && memory.is_filled(), "the memory is not as it was");
    Ok(())
}

/// How many runs of neighbouring frames there are.
fn runs(frames: &[phys::Pfn]) -> usize {
    1 + frames.windows(2).filter(|pair| pair[0].checked_add(1) != Some(pair[1])).count()
}
