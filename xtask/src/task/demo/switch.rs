//! `cargo xtask demo switch`: the running kernel boots a second one, switches to it and back
//! several times, survives its panic, and continues.

use std::time::Duration;

use anyhow::Result;
use lab::Job;
use serde_json::Value;

use super::chapters::{halves, number, text};
use super::facts::Facts;
use super::report::{Chapter, Report};
use super::{DISK_BYTES, random_file, sha256, show};
use crate::build::product;
use crate::debian::kernels;
use crate::tree;

/// The number of switches to the second kernel after its boot.
const TURNS: u64 = 5;
/// The value that makes the second kernel panic.
const END: u64 = 0xdead;

/// The second kernel's program: each time it runs, it reads the whole disk and pings the network,
/// and returns a number that depends on both.
const THERE: &str = r#"ip link set eth0 up; ip addr add 10.0.2.16/24 dev eth0
kjump return --prepare
given=0
while :; do
    echo 3 > /proc/sys/vm/drop_caches
    disk=$(sha256sum < /dev/vda); disk=0x$(echo $disk | cut -c1-8)
    ping -c 1 -W 9 10.0.2.2 > /dev/null || disk=0
    answer=$(kjump return $((disk + given))) || exit 1
    given=$((${answer##* }))
    if [ $given = $((0xdead)) ]; then
        echo '<1>the second kernel panics on request' > /dev/kmsg
        echo c > /proc/sysrq-trigger
    fi
done
"#;

/// The first kernel's program. Every part starts with a line that names it for [`CHAPTERS`].
const HERE: &str = r#"
there=$1; turns=$2; end=$3
part() { echo "==== $1"; }
work() {
    echo 3 > /proc/sys/vm/drop_caches; sha256sum < /dev/vda
    ping -c 1 -W 9 10.0.2.2 > /dev/null && echo the network answers
    nproc
}
part kernel; uname -r; nproc
part before; work
kjump initramfs -o /tmp/b.cpio --kernel-version $there \
    --driver virtio_pci --driver virtio_blk --driver virtio_net \
    --disk first --add /there.sh:/there.sh -- sh /there.sh >&2
part boot; kjump boot --json --kernel /boot/vmlinuz-$there --initrd /tmp/b.cpio --memory 256M --cpus 2 \
    --append 'console=ttyS0 quiet no_timer_check'
for turn in $(seq $turns); do
    part switch-$turn; kjump switch --json b $turn
    part work-$turn; work
done
part peers; kjump peers
part panic; kjump switch b $end; echo "exit status $?"
part after; work
part log; dmesg | complaints; [ $? = 1 ] || echo bad
part end
"#;

const CHAPTERS: &[Chapter] = &[
    ("kernel", kernel),
    ("before", |report| check_work(report, "before", "Before:")),
    ("boot", boot),
    ("work-1", |report| turn(report, 1)),
    ("work-2", |report| turn(report, 2)),
    ("work-3", |report| turn(report, 3)),
    ("work-4", |report| turn(report, 4)),
    ("work-5", |report| turn(report, 5)),
    ("peers", peers),
    ("panic", panic),
    ("after", |report| check_work(report, "after", "The first kernel continues:")),
    ("log", log),
];

/// Builds, boots, runs and checks, as the other demo does.
///
/// # Errors
/// A part does not build, or the guest cannot be prepared.
pub(super) fn run(kernel: &str, beside: &str) -> Result<bool> {
    println!("Building kjump and its module for Debian's kernels {kernel} and {beside}.");
    let vm = product::beside(product::vm(kernel)?, beside)?;
    let disk = random_file("disk", DISK_BYTES)?;
    let (release, peer) = (kernels::get(kernel)?.release, kernels::get(beside)?.release);
    let arguments = [peer.clone(), TURNS.to_string(), END.to_string()].map(Into::into);
    let facts = Facts { release, peer, disk: sha256(&disk)?, ..Facts::default() };
    let dir = tree::target().join("demo");
    let (here, there) = (dir.join("here.sh"), dir.join("there.sh"));
    std::fs::write(&here, HERE)?;
    std::fs::write(&there, THERE)?;
    println!("Booting Debian's unmodified kernel in QEMU with 2 CPUs, a disk and a network.");
    let vm = vm.smp(2).mem(1024).file(there, "/there.sh").timeout(Duration::from_secs(300));
    show(&vm, &Job::script(&here, arguments.into())?, &disk, Report::new(facts, CHAPTERS), |report, _| {
        report.heading("At the end");
    })
}

fn kernel(report: &mut Report) {
    let (release, cpus) = halves(report.part("kernel"));
    report.heading(&format!("Linux {release}, {cpus} CPUs"));
    report.check("the first kernel is Debian's", release == report.facts.release, &release);
}

/// Disk, network and CPUs of the first kernel.
fn check_work(report: &mut Report, part: &str, when: &str) {
    report.heading(when);
    work(report, part);
}

fn work(report: &mut Report, part: &str) {
    let found = report.part(part).to_owned();
    let (disk, rest) = halves(&found);
    let same = disk.split(' ').next() == Some(&report.facts.disk);
    report.check("the first kernel reads the disk, which is unchanged", same, &found);
    let rest = rest.trim().to_owned();
    report.check("its network answers, and both CPUs are online", rest == "the network answers\n2", &found);
}

/// The second kernel's return value for this number: the first four bytes of the disk's SHA-256,
/// plus the number.
fn expected(report: &Report, given: u64) -> u64 {
    let disk = report.facts.disk.get(..8).and_then(|digits| u64::from_str_radix(digits, 16).ok());
    disk.unwrap_or_default() + given
}

fn boot(report: &mut Report) {
    report.heading(&format!(
        "# kjump boot --name b --kernel vmlinuz-{} --memory 256M --cpus 2",
        report.facts.peer
    ));
    report.print(
        "The second kernel runs in 256 MiB that the first has vacated. The first is suspended meanwhile.",
    );
    let answer = report.json("boot");
    check_return(report, &answer, 0);
    report.print(&format!(
        "It ran for {:.1} s, including its boot.",
        number(&answer, "/phases_microseconds/run") / 1e6
    ));
}

fn turn(report: &mut Report, turn: u64) {
    report.heading(&format!("# kjump switch b {turn}"));
    let answer = report.json(&format!("switch-{turn}"));
    check_return(report, &answer, turn);
    let time = |phase: &str| number(&answer, &format!("/phases_microseconds/{phase}")) / 1e3;
    report.print(&format!(
        "The first kernel took {:.0} ms to suspend, was away for {:.0} ms, and took {:.0} ms to resume.",
        time("quiesce") + time("enter"),
        time("run"),
        time("leave") + time("resume")
    ));
    work(report, &format!("work-{turn}"));
}

fn check_return(report: &mut Report, answer: &Value, given: u64) {
    let returned = text(answer, "/ending") == "returned";
    let right = answer.pointer("/value").and_then(Value::as_u64) == Some(expected(report, given));
    report.check(
        "the second kernel read the same disk, its network answered, and it returned",
        returned && right,
        &answer.to_string(),
    );
}

fn peers(report: &mut Report) {
    report.heading("# kjump peers");
    let found = report.part("peers").to_owned();
    report.print(&found);
    let right = found.contains(&report.facts.peer) && found.contains("resident");
    report.check("the second kernel is resident, and is the expected one", right, &found);
}

fn panic(report: &mut Report) {
    report.heading(&format!("# kjump switch b {END:#x}"));
    report.print("The second kernel panics on request.");
    let found = report.part("panic").to_owned();
    let all: Vec<&str> = found.lines().collect();
    let lines: Vec<&str> = all.iter().skip(all.len().saturating_sub(9)).copied().collect();
    report.print(&format!("{}\n...\n{}", all.first().unwrap_or(&""), lines.join("\n")));
    report.check("the first kernel reports the panic", found.starts_with("b panicked"), &found);
    let has_log = found.contains("the second kernel panics on request") && found.contains("Kernel panic");
    report.check("with the last log lines of the second kernel", has_log, &found);
    report.check("the exit status is 4", found.ends_with("exit status 4"), &found);
}

fn log(report: &mut Report) {
    let found = report.part("log").to_owned();
    report.check("the first kernel's log has no warning and no bug", found.is_empty(), &found);
}
