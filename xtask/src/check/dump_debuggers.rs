//! Our dumps, read by crash and drgn: they find the same as in the raw image.

use std::fs::{self, File, OpenOptions};
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

/// The commands for crash.
const COMMANDS: &str =
    "sys\nbt\nps\nlog\nkmem -i\ndev\nnet\nrunq\ntimer\nforeach bt\nkmem -s\nmount\nirq\nquit\n";

/// Lists tasks, mounts and slab caches of a dump by drgn.
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

/// What crash must find in the raw image, for the comparison to be worth something.
const LANDMARKS: [&str; 6] =
    ["PANIC", "swapper/0", "Linux version", "TOTAL MEM", "/disk", "cpu_startup_entry"];

/// Codecs and levels of dumps, and percentages at which they are cut off. A dump of level 31 has
/// few pages that are not written first.
const CUTS: [(&str, &str, u64); 7] = [
    ("-l", "17", 30),
    ("-l", "17", 50),
    ("-l", "17", 80),
    ("-l", "31", 50),
    ("-z", "31", 50),
    ("-c", "31", 50),
    ("-p", "31", 50),
];

/// Lists all tasks and their stacks.
const TASKS: &str = "ps\nforeach bt\nquit\n";

/// What crash must find many times in the raw image then: stacks, and functions on them.
const TASK_LANDMARKS: [&str; 3] = ["PID: ", "COMMAND: ", "__schedule at "];

/// All steps; they take minutes.
pub(crate) fn steps() -> Vec<Step> {
    let mut steps: Vec<Step> = on_all("crash", crash).collect();
    steps.extend(on_all("crash-incomplete", crash_incomplete));
    steps.extend(on_all("drgn", drgn));
    steps.extend(on_all("drgn-incomplete", drgn_incomplete));
    steps
}

/// crash prints the same for every format of a dump as for the raw image.
fn crash(kernel: &str) -> Result<()> {
    for age in ages(kernel) {
        let raw = answers(kernel, *age, &[&memory_image::vmcore(kernel)?])?;
        ensure!(raw.lines().count() > 500, "{age:?}: crash prints little about the raw image:\n{raw}");
        for landmark in LANDMARKS {
            ensure!(raw.contains(landmark), "{age:?}: crash finds no {landmark:?} in the raw image:\n{raw}");
        }
        for options in [["-l", "-d", "31"], ["-z", "-d", "17"], ["-c", "-d", "31"], ["-E", "-d", "31"]] {
            let output = answers(kernel, *age, &[&saved(kernel, &options, "for-crash")?])?;
            ensure!(
                output == raw,
                "{options:?}, {age:?}: crash prints something else; see {}",
                place("output")?.display()
            );
        }
    }
    Ok(())
}

/// crash opens a dump that was cut off, and finds all tasks and their stacks as in the raw image:
/// the pages that this needs are written first.
fn crash_incomplete(kernel: &str) -> Result<()> {
    for age in ages(kernel) {
        let raw = run_crash(kernel, *age, &[&memory_image::vmcore(kernel)?], &[], TASKS)?;
        for landmark in TASK_LANDMARKS {
            let count = raw.matches(landmark).count();
            ensure!(count > 10, "{age:?}: crash finds {landmark:?} {count} times in the raw image:\n{raw}");
        }
        let ask = |what: &str, cut: &Path| {
            let output = run_crash(kernel, *age, &[cut], &["--zero_excluded"], TASKS)?;
            let missing = raw.lines().find(|line| !output.contains(line));
            ensure!(missing.is_none(), "{what}, {age:?}: no {missing:?} in: {output}");
            Ok(())
        };
        for (codec, level, percent) in CUTS {
            let what = format!("{codec}, level {level}, at {percent} %");
            ask(&what, &cut(kernel, codec, level, percent)?)?;
        }
        ask("a stream at 50 %", &cut_stream(kernel, 50)?)?;
    }
    Ok(())
}

/// The first `percent` of a flattened stream, as a file.
fn cut_stream(kernel: &str, percent: u64) -> Result<PathBuf> {
    let (stream, cut) = (place("cut-stream")?, place("cut")?);
    let mut command = ours()?;
    command.args(["makedumpfile", "-F", "-l", "-d", "31"]).arg(memory_image::vmcore(kernel)?);
    program::run(command.stdout(File::create(&stream)?).stderr(Stdio::null()))?;
    let file = OpenOptions::new().write(true).open(&stream)?;
    file.set_len(file.metadata()?.len() * percent / 100)?;
    let mut command = ours()?;
    command.args(["makedumpfile", "-f", "-R"]).arg(&cut).stdin(File::open(&stream)?);
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status()?;
    ensure!(status.code() == Some(1), "a stream that is cut off: {status}");
    Ok(cut)
}

