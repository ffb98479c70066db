//! `cargo xtask bench capture`: saving `/proc/vmcore` in a crash kernel with little memory,
//! compared with Debian's makedumpfile.

use anyhow::{Context as _, Result};
use lab::cpio::Tree;

use crate::bench::figure::Figure;
use crate::debian::reference;
use crate::guest::crash_kernel::Crash;
use crate::guest::timed;

/// The meaning of the figures.
pub(crate) const MEANING: &str = "\
the shortest time of all runs, which alternate, and the largest memory use
the crashed kernel had 2 GiB, with pages of every kind
a dump to a disk includes the time to write it to the disk (sync)";

/// Fills the crashed kernel's memory: page cache, memory of processes, free pages.
const BUSY: &str = "
    head -c 300000000 /dev/urandom > /tmp/noise
    cat /bin/* /lib/modules/*/* > /dev/null 2>&1 || true
    (yes 'memory of a process' | head -c 400000000 | sleep 9999) &
    sleep 10";

/// makedumpfile's options, kjump's equivalent, and the destination.
const CASES: [(&str, &str, &str); 5] = [
    ("-d 17 -l", "-d 17 -c lzo", "/dev/null"),
    ("-d 31 -l", "-d 31 -c lzo", "/dev/null"),
    ("-d 31 -c", "-d 31 -c zlib", "/dev/null"),
    ("-d 17 -l", "-d 17 -c lzo", DISK),
    ("-d 31 -l", "-d 31 -c lzo", DISK),
];

/// The second disk.
const DISK: &str = "/dev/vdb";

/// Crashes a guest and measures in its crash kernel.
pub(crate) fn figures(kernel: &str, runs: usize) -> Result<Vec<Figure>> {
    let mut tree = Tree::default();
    tree.host_file(reference::IN_GUEST, &reference::MAKEDUMPFILE.directory()?)?;
    let (programs, job) = (("makedumpfile", tree), measuring(runs));
    let text = Crash { kernel, mebibytes: 2048, programs, room: 2048, before: BUSY, job: &job }.run()?.text();
    report(&text).with_context(|| format!("cannot parse the measurements: {text}"))
}

/// Fails if the kernel kills any program for lack of memory.
fn measuring(runs: usize) -> String {
    let mut script = String::new();
    for _ in 0..runs {
        for (theirs, ours, to) in CASES {
            for (tool, line) in [
                (
                    "makedumpfile",
                    format!("/reference/makedumpfile --message-level 4 -f {theirs} /proc/vmcore {to}"),
                ),
                ("kjump", format!("kjump dump save {ours} /proc/vmcore {to}")),
            ] {
                let line = if to == DISK { format!("sh -c '{line} && sync'") } else { line };
                script += &timed::command(&key(theirs, to, tool), &line);
            }
        }
    }
    script + "! dmesg | grep -E 'Out of memory|invoked oom-killer'"
}

fn key(case: &str, to: &str, tool: &str) -> String {
    format!("{case} {to} {tool}")
}

fn report(text: &str) -> Option<Vec<Figure>> {
    let runs = timed::runs(text)?;
    let mut figures = Vec::new();
    for (case, _, to) in CASES {
        let [theirs, ours] = ["makedumpfile", "kjump"].map(|tool| runs.get(&key(case, to, tool)));
        let (theirs, ours) = (theirs?, ours?);
        for (what, value, unit) in [
            ("makedumpfile", theirs.seconds, "s"),
            ("kjump", ours.seconds, "s"),
            ("times makedumpfile", theirs.seconds / ours.seconds, ""),
            ("makedumpfile, memory", theirs.peak_mebibytes, "MiB"),
            ("kjump, memory", ours.peak_mebibytes, "MiB"),
        ] {
            figures.push(Figure { name: format!("{case} {to}: {what}"), value, unit: unit.to_owned() });
        }
    }
    Some(figures)
}
