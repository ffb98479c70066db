//! Compares two loads fact by fact.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::Result;

use crate::facts;

/// Facts that differ on purpose, with the reason; see `docs/differences.md`.
const INTENDED: &[(&str, &str)] = &[
    ("root_flags", "the kernel file's own flags of the root file system are kept"),
    ("root_dev", "kernels no longer find their root by a device number"),
    ("alt_mem_k", "not read by a kernel that reads the memory map"),
    ("loadflags", "the kernel file's own flags are kept"),
    ("screen_info", "passed on from the running kernel"),
    ("eddbuf entries", "passed on from the running kernel"),
    ("e820 000", "the first 1 KiB is passed on from the firmware"),
    ("secure_boot", "passed on from the running kernel"),
];

/// Prints the differences. Returns 1 if one of them is not intended.
pub(crate) fn compare(a: &Path, b: &Path) -> Result<u8> {
    let (first, second) = (facts::of(a)?, facts::of(b)?);
    let names: BTreeSet<&String> = first.keys().chain(second.keys()).collect();
    let mut unintended = 0;
    let mut same = 0;
    for name in names {
        let nothing = "nothing".to_owned();
        let (ours, theirs) = (first.get(name).unwrap_or(&nothing), second.get(name).unwrap_or(&nothing));
        if ours == theirs {
            same += 1;
            continue;
        }
        let why = INTENDED.iter().find(|(known, _)| known == name).map(|(_, why)| *why);
        unintended += usize::from(why.is_none());
        println!(
            "{} {name}: {ours} | {theirs}{}",
            if why.is_some() { "intended" } else { "DIFFERS " },
            why.map_or(String::new(), |why| format!(" ({why})"))
        );
    }
    println!("{same} facts are the same, {unintended} differ unintendedly");
    Ok(u8::from(unintended > 0))
}
