//! Two loads, fact by fact.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::Result;

use crate::facts;

/// Facts that differ on purpose, and why; `docs/differences.md` says the same to people.
const INTENDED: &[(&str, &str)] = &[
    ("root_flags", "the kernel file's own word on the root file system stays"),
    ("root_dev", "no kernel names its root by a number any more"),
    ("alt_mem_k", "a kernel that reads the memory map does not read this"),
    ("loadflags", "the kernel file's own flags stay"),
    ("screen_info", "the picture is told as the running kernel was told it"),
    ("eddbuf entries", "the disks are told as the running kernel was told them"),
    ("e820 000", "the first 1 KiB is told as the firmware told it"),
    ("secure_boot", "told as the running kernel was told it"),
];

/// Prints what differs; 1 if something differs that is not intended.
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
