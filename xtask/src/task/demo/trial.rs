//! `cargo xtask demo trial`: kernels are tried next to the running one, which goes on each time.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};
use lab::Job;

use super::chapters::{number, text};
use super::facts::Facts;
use super::report::{Chapter, Report};
use super::{sha256, show};
use crate::build::product;
use crate::debian::kernels;
use crate::{program, tree};

/// The guest's program. Every part starts with a line that names it for [`CHAPTERS`].
///
/// The initrd is made as those of distributions are: drivers with the lists of depmod, modprobe,
/// and an init, which here writes to the disk. No trial may run it.
const SCRIPT: &str = r#"
. /lib/lab.sh
part() { echo "==== $1"; }
release=$(uname -r)
make() {
    mkdir -p /tmp/tree/bin /tmp/tree/lib/modules; cd /tmp/tree
    cp -r /lib/modules/$release lib/modules/
    rm -rf lib/modules/$release/extra
    [ -z "$2" ] || find lib/modules -name "$2" -exec rm {} +
    depmod -b /tmp/tree $release
    cp /bin/busybox bin/busybox; mkdir -p sbin; ln -s ../bin/busybox sbin/modprobe
    echo '#!/bin/busybox sh' > init
    echo 'busybox dd if=/dev/zero of=/dev/vda bs=1M count=1' >> init
    chmod +x init
    find . | cpio -o -H newc 2> /dev/null | gzip -1 > $1
    cd /; rm -rf /tmp/tree
}
ip link set eth0 up 2> /dev/null
make /tmp/good; make /tmp/diskless virtio_blk.ko
work() {
    echo 3 > /proc/sys/vm/drop_caches; sha256sum < /dev/vda
    ping -c 1 -W 9 10.0.2.2 > /dev/null && echo the network answers
    nproc
}
ip addr add 10.0.2.15/24 dev eth0 2> /dev/null
try() {
    kjump try --json --kernel /boot/next --root LABEL=system --memory 256M --deadline 60 \
        --append 'console=ttyS0 quiet no_timer_check' "$@"
    status=$?
}
part before; work
part good; try --initrd /tmp/good
part good-after; echo "status $status"; work
part diskless; try --initrd /tmp/diskless
part diskless-after; echo "status $status"; work
part panics; try --initrd /tmp/good \
    --health 'echo "<1>the kernel panics" > /dev/kmsg; echo c > /proc/sysrq-trigger'
part panics-after; echo "status $status"; work
cp /boot/next /boot/b; damaged /tmp/hangs '\353\376'
part hangs; kjump try --json --kernel /tmp/hangs --initrd /tmp/good --memory 256M --deadline 8 \
    --append 'console=ttyS0 quiet no_timer_check'; status=$?
part hangs-after; echo "status $status"; work
part peers; kjump peers
part log; dmesg | complaints; [ $? = 1 ] || echo bad
part end
"#;

const CHAPTERS: &[Chapter] = &[
    ("before", before),
    ("good", good),
    ("good-after", |report| goes_on(report, "good-after", 0)),
    ("diskless", diskless),
    ("diskless-after", |report| goes_on(report, "diskless-after", 1)),
    ("panics", panics),
    ("panics-after", |report| goes_on(report, "panics-after", 4)),
    ("hangs", hangs),
    ("hangs-after", |report| goes_on(report, "hangs-after", 5)),
    ("peers", peers),
    ("log", log),
];

/// Builds, boots, runs and checks, as the other demos do.
///
/// # Errors
/// A part does not build, or the guest cannot be prepared.
pub(super) fn run(kernel: &str) -> Result<bool> {
    println!("Building kjump and its module for Debian's kernel {kernel}.");
    let vm = product::vm(kernel)?;
    let disk = disk()?;
    let kernel = kernels::get(kernel)?;
    let facts = Facts { release: kernel.release.clone(), disk: sha256(&disk)?, ..Facts::default() };
    println!("Booting Debian's unmodified kernel in QEMU with 2 CPUs, a disk and a network.");
    let vm = vm.smp(2).mem(1024).driver("ext4").file(kernel.image(), "/boot/next");
    let vm = vm.timeout(Duration::from_secs(900));
    show(&vm, &Job::shell(SCRIPT), &disk, Report::new(facts, CHAPTERS), |report, _| {
        report.heading("At the end");
    })
}

/// A disk with an ext4 that is called system.
fn disk() -> Result<PathBuf> {
    let dir = tree::target().join("demo");
    std::fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
    let path = dir.join("system");
    let path_of_tools = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
    let mut make = Command::new("mke2fs");
    make.env("PATH", path_of_tools).args(["-q", "-F", "-t", "ext4", "-L", "system"]).arg(&path).arg("32M");
    program::read(&mut make)?;
    Ok(path)
}

fn before(report: &mut Report) {
    report.heading("Before");
    let found = report.part("before").to_owned();
    report.check("the disk is as it was made", found.starts_with(&report.facts.disk), &found);
}

/// Shows a verdict, and checks it.
fn verdict(report: &mut Report, part: &str, kernel: &str, expected: &str) -> serde_json::Value {
    report.heading(&format!("# kjump try --kernel vmlinuz --initrd initrd   ({kernel})"));
    let answer = report.json(part);
    let found = text(&answer, "/verdict").to_owned();
    report.print(&format!("verdict: {found}, after {:.1} s", number(&answer, "/seconds")));
    for difference in
        answer.pointer("/differences").and_then(serde_json::Value::as_array).into_iter().flatten()
    {
        report.print(difference.as_str().unwrap_or_default());
    }
    report.check(&format!("the verdict is {expected}"), found == expected, &answer.to_string());
    answer
}

fn good(report: &mut Report) {
    let answer = verdict(report, "good", "a good kernel", "healthy");
    let right = text(&answer, "/kernel") == report.facts.release;
    report.check("the kernel that was tried is named", right, &answer.to_string());
}

fn diskless(report: &mut Report) {
    let answer = verdict(report, "diskless", "without the disk's driver", "unhealthy");
    let found = answer.to_string();
    report.check(
        "the driver is named",
        found.contains("driver virtio_blk does not serve virtio device"),
        &found,
    );
    report.check("the root file system is named", found.contains("root file system LABEL=system"), &found);
}

fn panics(report: &mut Report) {
    let answer = verdict(report, "panics", "a kernel that panics", "panicked");
    let log = text(&answer, "/log").to_owned();
    let right = log.contains("the kernel panics") && log.contains("Kernel panic");
    report.check("with the last lines of its log", right, &log);
}

fn hangs(report: &mut Report) {
    verdict(report, "hangs", "a kernel that hangs at its first instruction", "hung");
}

/// The first kernel after a trial with this exit status.
fn goes_on(report: &mut Report, part: &str, status: u8) {
    let found = report.part(part).to_owned();
    let mut lines = found.lines();
    let right = lines.next() == Some(&format!("status {status}"));
    report.check(&format!("the exit status is {status}"), right, &found);
    let disk = lines.next().is_some_and(|line| line.starts_with(&report.facts.disk));
    report.check("the first kernel reads the disk, which is unchanged", disk, &found);
    let rest: Vec<&str> = lines.collect();
    report.check(
        "its network answers, and both CPUs are online",
        rest == ["the network answers", "2"],
        &found,
    );
}

fn peers(report: &mut Report) {
    let found = report.part("peers").to_owned();
    report.check(
        "no kernel that was tried is left in memory",
        found == "no other kernel is resident",
        &found,
    );
}

fn log(report: &mut Report) {
    let found = report.part("log").to_owned();
    report.check("the first kernel's log has no warning and no bug", found.is_empty(), &found);
}
