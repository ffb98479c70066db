//! `cargo xtask demo switch`: a second stock kernel is booted beside the running one, they take turns, the second panics,
//! and the first goes on.

use std::time::Duration;

use anyhow::Result;
use lab::Job;
use serde_json::Value;

use super::account::{Account, Chapter};
use super::chapters::{halves, number, text};
use super::facts::Facts;
use super::{DISK_BYTES, random_file, sha256, tell};
use crate::build::product;
use crate::debian::kernels;
use crate::tree;

/// How often the first kernel goes to the second after that was booted.
const TURNS: u64 = 5;
/// What the second kernel is sent to have it panic.
const END: u64 = 0xdead;

/// What the second kernel does each time it is gone to: it reads the whole disk and asks the network, and returns a number
/// that only who did both can know.
const THERE: &str = r#"ip link set eth0 up; ip addr add 10.0.2.16/24 dev eth0
kjump return --prepare
given=0
while :; do
    echo 3 > /proc/sys/vm/drop_caches
    disk=$(sha256sum < /dev/vda); disk=0x$(echo $disk | cut -c1-8)
    ping -c 1 -W 9 10.0.2.2 > /dev/null || disk=0
    said=$(kjump return $((disk + given))) || exit 1
    given=$((${said##* }))
    if [ $given = $((0xdead)) ]; then
        echo '<1>the second kernel was told to end here' > /dev/kmsg
        echo c > /proc/sysrq-trigger
    fi
done
"#;

/// What the first kernel does. Every part starts with a line of its own; [`CHAPTERS`] know them by these names.
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
kjump initramfs -o /tmp/b.cpio --kernel-version $there --driver virtio_pci --driver virtio_blk --driver virtio_net \
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
part log; dmesg | grep -E 'WARNING|BUG:|Oops|Call Trace' && echo bad
part end
"#;

const CHAPTERS: &[Chapter] = &[
    ("kernel", kernel),
    ("before", |account| works(account, "before", "Before:")),
    ("boot", boot),
    ("work-1", |account| turn(account, 1)),
    ("work-2", |account| turn(account, 2)),
    ("work-3", |account| turn(account, 3)),
    ("work-4", |account| turn(account, 4)),
    ("work-5", |account| turn(account, 5)),
    ("peers", peers),
    ("panic", panic),
    ("after", |account| works(account, "after", "The first kernel goes on:")),
    ("log", log),
];

/// Builds, boots, runs and judges, as the other demo does.
///
/// # Errors
/// Something does not build, or the guest does not run to its end.
pub(super) fn run(kernel: &str, beside: &str) -> Result<bool> {
    println!(
        "Building what is not up to date: kjump, its module for Debian's kernels {kernel} and {beside}."
    );
    let vm = product::beside(product::vm(kernel)?, beside)?;
    let disk = random_file("disk", DISK_BYTES)?;
    let (release, peer) = (kernels::get(kernel)?.release, kernels::get(beside)?.release);
    let words = [peer.clone(), TURNS.to_string(), END.to_string()].map(Into::into);
    let facts = Facts { release, peer, disk: sha256(&disk)?, ..Facts::default() };
    let dir = tree::target().join("demo");
    let (here, there) = (dir.join("here.sh"), dir.join("there.sh"));
    std::fs::write(&here, HERE)?;
    std::fs::write(&there, THERE)?;
    println!("Booting the first kernel as Debian ships it, in QEMU with 2 processors, a disk and a network.");
    let vm = vm.smp(2).mem(1024).file(there, "/there.sh").timeout(Duration::from_secs(300));
    tell(&vm, &Job::script(&here, words.into())?, &disk, Account::new(facts, CHAPTERS), |account, _| {
        account.heading("In the end");
    })
}

fn kernel(account: &mut Account) {
    let (release, processors) = halves(account.part("kernel"));
    account.heading(&format!("Linux {release}, {processors} processors"));
    account.check("the first kernel is Debian's", release == account.facts.release, &release);
}

/// Disk, network and processors of the first kernel.
fn works(account: &mut Account, part: &str, when: &str) {
    account.heading(when);
    work(account, part);
}

fn work(account: &mut Account, part: &str) {
    let found = account.part(part).to_owned();
    let (disk, rest) = halves(&found);
    let same = disk.split(' ').next() == Some(&account.facts.disk);
    account.check("the first kernel reads the disk, and it is as it was", same, &found);
    let rest = rest.trim().to_owned();
    account.check(
        "its network answers, and both processors are there",
        rest == "the network answers\n2",
        &found,
    );
}

/// What the second kernel returns, given this number: the beginning of the disk's SHA-256, and the number added.
fn expected(account: &Account, given: u64) -> u64 {
    let disk = account.facts.disk.get(..8).and_then(|digits| u64::from_str_radix(digits, 16).ok());
    disk.unwrap_or_default() + given
}

fn boot(account: &mut Account) {
    account.heading(&format!(
        "# kjump boot --name b --kernel vmlinuz-{} --memory 256M --cpus 2",
        account.facts.peer
    ));
    account.say(
        "The second kernel lives in 256 MiB that the first has cleared for it; the first rests underneath.",
    );
    let answer = account.json("boot");
    came_back(account, &answer, 0);
    account.say(&format!(
        "It was there for {:.1} s, its boot included.",
        number(&answer, "/phases_microseconds/run") / 1e6
    ));
}

fn turn(account: &mut Account, turn: u64) {
    account.heading(&format!("# kjump switch b {turn}"));
    let answer = account.json(&format!("switch-{turn}"));
    came_back(account, &answer, turn);
    let time = |phase: &str| number(&answer, &format!("/phases_microseconds/{phase}")) / 1e3;
    account.say(&format!(
        "The first kernel took {:.0} ms to rest, was away for {:.0} ms, and took {:.0} ms to be back at work.",
        time("quiesce") + time("enter"),
        time("run"),
        time("leave") + time("resume")
    ));
    work(account, &format!("work-{turn}"));
}

fn came_back(account: &mut Account, answer: &Value, given: u64) {
    let returned = text(answer, "/ending") == "returned";
    let right = answer.pointer("/value").and_then(Value::as_u64) == Some(expected(account, given));
    account.check(
        "the second kernel read the same disk, its network answered, and it returned",
        returned && right,
        &answer.to_string(),
    );
}

fn peers(account: &mut Account) {
    account.heading("# kjump peers");
    let found = account.part("peers").to_owned();
    account.say(&found);
    let right = found.contains(&account.facts.peer) && found.contains("resident");
    account.check("the second kernel is resident, and is the one asked for", right, &found);
}

fn panic(account: &mut Account) {
    account.heading(&format!("# kjump switch b {END:#x}"));
    account.say("The second kernel is told to panic.");
    let found = account.part("panic").to_owned();
    let all: Vec<&str> = found.lines().collect();
    let lines: Vec<&str> = all.iter().skip(all.len().saturating_sub(9)).copied().collect();
    account.say(&format!("{}\n...\n{}", all.first().unwrap_or(&""), lines.join("\n")));
    account.check("it panicked, and the first kernel says so", found.starts_with("b panicked"), &found);
    let said = found.contains("the second kernel was told to end here") && found.contains("Kernel panic");
    account.check("and what it said last", said, &found);
    account.check("with an exit status of its own", found.ends_with("exit status 4"), &found);
}

fn log(account: &mut Account) {
    let found = account.part("log").to_owned();
    account.check("the first kernel's log has no warning and no bug", found.is_empty(), &found);
}
