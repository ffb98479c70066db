//! Calls an image over memory that is in use, and shows that the memory does not change.
//!
//! The memory is this program's own pages, filled with known words, and the kernel's code and
//! read-only data. The image adds up and overwrites all of it, and finds its own words there, not
//! those of the program and the kernel. After each call, physical memory, read through
//! `/proc/kcore`, has the same bytes as before. The kernel's code is not compared, because the
//! kernel itself changes it at times (jump labels): here it is enough that it runs.
#![forbid(unsafe_code)]

mod kcore;
mod memory;
mod overlay;

use std::process::ExitCode;

use abi::device::{Ticks, quiesce, status};
use anyhow::{Context as _, Result, ensure};
use clap::Parser;
use instruments::physical::Page;
use serde::Serialize;
use sys::Device;

use memory::{Contents, Digests, Memory};
use overlay::Overlay;

/// Calls an image in place of this program's and the kernel's memory, and checks that the memory is
/// as before
#[derive(Parser)]
struct Args {
    /// MiB of this program's memory
    #[arg(default_value_t = 4, value_parser = clap::value_parser!(u64).range(1..1 << 20))]
    mebibytes: u64,
    /// Number of calls
    #[arg(long, default_value_t = 2)]
    calls: u64,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("underneath: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The result.
#[derive(Serialize)]
struct Report {
    /// Pages of this program, of the kernel's code and of its read-only data; all in use.
    own_pages: usize,
    kernel_code_pages: usize,
    kernel_data_pages: usize,
    before: Digests,
    after: Digests,
    /// The values returned: the sums of the words that the image found, first its own, then those
    /// of the previous call.
    values: Vec<u64>,
    /// The time of each call, by the time stamp counter.
    milliseconds: Vec<f64>,
}

fn run(args: &Args) -> Result<()> {
    let own: Vec<Page> = (0..args.mebibytes << 8).map(|number| known_page(1, number)).collect();
    let memory = Memory::find(&own)?;
    let before = memory.read()?;
    before.check_own(&own)?;
    let (values, milliseconds) = calls(args.calls, &own, &memory, &before)?;
    memory.check_place(&own)?;
    print(
        &Report {
            own_pages: memory.own.len(),
            kernel_code_pages: memory.kernel_code.len(),
            kernel_data_pages: memory.kernel_data.len(),
            before: before.digests(),
            after: memory.read()?.digests(),
            values,
            milliseconds,
        },
        args.json,
    )
}

/// Calls an image that overwrites the memory, and compares the memory after each call. Returns
/// values and times.
fn calls(count: u64, own: &[Page], memory: &Memory, before: &Contents) -> Result<(Vec<u64>, Vec<f64>)> {
    let device = Device::open()?;
    let khz = device.info()?.tsc_khz;
    let overlay = Overlay::new(memory.frames(), |number| known_page(2, number))?;
    let load = overlay.load(&device)?;
    ensure!(load.in_use == load.pages, "{} of {} pages are not in use", load.pages - load.in_use, load.pages);
    let (mut values, mut milliseconds) = (Vec::new(), Vec::new());
    let mut expected = overlay.words().fold(0, u64::wrapping_add);
    for number in 1..=count {
        let call = device.call([overlay.table(), number, 0, 0, 0, 0], quiesce::SUSPEND)?;
        ensure!(call.status == status::RETURNED, "the image ends in exception {}", call.fault.vector);
        ensure!(call.value == expected, "call {number} returned {:#x} and not {expected:#x}", call.value);
        memory.compare(before).with_context(|| format!("after call {number}"))?;
        ensure!(is_known(own), "after call {number} this program finds other words in its memory");
        // The image wrote the number over all of its words.
        expected = (overlay.words().count() as u64).wrapping_mul(number);
        values.push(call.value);
        milliseconds.push(in_milliseconds(&call.ticks, khz));
    }
    Ok((values, milliseconds))
}

fn print(report: &Report, json: bool) -> Result<()> {
    if json {
        println!("{}", serde_json::to_string(&report)?);
        return Ok(());
    }
    let Report { own_pages, kernel_code_pages, kernel_data_pages, before, after, .. } = report;
    println!(
        "{} calls of an image over {own_pages} pages of this program, \
         {kernel_code_pages} of the kernel's code and {kernel_data_pages} of its read-only data",
        report.values.len()
    );
    println!("this program's pages:    hash {} before, {} after", before.own, after.own);
    println!("kernel's read-only data: hash {} before, {} after", before.kernel_data, after.kernel_data);
    Ok(())
}

/// The words of a page, of this program or of the image.
fn known_page(seed: u64, number: u64) -> Page {
    let first = seed << 48 | number << 9;
    Page(std::array::from_fn(|word| (first | word as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)))
}

fn is_known(own: &[Page]) -> bool {
    own.iter().zip(0..).all(|(page, number)| *page == known_page(1, number))
}

#[expect(clippy::cast_precision_loss, reason = "53 bits of ticks are weeks")]
fn in_milliseconds(ticks: &Ticks, khz: u64) -> f64 {
    (ticks.quiesce + ticks.enter + ticks.run + ticks.leave + ticks.resume) as f64 / khz as f64
}
