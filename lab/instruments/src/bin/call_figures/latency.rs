//! The duration of a call.

use std::time::Instant;

use abi::device::{Ticks, load_flag, quiesce};
use anyhow::{Result, ensure};

use crate::figure::Figure;
use crate::image::Image;
use crate::spread::Spread;

/// From the program and back to it, without a suspend.
pub(crate) fn quick(calls: u32) -> Result<Vec<Figure>> {
    let image = Image::load("sum64", load_flag::CLAIM)?;
    let mut times = Vec::new();
    for number in 1..=calls {
        let start = Instant::now();
        let call = image.call(ARGUMENTS, quiesce::NONE)?;
        times.push(start.elapsed().as_secs_f64() * 1e6);
        check(call.value, number)?;
    }
    let times = Spread::of(times);
    Ok(vec![
        Figure::new("quick call, median", times.median(), "us"),
        Figure::new("quick call, 99 of 100", times.quantile(99, 100), "us"),
        Figure::new("quick call, best", times.least(), "us"),
        Figure::new("bytes moved at a time", f64::from(8_u32 << image.mover), "bytes"),
    ])
}

/// By the time stamp counter: the clocks of programs stop while the system is suspended.
pub(crate) fn suspend(calls: u32) -> Result<Vec<Figure>> {
    let image = Image::load("sum64", 0)?;
    let mut all = Vec::new();
    for number in 1..=calls {
        let call = image.call(ARGUMENTS, quiesce::SUSPEND)?;
        check(call.value, number)?;
        all.push(call.ticks);
    }
    let spread = |of: fn(&Ticks) -> u64| Spread::of(all.iter().map(|ticks| image.seconds(of(ticks)) * 1e3));
    let whole = spread(|ticks| ticks.quiesce + ticks.enter + ticks.run + ticks.leave + ticks.resume);
    Ok(vec![
        Figure::new("suspend call, median", whole.median(), "ms"),
        Figure::new("suspend call, best", whole.least(), "ms"),
        Figure::new("suspend call, worst", whole.greatest(), "ms"),
        Figure::new("suspend call, quiesce", spread(|ticks| ticks.quiesce).median(), "ms"),
        Figure::new("suspend call, enter", spread(|ticks| ticks.enter).median(), "ms"),
        Figure::new("suspend call, run", spread(|ticks| ticks.run).median(), "ms"),
        Figure::new("suspend call, leave", spread(|ticks| ticks.leave).median(), "ms"),
        Figure::new("suspend call, resume", spread(|ticks| ticks.resume).median(), "ms"),
    ])
}

const ARGUMENTS: [u64; 6] = [1, 2, 3, 4, 5, 6];

/// The result of sum64: 1 * 1 + 2 * 2 ... + 6 * 6, plus 1000 for each call.
fn check(value: u64, call: u32) -> Result<()> {
    let expected = 91 + 1000 * u64::from(call);
    ensure!(value == expected, "call {call} returned {value}, not {expected}");
    Ok(())
}
