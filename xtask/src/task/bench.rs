//! `cargo xtask bench NAME`: measurements, as text or JSON.

use std::io::{self, Write as _};

use anyhow::{Context as _, Result};
use clap::Args;

use crate::bench::figure::Figure;
use crate::bench::{bios, call, capture, downtime, dump, hibernate, load, switch};
use crate::program;

/// Measure something
#[derive(Args)]
#[command(after_help = names())]
pub(crate) struct BenchArgs {
    /// What to measure
    name: String,
    /// Print a JSON array of {name, value, unit}
    #[arg(long)]
    json: bool,
    /// The kernel, for benches in a virtual machine
    #[arg(long, default_value = "6.1")]
    kernel: String,
    /// The number of runs, for benches that take several
    #[arg(long, default_value_t = 5, value_name = "N")]
    runs: usize,
    /// For dump: measure sparse images of growing size
    #[arg(long)]
    scale: bool,
}

struct Bench {
    name: &'static str,
    about: &'static str,
    /// The meaning of the figures, if their names do not explain it.
    meaning: &'static str,
    measure: fn(&BenchArgs) -> Result<Vec<Figure>>,
}

/// The one table of benches.
const BENCHES: &[Bench] = &[
    Bench {
        name: "kimage",
        about: "loading 10^4 to 10^7 pages: time, memory, growth",
        meaning: "",
        measure: |_| kimage(),
    },
    Bench {
        name: "call",
        about: "calls of images in a virtual machine: time, speed of the exchange",
        meaning: call::MEANING,
        measure: |args| call::figures(&args.kernel),
    },
    Bench {
        name: "bios",
        about: "calls of the BIOS in a virtual machine: time by level",
        meaning: bios::MEANING,
        measure: |args| bios::figures(&args.kernel),
    },
    Bench {
        name: "dump",
        about: "saving memory images, compared with makedumpfile: time, memory, size",
        meaning: dump::MEANING,
        measure: |args| dump::figures(&args.kernel, args.runs, args.scale),
    },
    Bench {
        name: "capture",
        about: "saving /proc/vmcore in a crash kernel with one CPU and 256 MB, compared with makedumpfile",
        meaning: capture::MEANING,
        measure: |args| capture::figures(&args.kernel, args.runs),
    },
    Bench {
        name: "load",
        about: "loading and starting a kernel in a virtual machine, compared with kexec-tools",
        meaning: load::MEANING,
        measure: |args| load::figures(&args.kernel),
    },
    Bench {
        name: "downtime",
        about: "from `kexec -e` to the next kernel's /init, by phase, compared with kexec-tools",
        meaning: downtime::MEANING,
        measure: |args| downtime::figures(&args.kernel),
    },
    Bench {
        name: "switch",
        about: "switching to another kernel and back in a virtual machine, by phase",
        meaning: switch::MEANING,
        measure: |args| switch::figures(&args.kernel),
    },
    Bench {
        name: "hibernate",
        about: "hibernating and resuming a virtual machine, compared with the kernel's own way",
        meaning: hibernate::MEANING,
        measure: |args| hibernate::figures(&args.kernel),
    },
];

/// Measures and prints.
///
/// # Errors
/// There is no such bench, or it fails.
pub(crate) fn run(args: &BenchArgs) -> Result<()> {
    let bench = BENCHES.iter().find(|bench| bench.name == args.name);
    let bench = bench.with_context(|| format!("no bench {}; {}", args.name, names()))?;
    anyhow::ensure!(args.runs > 0, "--runs: must be at least 1");
    let figures = (bench.measure)(args)?;
    let mut out = io::stdout().lock();
    if args.json {
        serde_json::to_writer_pretty(&mut out, &figures)?;
        return Ok(writeln!(out)?);
    }
    let width = figures.iter().map(|figure| figure.name.len()).max().unwrap_or_default();
    for Figure { name, value, unit } in &figures {
        writeln!(out, "{name:<width$}  {:>14} {unit}", rounded(*value))?;
    }
    if !bench.meaning.is_empty() {
        writeln!(out, "\n{}", bench.meaning)?;
    }
    Ok(())
}

fn names() -> String {
    let lines = BENCHES.iter().map(|bench| format!("\n  {:<10} {}", bench.name, bench.about));
    format!("Benches:{}", lines.collect::<String>())
}

/// Four significant digits.
fn rounded(value: f64) -> String {
    if value != 0.0 && value.abs() < 1000.0 { significant(value) } else { format!("{value:.0}") }
}

fn significant(value: f64) -> String {
    let exponent = value.abs().log10().floor();
    let decimals = (3.0 - exponent).clamp(0.0, 12.0);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 12")]
    let decimals = decimals as usize;
    format!("{value:.decimals$}")
}

/// The bench program of the crate, which prints its figures as JSON.
fn kimage() -> Result<Vec<Figure>> {
    let mut cargo = program::cargo();
    cargo.args(["bench", "--quiet", "--package", "kimage", "--bench", "kimage", "--", "--json"]);
    Ok(serde_json::from_str(&program::read(&mut cargo)?)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_has_four_digits() {
        let shown = [0.0, 0.001_234_56, 1.5, 12.345_67, 999.96, 1234.5, -0.5].map(rounded);
        assert_eq!(shown, ["0", "0.001235", "1.500", "12.35", "1000.0", "1234", "-0.5000"]);
    }
}