/// The first `percent` of a dump.
fn cut(kernel: &str, codec: &str, level: &str, percent: u64) -> Result<PathBuf> {
    let length = fs::metadata(saved(kernel, &[codec, "-d", level], "whole")?)?.len();
    let cut = place("cut")?;
    let limit = (length * percent / 100).to_string();
    let mut command = ours()?;
    command.args(["makedumpfile", "-f", codec, "-d", level, "-L", &limit]);
    let status = command.arg(memory_image::vmcore(kernel)?).arg(&cut).stderr(Stdio::null()).status()?;
    ensure!(status.code() == Some(1), "a dump over its size limit: {status}");
    Ok(cut)
}

/// drgn finds the same in a dump as in the raw image.
fn drgn(kernel: &str) -> Result<()> {
    for age in ages(kernel) {
        let whole = walked_whole(kernel, *age)?;
        for options in [["-l", "-d", "31"], ["-c", "-d", "17"], ["-z", "-d", "31"], ["-p", "-d", "31"]] {
            let output = walked(kernel, *age, &saved(kernel, &options, "for-drgn")?)?;
            ensure!(output == whole, "{options:?}, {age:?}: drgn finds something else:\n{output}");
        }
    }
    Ok(())
}

/// drgn finds the same in a dump that was cut off as in the raw image.
fn drgn_incomplete(kernel: &str) -> Result<()> {
    for age in ages(kernel) {
        let whole = walked_whole(kernel, *age)?;
        for (codec, level, percent) in CUTS {
            let output = walked(kernel, *age, &cut(kernel, codec, level, percent)?)?;
            ensure!(
                output == whole,
                "{codec}, level {level}, at {percent} %, {age:?}: drgn finds something else:\n{output}"
            );
        }
    }
    Ok(())
}

/// What drgn finds in the raw image. Debian 12's (0.0.22) reads the address of the kernel's image
/// from the headers of an ELF file, where QEMU does not store it: it reads a dump of level 0
/// instead.
fn walked_whole(kernel: &str, age: Age) -> Result<String> {
    let whole = match age {
        Age::Release => saved(kernel, &["-l", "-d", "0"], "for-drgn")?,
        Age::Newest => memory_image::vmcore(kernel)?,
    };
    let found = walked(kernel, age, &whole)?;
    for kind in ["task ", "mount ", "cache "] {
        let count = found.lines().filter(|line| line.starts_with(kind)).count();
        ensure!(count > 4, "{age:?}: drgn finds few of the kind {kind:?}:\n{found}");
    }
    Ok(found)
}

/// What drgn finds in a dump.
pub(crate) fn walked(kernel: &str, age: Age, dump: &Path) -> Result<String> {
    let vmlinux = programs::vmlinux(&kernels::get(kernel)?)?;
    program::read(programs::python(age)?.args(["-c", WALK]).arg(dump).arg(vmlinux))
}

/// crash's answers about a dump, which may have several files.
pub(crate) fn answers(kernel: &str, age: Age, dump: &[&Path]) -> Result<String> {
    let output = run_crash(kernel, age, dump, &[], COMMANDS)?;
    // The name and the format of the dump differ; a split set has a line for each file.
    let names_dump = |line: &str| line.contains("DUMPFILE") || line.contains("[PARTIAL DUMP]");
    let lines = output.lines().filter(|line| !names_dump(line));
    let output = lines.collect::<Vec<_>>().join("\n");
    fs::write(place("output")?, &output)?;
    Ok(output)
}

fn run_crash(kernel: &str, age: Age, dump: &[&Path], options: &[&str], commands: &str) -> Result<String> {
    let vmlinux = programs::vmlinux(&kernels::get(kernel)?)?;
    let mut command = programs::crash(age)?;
    command.arg("-s").args(without(kernel)).args(options).arg(vmlinux).args(dump);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    child.stdin.take().context("crash reads its standard input")?.write_all(commands.as_bytes())?;
    Ok(String::from_utf8_lossy(&child.wait_with_output()?.stdout).into_owned())
}

/// What crash must not read. 9.0.2 exits on the raw image of 7.2 and of 7.3 with "invalid structure
/// member offset: module_num_gpl_syms" unless it ignores modules. Then `kmem -s` prints only
/// "invalid structure member offset: kmem_cache_local_node"; all other commands work.
fn without(kernel: &str) -> &'static [&'static str] {
    if kernel.starts_with("newest") { &["--no_modules"] } else { &[] }
}
