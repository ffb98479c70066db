//! Debuggers' eyes on our dumps: crash and drgn find in each what they find in the whole memory.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, Result, ensure};

use crate::check::dumps::{ages, on_all, ours, place, saved};
use crate::check::step::Step;
use crate::debian::kernels;
use crate::debian::programs::{self, Age};
use crate::guest::memory_image;
use crate::program;

/// What crash is asked.
const QUESTIONS: &str =
    "sys\nbt\nps\nlog\nkmem -i\ndev\nnet\nrunq\ntimer\nforeach bt\nkmem -s\nmount\nirq\nquit\n";

/// Walks through a dump by drgn: tasks, mounts, slab caches.
const WALK: &str = r"
import sys, drgn
from drgn.helpers.linux.fs import for_each_mount, mount_dst, mount_fstype
from drgn.helpers.linux.pid import for_each_task
from drgn.helpers.linux.slab import for_each_slab_cache
program = drgn.Program()
program.set_core_dump(sys.argv[1])
program.load_debug_info([sys.argv[2]])
for task in for_each_task(program):
    print('task', task.pid.value_(), task.comm.string_().decode())
for mount in for_each_mount(program):
    print('mount', mount_dst(mount).decode(), mount_fstype(mount).decode())
for cache in for_each_slab_cache(program):
    print('cache', cache.name.string_().decode(), cache.object_size.value_())
";

/// What crash must find in the raw image: otherwise it is no judge.
const ANSWERS: [&str; 6] = ["PANIC", "swapper/0", "Linux version", "TOTAL MEM", "/disk", "cpu_startup_entry"];

/// So much of a dump there is room for.
const PERCENTS: [u64; 3] = [30, 50, 80];

/// All steps; they take minutes.
pub(crate) fn steps() -> Vec<Step> {
    let mut steps: Vec<Step> = on_all("crash", crash).collect();
    steps.extend(on_all("crash-incomplete", crash_incomplete));
    steps.extend(on_all("drgn", drgn));
    steps.extend(on_all("drgn-incomplete", drgn_incomplete));
    steps
}

/// crash answers the same of every form of a dump as of the raw image.
fn crash(kernel: &str) -> Result<()> {
    for age in ages(kernel) {
        let raw = asked(kernel, *age, &memory_image::vmcore(kernel)?)?;
        ensure!(raw.lines().count() > 500, "{age:?}: crash says little of the raw image:\n{raw}");
        for answer in ANSWERS {
            ensure!(raw.contains(answer), "{age:?}: crash finds no {answer:?} in the raw image:\n{raw}");
        }
        for words in [["-l", "-d", "31"], ["-z", "-d", "17"], ["-c", "-d", "31"], ["-E", "-d", "31"]] {
            let said = asked(kernel, *age, &saved(kernel, &words, "for-crash")?)?;
            ensure!(
                said == raw,
                "{words:?}, {age:?}: crash says something else; see {}",
                place("said")?.display()
            );
        }
    }
    Ok(())
}

/// A dump that was cut short is opened, and its tasks are listed: what that takes was written first.
fn crash_incomplete(kernel: &str) -> Result<()> {
    for percent in PERCENTS {
        let cut = cut(kernel, percent)?;
        for age in ages(kernel) {
            let said = asked_about(kernel, *age, &cut, &["--zero_excluded"], "ps\nquit\n")?;
            ensure!(said.contains("swapper/0"), "at {percent} %, {age:?}: {said}");
        }
    }
    Ok(())
}

/// The first so many percent of a dump. One at level 31 has little but what is needed first, so this is one of level 17.
fn cut(kernel: &str, percent: u64) -> Result<PathBuf> {
    let length = fs::metadata(saved(kernel, &["-l", "-d", "17"], "whole")?)?.len();
    let cut = place("cut")?;
    let limit = (length * percent / 100).to_string();
    let mut command = ours()?;
    command.args(["makedumpfile", "-f", "-l", "-d", "17", "-L", &limit]);
    let status = command.arg(memory_image::vmcore(kernel)?).arg(&cut).stderr(Stdio::null()).status()?;
    ensure!(status.code() == Some(1), "a dump that there is no room for: {status}");
    Ok(cut)
}

/// drgn finds the same in what is left as in the whole memory.
fn drgn(kernel: &str) -> Result<()> {
    for age in ages(kernel) {
        let whole = walked_whole(kernel, *age)?;
        for kind in ["task ", "mount ", "cache "] {
            let count = whole.lines().filter(|line| line.starts_with(kind)).count();
            ensure!(count > 4, "{age:?}: drgn finds few of the kind {kind:?}:\n{whole}");
        }
        for words in [["-l", "-d", "31"], ["-c", "-d", "17"], ["-z", "-d", "31"], ["-p", "-d", "31"]] {
            let said = walked(kernel, *age, &saved(kernel, &words, "for-drgn")?)?;
            ensure!(said == whole, "{words:?}, {age:?}: drgn finds something else:\n{said}");
        }
    }
    Ok(())
}

/// drgn walks through a dump that was cut short as through the whole memory.
fn drgn_incomplete(kernel: &str) -> Result<()> {
    for age in ages(kernel) {
        let whole = walked_whole(kernel, *age)?;
        for percent in PERCENTS {
            let said = walked(kernel, *age, &cut(kernel, percent)?)?;
            ensure!(said == whole, "at {percent} %, {age:?}: drgn finds something else:\n{said}");
        }
    }
    Ok(())
}

/// What drgn finds in the raw image. Debian 12's (0.0.22) looks for the kernel's image in the headers of ELF files, where QEMU
/// does not tell it: it gets a dump of level 0.
fn walked_whole(kernel: &str, age: Age) -> Result<String> {
    let whole = match age {
        Age::Release => saved(kernel, &["-l", "-d", "0"], "for-drgn")?,
        Age::Newest => memory_image::vmcore(kernel)?,
    };
    walked(kernel, age, &whole)
}

fn walked(kernel: &str, age: Age, dump: &Path) -> Result<String> {
    let vmlinux = programs::vmlinux(&kernels::get(kernel)?)?;
    program::read(programs::python(age)?.args(["-c", WALK]).arg(dump).arg(vmlinux))
}

fn asked(kernel: &str, age: Age, dump: &Path) -> Result<String> {
    let said = asked_about(kernel, age, dump, &[], QUESTIONS)?;
    // The dump's own name and form are not the same.
    let lines = said.lines().filter(|line| !line.contains("DUMPFILE"));
    let said = lines.collect::<Vec<_>>().join("\n");
    fs::write(place("said")?, &said)?;
    Ok(said)
}

fn asked_about(kernel: &str, age: Age, dump: &Path, options: &[&str], questions: &str) -> Result<String> {
    let vmlinux = programs::vmlinux(&kernels::get(kernel)?)?;
    let mut command = programs::crash(age)?;
    command.arg("-s").args(without(kernel)).args(options).arg(vmlinux).arg(dump);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    child.stdin.take().context("crash takes questions")?.write_all(questions.as_bytes())?;
    Ok(String::from_utf8_lossy(&child.wait_with_output()?.stdout).into_owned())
}

/// What crash has to leave alone. 9.0.2 ends in the raw image of 7.2 and of 7.3 with "invalid structure member offset:
/// module_num_gpl_syms", unless it does without modules. Of slab caches (`kmem -s`) it then says "invalid structure member
/// offset: kmem_cache_local_node" and nothing else; it answers all other questions.
fn without(kernel: &str) -> &'static [&'static str] {
    if kernel.starts_with("newest") { &["--no_modules"] } else { &[] }
}
