//! Images that change the state of the CPU.

use std::hint::black_box;

use abi::device::{Call, quiesce, status};
use anyhow::{Context as _, Result, ensure};

use crate::cpu::{Vectors, Watched, call_with};
use crate::image::{Plan, level};
use crate::numbers::argument;
use crate::registers::Registers;

/// `dirty COUNT LEVEL...`: after images that change the CPU's state, this program's registers,
/// rounding mode and breakpoint and the kernel's model-specific registers are as before.
pub(crate) fn dirty(arguments: &[String]) -> Result<()> {
    let count = argument(arguments, 0, "COUNT")?;
    stay_on_one_cpu()?;
    let registers = Registers::read(0)?;
    let mut watched = Watched::new().context("breakpoint")?;
    for name in ["dirty64", "dirty32"] {
        for word in &arguments[1..] {
            calls(name, count, level(word)?, &mut watched).with_context(|| format!("{name}, {word}"))?;
            registers.check(0).with_context(|| format!("{name}, {word}"))?;
        }
    }
    println!("mover {}", sys::Device::open()?.info()?.mover);
    println!("{count} calls of either kind at every level, {} MSRs", registers.len());
    Ok(())
}

fn stay_on_one_cpu() -> Result<()> {
    let mut first = rustix::thread::CpuSet::new();
    first.set(0);
    Ok(rustix::thread::sched_setaffinity(None, &first)?)
}

fn calls(name: &str, count: u64, level: u64, watched: &mut Watched) -> Result<()> {
    let plan = Plan::payload(name)?;
    // Unclaimed pages are exchanged, which the relocator must do in the state that the image left.
    let image = if level == quiesce::SUSPEND { plan.unclaimed() } else { plan }.load()?;
    for seed in 0..count {
        let before = Vectors::new(seed);
        let mut after = before.clone();
        let mut call = Call { size: size_of::<Call>() as u64, quiesce: level, ..Call::default() };
        call_with(&image.device, &mut call, &mut after)?;
        ensure!((call.status, call.value) == (status::RETURNED, 0x600d), "{call:x?}");
        ensure!(before == after, "vector registers: {before:x?} became {after:x?}");
        watched.check()?;
        arithmetic()?;
    }
    Ok(())
}

/// The rounding mode is to nearest, and precision is full.
fn arithmetic() -> Result<()> {
    let third = black_box(1.0_f64) / black_box(3.0);
    ensure!(third.to_bits() == 0x3fd5_5555_5555_5555, "1/3 is {third:e}");
    let root = black_box(2.0_f64).sqrt();
    ensure!(root.to_bits() == 0x3ff6_a09e_667f_3bcd, "the square root of 2 is {root:e}");
    Ok(())
}
