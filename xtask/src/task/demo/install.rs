//! `cargo xtask demo install`: the packages on a Debian, from installing them to removing them.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::chapters::{number, text};
use super::facts::Facts;
use super::report::{Chapter, Report};
use crate::debian::system::{self, Release};
use crate::guest::installed::{BootedBy, Machine};
use crate::package::{self, Format};
use crate::tree;

/// Runs at each boot. Every part starts with a line that names it for [`CHAPTERS`].
const SCRIPT: &str = r#"
part() { echo "==== $1"; }
export DEBIAN_FRONTEND=noninteractive
started_by() { cat /proc/sys/kernel/bootloader_type; }
case $BOOT in
1)
    part before; started_by; uname -r; dpkg -S '*bin/kexec'
    part install; apt-get install -y ./*.deb; echo "status $?"
    part installed; dkms status; kexec --version; makedumpfile --version | head -n 1
    part check; kjump check
    part call; kjump call --json --repeat 100 /usr/lib/kjump/payloads/sum64 1 2 3 4 5 6
    part suspend; kjump call --json --repeat 2 --quiesce suspend /usr/lib/kjump/payloads/sum64 1 2 3 4 5 6
    part switch
    kjump initramfs -o /tmp/b.cpio --kernel-version $(uname -r) -- kjump return 7
    kjump boot --kernel /vmlinuz --initrd /tmp/b.cpio --memory 192M --deadline 120 \
        --append 'console=ttyS0 quiet no_timer_check'
    kjump switch b 5; kjump drop b; kjump peers
    part kexec; kexec -l /vmlinuz --initrd=/initrd.img --reuse-cmdline; echo "status $?"
    cat /sys/kernel/kexec_loaded
    systemctl kexec
    ;;
2)
    part restarted; started_by; systemctl is-system-running --wait
    part kdump; kdump-config show; kdump-config status
    part crash; sync
    echo c > /proc/sysrq-trigger
    ;;
3)
    part crashed; started_by; ls /var/crash/*
    part dump; kjump dump verify /var/crash/*/dump.*; kjump dump info /var/crash/*/dump.*
    part menu; update-grub 2> /dev/null; kexec --list-entries
    part reboot; systemctl enable --now kjump-load.service; systemctl reboot
    ;;
4)
    part rebooted; started_by; journalctl -b -1 -u kjump-load.service -o cat --no-pager
    part remove; apt-get purge -y 'kjump*'; echo "status $?"
    part removed; kexec --version; makedumpfile -v 2>&1 | head -n 1
    dpkg --verify kexec-tools makedumpfile kdump-tools; dpkg-divert --list | grep kjump
    find / -xdev -name '*kjump*' -not -path '/var/log/*' -not -path '/run/*' -not -path '*/kjump-lab.cfg'
    part end; sync; systemctl poweroff
    ;;
esac
"#;

const CHAPTERS: &[Chapter] = &[
    ("before", before),
    ("install", |report| ended(report, "install", "# apt install ./kjump*.deb")),
    ("installed", installed),
    ("check", check),
    ("call", |report| called(report, "call", "# kjump call --repeat 100 sum64 1 2 3 4 5 6", 100)),
    ("suspend", |report| called(report, "suspend", "# kjump call --repeat 2 --quiesce suspend sum64 …", 2)),
    ("switch", switch),
    ("kexec", kexec),
    ("restarted", restarted),
    ("kdump", kdump),
    ("crashed", crashed),
    ("dump", dump),
    ("menu", menu),
    ("rebooted", rebooted),
    ("remove", |report| ended(report, "remove", "# apt purge 'kjump*'")),
    ("removed", removed),
];

/// What `/proc/sys/kernel/bootloader_type` is after a kexec, and after a boot by QEMU
/// (`type_of_loader` of the boot protocol: 0xd and 0xb, shifted by 4 and with the loader's
/// version).
const KEXEC: &str = "208";

/// Makes the system and the packages, boots, and checks. Returns whether every check passed.
///
/// # Errors
/// A part does not build, or the guest cannot be prepared.
pub(super) fn run(release: Release) -> Result<bool> {
    println!("Making the packages, and a Debian with kexec-tools, kdump-tools and DKMS.");
    let debs = package::build(Format::Deb, &tree::target().join("packages"))?;
    let disk = system::disk(release)?;
    println!("Booting it from its disk in QEMU, with 2 CPUs and 1.5 GiB of memory.");
    let mut report = Report::new(Facts::default(), CHAPTERS);
    let timeout = Duration::from_secs(3000);
    let machine = Machine::copy(tree::target().join("demo/install"), &disk, SCRIPT, &debs)?;
    let start = Instant::now();
    match machine.boot(BootedBy::Firmware, timeout, |text| report.receive(text)) {
        Ok(()) => {
            report.check_script(0);
            println!(
                "\nThe machine ran for {:.0} s. The console's log is {}",
                start.elapsed().as_secs_f64(),
                machine.console().display()
            );
        }
        Err(error) => report.fail("the machine", &format!("{error:#}")),
    }
    Ok(report.verdict())
}

