//! The speed of exchanging pages.
//!
//! An image over memory in use is exchanged with it page by page before a call, and again after it.
//! The speed is that of one exchange: the bytes of the exchanged pages, divided by half the time of
//! both. Pages that were free at the load are in place already and do not count. For comparison, a
//! program copies the same number of bytes.

use std::hint::black_box;
use std::time::Instant;

use abi::device::quiesce;
use anyhow::{Result, ensure};
use phys::{PAGE_SIZE, PhysRange};

use crate::figure::Figure;
use crate::image::Image;
use crate::live::Live;
use crate::spread::Spread;
use instruments::physical::Page;

/// The start address of the payloads.
const START: u64 = 4 << 20;
const MEBI: f64 = 1_048_576.0;

pub(crate) fn figures(mebibytes: u64, rounds: u32) -> Result<Vec<Figure>> {
    let before = copies(mebibytes, rounds)?;
    let (live, exchanges) = exchanges(mebibytes, rounds)?;
    let after = copies(mebibytes, rounds)?;
    let (copy, exchange) = (Spread::of(before.into_iter().chain(after)), Spread::of(exchanges));
    let figure = |name: &str, value, unit| Figure::new(format!("{mebibytes} MiB: {name}"), value, unit);
    Ok(vec![
        figure("live", live, "MiB"),
        figure("exchange, median", exchange.median(), "MiB/s"),
        figure("exchange, best", exchange.greatest(), "MiB/s"),
        figure("memcpy, median", copy.median(), "MiB/s"),
        figure("memcpy, best", copy.greatest(), "MiB/s"),
        figure("exchange/memcpy, medians", exchange.median() / copy.median(), ""),
        figure("exchange/memcpy, bests", exchange.greatest() / copy.greatest(), ""),
    ])
}

/// Copies between pages that are already in memory. Returns MiB/s.
fn copies(mebibytes: u64, rounds: u32) -> Result<Vec<f64>> {
    let pages = usize::try_from((mebibytes << 20) / PAGE_SIZE)?;
    let (source, mut destination) = (vec![Page([1; 512]); pages], vec![Page([2; 512]); pages]);
    let mut speeds = Vec::new();
    for _ in 0..rounds {
        let start = Instant::now();
        black_box(&mut destination).copy_from_slice(black_box(&source));
        speeds.push(speed(pages as u64 * PAGE_SIZE, start.elapsed().as_secs_f64()));
    }
    ensure!(source == destination, "a copy differs");
    Ok(speeds)
}

/// Calls an image over memory in use. Returns the MiB exchanged each way, and MiB/s.
fn exchanges(mebibytes: u64, rounds: u32) -> Result<(f64, Vec<f64>)> {
    let range = PhysRange::from_bytes(START, mebibytes << 20)?;
    // Programs get memory below 16 MiB last, and the kernel's memory there does not move.
    let live = (range.end() > 16 << 20).then(|| Live::fill(range)).transpose()?;
    let image = Image::load(&format!("window64-{mebibytes}"), 0)?;
    let bytes = image.load.in_use * PAGE_SIZE;
    let mut speeds = Vec::new();
    for round in 1..=rounds {
        let call = image.call([round.into(), 0, 0, 0, 0, 0], quiesce::SUSPEND)?;
        ensure!(call.value == 0, "{} words of the image changed between calls", call.value);
        speeds.push(speed(bytes, image.seconds(call.ticks.exchange) / 2.0));
    }
    drop(live);
    Ok((mebi(bytes), speeds))
}

fn speed(bytes: u64, seconds: f64) -> f64 {
    mebi(bytes) / seconds
}

#[expect(clippy::cast_precision_loss, reason = "less than 2^53 bytes")]
fn mebi(bytes: u64) -> f64 {
    bytes as f64 / MEBI
}
