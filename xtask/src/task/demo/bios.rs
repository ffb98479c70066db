//! `cargo xtask demo bios`: the running kernel calls the BIOS, ends a call that hangs, and has its
//! own memory tested in place.

use std::time::Duration;

use anyhow::Result;
use lab::Job;

use super::chapters::halves;
use super::facts::Facts;
use super::report::{Chapter, Report};
use super::{DISK_BYTES, random_file, sha256, show};
use crate::build::product;
use crate::debian::kernels;

/// Every part starts with a line that names it for [`CHAPTERS`].
const SCRIPT: &str = r#"
part() { echo "==== $1"; }
part kernel; uname -r; nproc
part e820; kjump bios e820; echo "exit status $?"
part edid; kjump bios edid; echo "exit status $?"
part hang; kjump bios 0x16 --deadline 1000; echo "exit status $?"
part divide; printf '\x31\xc0\xf7\xf0\xcb' > /tmp/program
kjump bios @:0 --in /tmp/program; echo "exit status $?"
part many; kjump bios 0x15 --eax 0xe820 --ecx 24 --edx 0x534d4150 --loop --buffer 512 --repeat 1000
part text
first=$(awk '/Kernel code/ { split($1, ends, "-"); print ends[1]; exit }' /proc/iomem)
last=$(awk '/Kernel bss/ { split($1, ends, "-"); print ends[2]; exit }' /proc/iomem)
kjump memtest --range 0x$first-$(printf '%#x' $((0x$last | 4095))); echo "exit status $?"
part rom; kjump memtest --range 0xf0000-0xf1000 | head -4
part after; echo 3 > /proc/sys/vm/drop_caches; sha256sum < /dev/vda; nproc
part log; dmesg | complaints; [ $? = 1 ] || echo bad
part end
"#;

const CHAPTERS: &[Chapter] = &[
    ("kernel", kernel),
    ("e820", memory_map),
    ("edid", monitor),
    ("hang", hang),
    ("divide", divide),
    ("many", many),
    ("text", text),
    ("rom", rom),
    ("after", after),
    ("log", log),
];

/// Builds, boots, runs and checks, as the other demos do.
///
/// # Errors
/// A part does not build, or the guest cannot be prepared.
pub(super) fn run(kernel: &str) -> Result<bool> {
    println!("Building kjump and its module for Debian's kernel {kernel}.");
    let vm = product::vm(kernel)?.smp(2).qemu("-vga").qemu("std").timeout(Duration::from_secs(170));
    let disk = random_file("disk", DISK_BYTES)?;
    let facts = Facts { release: kernels::get(kernel)?.release, disk: sha256(&disk)?, ..Facts::default() };
    println!("Booting Debian's unmodified kernel in QEMU with 2 CPUs, a BIOS, a monitor and a disk.");
    show(&vm, &Job::shell(SCRIPT), &disk, Report::new(facts, CHAPTERS), |report, _| {
        report.heading("At the end");
    })
}

fn kernel(report: &mut Report) {
    let (release, cpus) = halves(report.part("kernel"));
    report.heading(&format!("Linux {release}, {cpus} CPUs"));
    report.check("the kernel is Debian's", release == report.facts.release, &release);
}

/// Shows a part, and checks that it contains all of these.
fn shows(report: &mut Report, part: &str, checks: &[(&str, &str)]) {
    let found = report.part(part).to_owned();
    report.print(&found);
    for (what, wanted) in checks {
        report.check(what, found.contains(wanted), &found);
    }
    report.check("nothing was left changed", !found.contains("changed:"), &found);
}

fn memory_map(report: &mut Report) {
    report.heading("# kjump bios e820");
    report.print("INT 15h E820h, in real mode, until the BIOS has no more ranges:");
    let checks = [
        ("the map is the one that the kernel got at boot", "\nequal to /sys/firmware/memmap"),
        ("the exit status is 0", "exit status 0"),
    ];
    shows(report, "e820", &checks);
}

fn monitor(report: &mut Report) {
    report.heading("# kjump bios edid");
    shows(
        report,
        "edid",
        &[("the monitor is QEMU's", "QEMU Monitor"), ("the exit status is 0", "exit status 0")],
    );
}

fn hang(report: &mut Report) {
    report.heading("# kjump bios 0x16 --deadline 1000");
    report.print("The BIOS waits for a key that nobody presses.");
    let checks = [
        ("the call was ended in the BIOS, at its deadline", "before its deadline; it was ended at f000:"),
        ("the exit status is 5", "exit status 5"),
    ];
    shows(report, "hang", &checks);
}

fn divide(report: &mut Report) {
    report.heading("# kjump bios @:0 --in program");
    report.print("A program of 5 bytes in real mode divides by zero.");
    let checks = [
        ("the exception is reported with its address", "exception 0 (divide error) at 2000:0002"),
        ("the exit status is 3", "exit status 3"),
    ];
    shows(report, "divide", &checks);
}

fn many(report: &mut Report) {
    report.heading(
        "# kjump bios 0x15 --eax 0xe820 --ecx 24 --edx 0x534d4150 --loop --buffer 512 --repeat 1000",
    );
    shows(report, "many", &[("all 1000 returned", "(median of 1000 calls)")]);
}

fn text(report: &mut Report) {
    report.heading("# kjump memtest --range (the running kernel's text, data and bss)");
    let checks = [("no word was wrong", "no wrong word"), ("the exit status is 0", "exit status 0")];
    shows(report, "text", &checks);
}

fn rom(report: &mut Report) {
    report.heading("# kjump memtest --range 0xf0000-0xf1000");
    report.print("A page of ROM in place of memory:");
    let found = report.part("rom").to_owned();
    report.print(&found);
    report.check("wrong words were found", found.lines().count() == 4 && !found.contains("no wrong"), &found);
}

fn after(report: &mut Report) {
    report.heading("Afterwards:");
    let (disk, cpus) = halves(report.part("after"));
    let same = disk.split(' ').next() == Some(&report.facts.disk);
    report.check("the kernel reads the disk, which is unchanged", same, &disk);
    report.check("both CPUs are online", cpus.trim() == "2", &cpus);
}

fn log(report: &mut Report) {
    let found = report.part("log").to_owned();
    report.check("the kernel's log has no warning and no bug", found.is_empty(), &found);
}
