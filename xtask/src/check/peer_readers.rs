//! A peer's view of the other kernel, read by debuggers: B copies /proc/vmcore, which is the memory
//! of A, and drgn and crash find the tasks of A in it.

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

/// A lists its tasks, and B writes its view of A to a disk.
const JOB: &str = "set -e
    kjump initramfs -o /tmp/b.cpio --kernel-version $(uname -r) --driver virtio_pci --driver virtio_blk \\
        --disk first -- sh -c 'dd if=/proc/vmcore of=$DISK bs=1M && sync &&
            kjump return $(stat -c %s /proc/vmcore)'
    for number in 1 2 3 4 5 6 7; do sleep 99999 & done
    kjump status > /dev/null
    for task in /proc/[0-9]*; do
        echo \"task ${task#/proc/} $(cat $task/comm 2> /dev/null || true)\"
    done
    kjump boot --kernel /boot/b --initrd /tmp/b.cpio --memory 224M \\
        --append 'console=ttyS0 quiet no_timer_check'";

/// Prints all tasks, and the stack of the one that called B.
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

/// The commands for crash. They walk the list of tasks, because `ps` of crash 8.0.2 finds only
/// running ones: it reads an array in `struct pid` that has had no length since 6.1.y took over a
/// change of 6.5.
const COMMANDS: &[u8] = b"ps\nlist -o task_struct.tasks -s task_struct.pid,comm -h init_task\nquit\n";

/// All steps; they take minutes.
pub(crate) fn steps() -> Vec<Step> {
    vec![Step::new("peer/readers", || check().into())]
}

/// A copy of B's view of A, and A's tasks.
struct View {
    copy: PathBuf,
    tasks: Vec<String>,
}

fn check() -> Result<()> {
    packages::for_readers()?;
    let view = view()?;
    let vmlinux = programs::vmlinux(&kernels::get(KERNEL)?)?;
    let mut drgn = Command::new("/usr/bin/python3");
    let walked = program::read(drgn.args(["-c", WALK]).arg(&view.copy).arg(&vmlinux))?;
    has_all(&view.tasks, "drgn", &walked, |task| walked.lines().any(|line| line == task))?;
    for frame in ["frame suspend_enter", "frame pm_suspend"] {
        ensure!(walked.lines().any(|line| line == frame), "drgn: no {frame} in\n{walked}");
    }
    let mut crash = Command::new("crash");
    crash.arg("-s").arg(&vmlinux).arg(&view.copy);
    let mut child = crash.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    child.stdin.take().context("crash reads its standard input")?.write_all(COMMANDS)?;
    let output = String::from_utf8_lossy(&child.wait_with_output()?.stdout).into_owned();
    let listed = crash_tasks(&output);
    has_all(&view.tasks, "crash", &output, |task| listed.iter().any(|line| line == task))?;
    let runs = |line: &str| line.starts_with('>') && line.ends_with(" kjump");
    ensure!(output.lines().any(runs), "crash: kjump is not on a CPU\n{output}");
    fs::remove_file(&view.copy)?;
    Ok(())
}

fn view() -> Result<View> {
    let copy = tree::target().join("material").join("peer");
    fs::create_dir_all(copy.parent().context("a file has a parent directory")?)?;
    // This is B's disk. B writes whole mebibytes; the file is then cut to the size of the copy.
    let disk = OpenOptions::new().write(true).create(true).truncate(true).open(&copy)?;
    disk.set_len(u64::from(MEBIBYTES + 64) << 20)?;
    let vm = product::vm(KERNEL)?.smp(2).mem(MEBIBYTES).timeout(Duration::from_secs(900)).disk(&copy);
    let outcome = vm.file(kernels::get(KERNEL)?.image(), "/boot/b").run(JOB)?.succeeded();
    disk.set_len(size(&outcome)?)?;
    let output = outcome.text();
    let tasks: Vec<String> = output.lines().filter(|line| persists(line)).filter_map(task).collect();
    ensure!(tasks.len() > 40, "A lists few tasks:\n{output}");
    Ok(View { copy, tasks })
}

/// Whether a task persists. Workers and the processes that make the list do not.
fn persists(line: &str) -> bool {
    !line.contains("kworker") && !line.ends_with(" cat") && !line.ends_with(" sh")
}

/// A task with its name as the kernel stores it: the first 15 bytes.
fn task(line: &str) -> Option<String> {
    let (pid, name) = line.strip_prefix("task ")?.split_once(' ')?;
    Some(format!("task {pid} {}", name.get(..15).unwrap_or(name)))
}

/// The tasks in crash's output, each on two lines.
fn crash_tasks(output: &str) -> Vec<String> {
    let value =
        |line: &str, name: &str| Some(line.trim().strip_prefix(name)?.trim_end_matches(',').to_owned());
    let pids = output.lines().filter_map(|line| value(line, "pid = "));
    let names = output.lines().filter_map(|line| value(line, "comm = \""));
    pids.zip(names)
        .map(|(pid, name)| format!("task {pid} {}", name.split(['\\', '"']).next().unwrap_or_default()))
        .collect()
}

fn size(outcome: &Outcome) -> Result<u64> {
    let output = outcome.text();
    let value = output.split_once("b returned 0x").and_then(|(_, rest)| rest.split_whitespace().next());
    match value.and_then(|digits| u64::from_str_radix(digits, 16).ok()) {
        Some(size) if size > 100 << 20 => Ok(size),
        _ => bail!("B copied nothing: {output}(the kernels' log is {})", outcome.log.display()),
    }
}

fn has_all(tasks: &[String], program: &str, output: &str, finds: impl Fn(&str) -> bool) -> Result<()> {
    let missing: Vec<_> = tasks.iter().filter(|task| !finds(task)).map(String::as_str).collect();
    ensure!(
        missing.is_empty(),
        "{program} does not find {} of {}: {missing:?}\n{output}",
        missing.len(),
        tasks.len()
    );
    Ok(())
}
