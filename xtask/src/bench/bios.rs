//! `cargo xtask bench bios`: how long calls of the BIOS take.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use lab::Vm;
use serde_json::Value;

use crate::bench::figure::Figure;
use crate::build::product;

/// The meaning of the figures.
pub(crate) const MEANING: &str = "\
all: median time of the whole call, by the time stamp counter: into real mode, the BIOS, and back
map entry: INT 15h E820h; memory map: the same until its end; identity: 4F15h, the monitor
wait: INT 15h 86h for 20 ms";

/// Name, arguments of `kjump bios`.
const CALLS: &[(&str, &str)] = &[
    ("base memory, none", "0x12 --quiesce none --repeat 1000"),
    ("base memory, stop", "0x12 --quiesce stop --repeat 200"),
    ("base memory, suspend", "0x12 --quiesce suspend --repeat 10"),
    ("map entry, none", "0x15 --eax 0xe820 --ecx 24 --edx 0x534d4150 --buffer 512 --repeat 1000"),
    ("memory map, none", "0x15 --eax 0xe820 --ecx 24 --edx 0x534d4150 --loop --buffer 512 --repeat 1000"),
    ("identity, none", "0x10 --eax 0x4f15 --ebx 1 --buffer 128 --repeat 1000"),
    ("wait of 20 ms, stop", "0x15 --eax 0x8600 --edx 20000 --repeat 20"),
];

/// Measures in a guest with two CPUs.
pub(crate) fn figures(kernel: &str) -> Result<Vec<Figure>> {
    let vm = product::vm(kernel)?.smp(2).timeout(Duration::from_secs(300)).qemu("-vga").qemu("std");
    CALLS.iter().map(|(name, arguments)| measured(&vm, name, arguments)).collect()
}

fn measured(vm: &Vm, name: &str, arguments: &str) -> Result<Figure> {
    let outcome = vm.run(&format!("kjump bios --json {arguments}"))?.into_outcome();
    let complaint = String::from_utf8_lossy(&outcome.err).into_owned();
    ensure!(outcome.status == 0, "{name}: {complaint}(the kernel's log is {})", outcome.log.display());
    let report: Value = serde_json::from_str(&outcome.text())?;
    let milliseconds = report["milliseconds"].as_f64().context("the guest's counter has no known rate")?;
    Ok(Figure { name: name.to_owned(), value: milliseconds * 1e3, unit: "us".to_owned() })
}
