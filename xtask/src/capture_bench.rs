//! `cargo xtask bench capture`: how `/proc/vmcore` is saved where there is little room, beside Debian's makedumpfile.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use lab::cpio::Tree;
use lab::{Job, NEXT_INITRD, NEXT_KERNEL};

use crate::bench_task::Figure;
use crate::{peers, product, timed, tree};

/// How the figures are meant.
pub(crate) const MEANING: &str = "\
the shortest of the runs, which take turns, and the most memory that was in use
the crashed kernel had 2 GiB, and some of each kind of page; the dump goes to /dev/null";

/// What the crashed kernel has in its memory: page cache, memory of processes, free pages.
const BUSY: &str = "
    head -c 300000000 /dev/urandom > /tmp/noise
    cat /bin/* /lib/modules/*/* > /dev/null 2>&1 || true
    (yes 'memory of a process' | head -c 400000000 | sleep 9999) &
    sleep 10";

/// makedumpfile's options and ours for the same.
const CASES: [(&str, &str); 3] =
    [("-d 17 -l", "-d 17 -c lzo"), ("-d 31 -l", "-d 31 -c lzo"), ("-d 31 -c", "-d 31 -c zlib")];

/// Crashes a guest, and has its crash kernel measure.
pub(crate) fn figures(kernel: &str, runs: usize) -> Result<Vec<Figure>> {
    let vm = product::vm(kernel)?.smp(2).mem(2048).timeout(Duration::from_secs(1800)).without_module();
    let peer = peer_on_a_disk()?;
    let vm = vm.append("crashkernel=256M").disk(&peer).successor(Job::shell(measuring(runs)));
    let crash = format!(
        "set -e
        {BUSY}
        kexec -p {NEXT_KERNEL} --initrd={NEXT_INITRD} \\
            --command-line='console=ttyS0 panic=-1 nr_cpus=1 reset_devices irqpoll no_timer_check'
        sync
        echo c > /proc/sysrq-trigger"
    );
    let outcome = vm.run(&crash)?.somehow();
    let text = outcome.text();
    ensure!(
        outcome.status == 0 && !outcome.alone,
        "nothing was measured: {text}{}(the kernels' log is {})",
        String::from_utf8_lossy(&outcome.err),
        outcome.log.display()
    );
    report(&text).with_context(|| format!("what was measured makes no sense: {text}"))
}

/// An archive, in place of a file system that the crash kernel would need a driver for.
fn peer_on_a_disk() -> Result<PathBuf> {
    let mut tree = Tree::default();
    tree.host_file(peers::IN_GUEST, &peers::MAKEDUMPFILE.directory()?)?;
    let disk = tree::target().join("material");
    std::fs::create_dir_all(&disk)?;
    let disk = disk.join("makedumpfile.cpio");
    tree.write(&disk)?;
    Ok(disk)
}

/// Killing a program for want of memory is a failure, whichever it is.
fn measuring(runs: usize) -> String {
    let mut script = "cd / && cpio -i -d < /dev/vda 2> /dev/null || exit 9\n".to_owned();
    for _ in 0..runs {
        for (theirs, ours) in CASES {
            let peer = format!("/peer/makedumpfile --message-level 4 -f {theirs} /proc/vmcore /dev/null");
            script += &timed::command(&key(theirs, "makedumpfile"), &peer);
            script += &timed::command(
                &key(theirs, "kjump"),
                &format!("kjump dump save {ours} /proc/vmcore /dev/null"),
            );
        }
    }
    script + "! dmesg | grep -E 'Out of memory|invoked oom-killer'"
}

fn key(case: &str, tool: &str) -> String {
    format!("{case} {tool}")
}

fn report(text: &str) -> Option<Vec<Figure>> {
    let runs = timed::runs(text)?;
    let mut figures = Vec::new();
    for (case, _) in CASES {
        let [theirs, ours] = ["makedumpfile", "kjump"].map(|tool| runs.get(&key(case, tool)));
        let (theirs, ours) = (theirs?, ours?);
        for (what, value, unit) in [
            ("makedumpfile", theirs.seconds, "s"),
            ("kjump", ours.seconds, "s"),
            ("times makedumpfile", theirs.seconds / ours.seconds, ""),
            ("makedumpfile, memory", theirs.peak_mebibytes, "MiB"),
            ("kjump, memory", ours.peak_mebibytes, "MiB"),
        ] {
            figures.push(Figure { name: format!("{case}: {what}"), value, unit: unit.to_owned() });
        }
    }
    Some(figures)
}
