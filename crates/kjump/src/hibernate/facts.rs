//! The facts about this machine that a hibernated kernel relies on.

use std::path::Path;
use std::time::SystemTime;

use anyhow::{Context, anyhow};
use hibernation::Facts;
use machine::Machine;

/// The features of a CPU that programs and the kernel use once they have found them. What a kernel
/// adds to the list itself differs from one kernel to the next.
const FEATURES: &[&str] = &[
    "adx",
    "aes",
    "amx_tile",
    "avx",
    "avx2",
    "avx512bw",
    "avx512cd",
    "avx512dq",
    "avx512f",
    "avx512vl",
    "bmi1",
    "bmi2",
    "clflushopt",
    "clwb",
    "cx16",
    "erms",
    "f16c",
    "fma",
    "fsgsbase",
    "fsrm",
    "gfni",
    "invpcid",
    "la57",
    "lahf_lm",
    "lm",
    "movbe",
    "nx",
    "pcid",
    "pclmulqdq",
    "pdpe1gb",
    "pku",
    "pni",
    "popcnt",
    "rdrand",
    "rdseed",
    "rdtscp",
    "sha_ni",
    "smap",
    "smep",
    "sse4_1",
    "sse4_2",
    "ssse3",
    "syscall",
    "umip",
    "vaes",
    "vpclmulqdq",
    "x2apic",
    "xsave",
    "xsavec",
    "xsaves",
];

/// The facts about this kernel and its machine, without file systems and the entry point.
pub(super) fn here(paging_levels: u64) -> anyhow::Result<Facts> {
    let machine = Machine::probe(Path::new("/"));
    let map = machine.firmware_map.map_err(|error| anyhow!("{error}"))?;
    let cpu = machine.cpu.map_err(|error| anyhow!("{error}"))?;
    let ram = map.iter().filter(|range| range.kind == "System RAM");
    let others = map.iter().filter(|range| range.kind != "System RAM");
    let others: String =
        others.map(|range| format!("{:x}-{:x} {}\n", range.first, range.last, range.kind)).collect();
    Ok(Facts {
        release: machine.release.map_err(|error| anyhow!("{error}"))?,
        host: machine::kernel::host_name(),
        entry: 0,
        seconds: now()?,
        ram: joined(ram.map(|range| [range.first, range.last.saturating_add(1)])),
        paging_levels,
        cpu_vendor: cpu.vendor.clone(),
        cpu_flags: FEATURES.iter().filter(|name| cpu.has(name)).map(|name| (*name).to_owned()).collect(),
        firmware: hibernation::digest(others.as_bytes()),
        file_systems: Vec::new(),
    })
}

/// Ranges that touch, as one: firmware may divide memory differently at each boot.
fn joined(ranges: impl Iterator<Item = [u64; 2]>) -> Vec<[u64; 2]> {
    let mut joined: Vec<[u64; 2]> = Vec::new();
    for [start, end] in ranges {
        match joined.last_mut() {
            Some(last) if last[1] == start => last[1] = end,
            _ => joined.push([start, end]),
        }
    }
    joined
}

fn now() -> anyhow::Result<u64> {
    let time = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    Ok(time.context("the clock is before 1970")?.as_secs())
}
