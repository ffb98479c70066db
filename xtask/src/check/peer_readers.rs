//! Other programs' eyes on what a kernel sees of the one beside it: B copies /proc/vmcore, which is the memory of A, and
//! drgn and crash find the tasks of A in it.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use lab::Outcome;

use crate::build::product;
use crate::check::step::Step;
use crate::debian::{kernels, packages, programs};
use crate::{program, tree};

const KERNEL: &str = "6.1";
const MEBIBYTES: u32 = 640;

/// A lists its tasks, and B writes what it sees of A to a disk.
const JOB: &str = "set -e
    kjump initramfs -o /tmp/b.cpio --kernel-version $(uname -r) --driver virtio_pci --driver virtio_blk \\
        --disk first -- sh -c 'dd if=/proc/vmcore of=$DISK bs=1M && sync &&
            kjump return $(stat -c %s /proc/vmcore)'
    for number in 1 2 3 4 5 6 7; do sleep 99999 & done
    kjump status > /dev/null
    for task in /proc/[0-9]*; do
        echo \"task ${task#/proc/} $(cat $task/comm 2> /dev/null || true)\"
    done
    kjump boot --kernel /boot/b --initrd /tmp/b.cpio --memory 224M --append 'console=ttyS0 quiet no_timer_check'";

/// Prints all tasks, and the frames of the one that went away.
const WALK: &str = r"
import sys, drgn
from drgn.helpers.linux.pid import for_each_task
program = drgn.Program()
program.set_core_dump(sys.argv[1])
program.load_debug_info([sys.argv[2]])
for task in for_each_task(program):
    name = task.comm.string_().decode()
    print('task', task.pid.value_(), name)
    if name == 'kjump':
        for frame in program.stack_trace(task):
            print('frame', frame.name)
";

/// What crash is asked. It goes along the list of tasks, since `ps` of crash 8.0.2 knows only those that run: that looks
/// for an array in `struct pid` which has no length since 6.1.y took over a change of 6.5.
const QUESTIONS: &[u8] = b"ps\nlist -o task_struct.tasks -s task_struct.pid,comm -h init_task\nquit\n";

/// All steps; they take minutes.
pub(crate) fn steps() -> Vec<Step> {
    vec![Step::new("peer/readers", || check().into())]
}

/// A copy of what B sees of A, and the tasks that A had.
struct Seen {
    copy: PathBuf,
    tasks: Vec<String>,
}

fn check() -> Result<()> {
    packages::for_readers()?;
    let seen = seen()?;
    let vmlinux = programs::vmlinux(&kernels::get(KERNEL)?)?;
    let mut drgn = Command::new("/usr/bin/python3");
    let walked = program::read(drgn.args(["-c", WALK]).arg(&seen.copy).arg(&vmlinux))?;
    has_all(&seen.tasks, "drgn", &walked, |task| walked.lines().any(|line| line == task))?;
    for frame in ["frame suspend_enter", "frame pm_suspend"] {
        ensure!(walked.lines().any(|line| line == frame), "drgn: no {frame} in\n{walked}");
    }
    let mut crash = Command::new("crash");
    crash.arg("-s").arg(&vmlinux).arg(&seen.copy);
    let mut child = crash.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    child.stdin.take().context("crash takes questions")?.write_all(QUESTIONS)?;
    let said = String::from_utf8_lossy(&child.wait_with_output()?.stdout).into_owned();
    let listed = crash_tasks(&said);
    has_all(&seen.tasks, "crash", &said, |task| listed.iter().any(|line| line == task))?;
    let runs = |line: &str| line.starts_with('>') && line.ends_with(" kjump");
    ensure!(said.lines().any(runs), "crash: kjump is not on a CPU\n{said}");
    fs::remove_file(&seen.copy)?;
    Ok(())
}

fn seen() -> Result<Seen> {
    let copy = tree::target().join("material").join("peer");
    fs::create_dir_all(copy.parent().context("a file has a folder")?)?;
    // It is B's disk: whole mebibytes are written, and what is behind the end is cut off.
    let disk = OpenOptions::new().write(true).create(true).truncate(true).open(&copy)?;
    disk.set_len(u64::from(MEBIBYTES + 64) << 20)?;
    let vm = product::vm(KERNEL)?.smp(2).mem(MEBIBYTES).timeout(Duration::from_secs(900)).disk(&copy);
    let outcome = vm.file(kernels::get(KERNEL)?.image(), "/boot/b").run(JOB)?.succeeded();
    disk.set_len(size(&outcome)?)?;
    let said = outcome.text();
    let tasks: Vec<String> = said.lines().filter(|line| stays(line)).filter_map(task).collect();
    ensure!(tasks.len() > 40, "A lists few tasks:\n{said}");
    Ok(Seen { copy, tasks })
}

/// Whether a task does not come and go: workers do, and so do the processes that make the list.
fn stays(line: &str) -> bool {
    !line.contains("kworker") && !line.ends_with(" cat") && !line.ends_with(" sh")
}

/// A task as the kernel itself has it: of a long name, the first 15 bytes.
fn task(line: &str) -> Option<String> {
    let (pid, name) = line.strip_prefix("task ")?.split_once(' ')?;
    Some(format!("task {pid} {}", name.get(..15).unwrap_or(name)))
}

/// The tasks that crash lists, each in two lines.
fn crash_tasks(said: &str) -> Vec<String> {
    let value =
        |line: &str, name: &str| Some(line.trim().strip_prefix(name)?.trim_end_matches(',').to_owned());
    let pids = said.lines().filter_map(|line| value(line, "pid = "));
    let names = said.lines().filter_map(|line| value(line, "comm = \""));
    pids.zip(names)
        .map(|(pid, name)| format!("task {pid} {}", name.split(['\\', '"']).next().unwrap_or_default()))
        .collect()
}

fn size(outcome: &Outcome) -> Result<u64> {
    let said = outcome.text();
    let value = said.split_once("b returned 0x").and_then(|(_, rest)| rest.split_whitespace().next());
    match value.and_then(|digits| u64::from_str_radix(digits, 16).ok()) {
        Some(size) if size > 100 << 20 => Ok(size),
        _ => bail!("B copied nothing: {said}(the kernels' log is {})", outcome.log.display()),
    }
}

fn has_all(tasks: &[String], who: &str, said: &str, finds: impl Fn(&str) -> bool) -> Result<()> {
    let missing: Vec<_> = tasks.iter().filter(|task| !finds(task)).map(String::as_str).collect();
    ensure!(
        missing.is_empty(),
        "{who} does not find {} of {}: {missing:?}\n{said}",
        missing.len(),
        tasks.len()
    );
    Ok(())
}