/// Shows a part, and checks that it contains texts.
fn shows(report: &mut Report, part: &str, heading: &str, what: &str, texts: &[&str]) {
    let found = report.part(part).to_owned();
    report.heading(heading);
    report.print(&found);
    report.check(what, texts.iter().all(|text| found.contains(text)), &found);
}

/// A part that ends in its exit status, which is all there is to show if it is 0.
fn ended(report: &mut Report, part: &str, heading: &str) {
    let found = report.part(part).to_owned();
    report.heading(heading);
    report.check("exit status 0", found.ends_with("status 0"), &found);
}

fn before(report: &mut Report) {
    let found = report.part("before").to_owned();
    report.heading("A fresh Debian");
    report.check("was not started by kexec", found.lines().next() != Some(KEXEC), &found);
    report.check("has Debian's kexec", found.contains("kexec-tools: "), &found);
    let release = found.lines().nth(1).unwrap_or_default();
    report.print(release);
    report.facts.release = release.to_owned();
}

fn installed(report: &mut Report) {
    let built = format!("{}, x86_64: installed", report.facts.release);
    let texts = [built.as_str(), "(kjump "];
    shows(
        report,
        "installed",
        "# dkms status; kexec --version; makedumpfile --version",
        "DKMS has built the module, and both commands are kjump",
        &texts,
    );
}

fn check(report: &mut Report) {
    let found = report.part("check").to_owned();
    report.heading("# kjump check");
    report.print(&found);
    let good = !found.is_empty() && !found.contains("NO ") && found.contains("module");
    report.check("nothing stands in the way of calls", good, &found);
}

fn called(report: &mut Report, part: &str, heading: &str, calls: u64) {
    report.heading(heading);
    let answer = report.json(part);
    let found = (number(&answer, "/calls"), text(&answer, "/last_result").to_owned());
    report.print(&answer.to_string());
    report.check(&format!("{calls} calls came back"), !answer.is_null(), &format!("{found:?}"));
}

fn switch(report: &mut Report) {
    let texts = ["b returned 0x7 after", "b returned 0x0 after"];
    shows(
        report,
        "switch",
        "# kjump boot …; kjump switch b 5; kjump drop b",
        "the second kernel took turns with the first",
        &texts,
    );
}

fn kexec(report: &mut Report) {
    let found = report.part("kexec").to_owned();
    report.heading("# kexec -l /vmlinuz --initrd=/initrd.img --reuse-cmdline; systemctl kexec");
    report.check("the kernel is loaded", found.starts_with("status 0\n1"), &found);
}

fn restarted(report: &mut Report) {
    let found = report.part("restarted").to_owned();
    report.check("kexec started this kernel", found.starts_with(KEXEC), &found);
    report.check("the whole system is up", found.contains("running"), &found);
}

fn kdump(report: &mut Report) {
    shows(report, "kdump", "# kdump-config show", "the crash kernel is loaded", &["ready to kdump"]);
    report.heading("# echo c > /proc/sysrq-trigger");
}

fn crashed(report: &mut Report) {
    let found = report.part("crashed").to_owned();
    report.check("the firmware started this kernel", !found.starts_with(KEXEC), &found);
    report.check(
        "the crash kernel has saved a dump",
        found.contains("dump.") && found.contains("dmesg."),
        &found,
    );
}

fn dump(report: &mut Report) {
    let texts = ["all checksums are right"];
    shows(report, "dump", "# kjump dump verify, info", "the dump is whole", &texts);
}

fn menu(report: &mut Report) {
    shows(report, "menu", "# kexec --list-entries", "GRUB's menu is read", &["GNU/Linux, with Linux "]);
    report.heading("# systemctl enable --now kjump-load.service; systemctl reboot");
}

fn rebooted(report: &mut Report) {
    let found = report.part("rebooted").to_owned();
    report.check("the reboot was a kexec", found.starts_with(KEXEC), &found);
}

fn removed(report: &mut Report) {
    let found = report.part("removed").to_owned();
    report.heading("Afterwards");
    report.print(&found);
    let lines: Vec<&str> = found.lines().collect();
    let back = lines.len() == 2 && !found.contains("kjump");
    report.check("Debian's commands are back, and no file and no diversion is left", back, &found);
}
