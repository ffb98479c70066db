//! Other programs' eyes on our dumps: the same image saved by us and read by crash, libkdumpfile and makedumpfile.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};

use crate::test_task::Step;
use crate::{debian_tools, kernels, material, packages, product, program, tree};

/// The levels at which the kept pages are compared.
const LEVELS: [&str; 8] = ["0", "1", "2", "4", "8", "16", "17", "31"];

/// Starts of lines of VMCOREINFO that the kernel's types and symbols stand for.
const LEARNED: [&str; 8] = [
    "SIZE(page)",
    "OFFSET(page.",
    "SYMBOL(mem_section)",
    "LENGTH(mem_section)",
    "SIZE(mem_section)",
    "OFFSET(mem_section.",
    "LENGTH(zone.free_area)",
    "NUMBER(PG_",
];

/// What crash is asked.
const QUESTIONS: &str =
    "sys\nbt\nps\nlog\nkmem -i\ndev\nnet\nrunq\ntimer\nforeach bt\nkmem -s\nmount\nirq\nquit\n";

/// Reads, through libkdumpfile, every page that a dump has, and compares it with the raw image.
const COMPARE: &str = r#"
import kdumpfile, mmap, struct, sys
dump = kdumpfile.kdumpfile(sys.argv[1])
dump.attr['addrxlat.ostype'] = 'linux'
raw = open(sys.argv[2], 'rb')
raw = mmap.mmap(raw.fileno(), 0, prot=mmap.PROT_READ)
first, count = struct.unpack_from('<Q', raw, 32)[0], struct.unpack_from('<H', raw, 56)[0]
same = 0
for number in range(count):
    kind, _, offset, _, phys, size = struct.unpack_from('<IIQQQQ', raw, first + 56 * number)
    for at in range(0, size if kind == 1 else 0, 4096):
        try:
            page = dump.read(kdumpfile.KDUMP_MACHPHYSADDR, phys + at, 4096)
        except kdumpfile.exceptions.NoDataException:
            continue
        if bytes(page) != raw[offset + at:offset + at + 4096]:
            sys.exit('page %#x differs' % (phys + at))
        same += 1
print(same)
"#;

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

/// All steps; they take minutes.
pub(crate) fn steps() -> Vec<Step> {
    let step =
        |name: &str, check: fn() -> Result<()>| Step::new(format!("dump/{name}"), move || check().into());
    vec![
        step("levels", levels),
        step("learned", learned),
        step("libkdumpfile", libkdumpfile),
        step("makedumpfile", makedumpfile),
        step("vmlinux", vmlinux),
        step("dmesg", dmesg),
        step("crash", crash),
        step("crash-incomplete", crash_incomplete),
        step("drgn", drgn),
        step("drgn-incomplete", drgn_incomplete),
    ]
}

/// Where dumps are made.
fn place(name: &str) -> Result<PathBuf> {
    let dir = tree::target().join("material").join("readers");
    fs::create_dir_all(&dir)?;
    Ok(dir.join(name))
}

fn ours() -> Result<Command> {
    Ok(Command::new(product::static_program("kjump", "kjump")?))
}

fn saved(words: &[&str], name: &str) -> Result<PathBuf> {
    saved_of("6.1", words, name)
}

fn saved_of(kernel: &str, words: &[&str], name: &str) -> Result<PathBuf> {
    let dump = place(name)?;
    let mut command = ours()?;
    command.args(["makedumpfile", "-f", "--message-level", "4"]).args(words);
    program::quiet(command.arg(material::vmcore(kernel)?).arg(&dump))?;
    Ok(dump)
}

/// The pages that a dump keeps are those that makedumpfile keeps: Debian's, and for a newer kernel a newer one.
fn levels() -> Result<()> {
    same_levels("6.1", debian_tools::makedumpfile)?;
    same_levels("6.12", debian_tools::newest_makedumpfile)
}

fn same_levels(kernel: &str, makedumpfile: fn() -> Result<Command>) -> Result<()> {
    let image = material::vmcore(kernel)?;
    for level in LEVELS {
        let own = saved_of(kernel, &["-l", "-d", level], "own")?;
        let theirs = place("theirs")?;
        let mut command = makedumpfile()?;
        command.args(["-f", "--message-level", "4", "-l", "-d", level]);
        program::quiet(command.arg(&image).arg(&theirs))?;
        same_pages(&format!("{kernel}, level {level}"), &theirs, &own)?;
    }
    Ok(())
}

/// Two dumps have the same pages, and some.
fn same_pages(what: &str, first: &Path, second: &Path) -> Result<()> {
    let output = ours()?.args(["dump", "diff", "--json"]).arg(first).arg(second).output()?;
    let said: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    let counts =
        ["different", "unreadable", "only_in_first", "only_in_second"].map(|name| said[name].as_u64());
    ensure!(counts == [Some(0); 4] && said["same"].as_u64() > Some(1000), "{what}: {said}");
    Ok(())
}

/// What is taken out of VMCOREINFO is found in the kernel's types and symbols: the kept pages are the same.
fn learned() -> Result<()> {
    learned_of("6.1", "NUMBER(HUGETLB_PAGE_DTOR)")?;
    // Page types are constants since 6.10. Before, they are macros, and without them every page is kept.
    learned_of("6.12", "NUMBER(PAGE_")?;
    let (whole, said) = saved_without("6.1", &["SIZE(page)", "NUMBER(PAGE_BUDDY_MAPCOUNT_VALUE)"])?;
    ensure!(!whole && said.contains("nobody can tell"), "without page types: {said}");
    Ok(())
}

/// Lines that start with `other` are taken out besides those that are always.
fn learned_of(kernel: &str, other: &str) -> Result<()> {
    let told = place("told")?;
    let mut command = ours()?;
    command.args(["makedumpfile", "-f", "--message-level", "4", "-l", "-d", "31"]);
    program::quiet(command.arg(material::vmcore(kernel)?).arg(&told))?;
    let (whole, said) = saved_without(kernel, &[&LEARNED[..], &[other]].concat())?;
    let named = ["SYMBOL(mem_section)", "OFFSET(page.mapping)", other].iter().all(|key| said.contains(key));
    ensure!(whole && named, "{kernel}: {said}");
    same_pages(kernel, &told, &place("learned")?)
}

/// Saves an image without what VMCOREINFO says in lines that start with these. Answers with whether all was well, and with what
/// was said.
fn saved_without(kernel: &str, starts: &[&str]) -> Result<(bool, String)> {
    let (image, lacking) = (material::vmcore(kernel)?, place("lacking")?);
    fs::write(&lacking, without(&vmcoreinfo(&image)?, starts)?)?;
    let mut command = ours()?;
    command.args(["makedumpfile", "-f", "--message-level", "4", "-l", "-d", "31", "-i"]);
    let output = command.args([lacking, image, place("learned")?]).output()?;
    Ok((output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned()))
}

/// The text of the note, which QEMU puts in front of all memory.
fn vmcoreinfo(image: &Path) -> Result<String> {
    let mut start = Vec::new();
    File::open(image)?.take(1 << 20).read_to_end(&mut start)?;
    let first = b"OSRELEASE=";
    let at = start.windows(first.len()).position(|bytes| bytes == first).context("no VMCOREINFO")?;
    let text = start[at..].split(|byte| *byte == 0).next().unwrap_or_default();
    Ok(String::from_utf8_lossy(text).into_owned())
}

/// The lines that start with none of these, each of which some line starts with.
fn without(text: &str, starts: &[&str]) -> Result<String> {
    for start in starts {
        ensure!(text.lines().any(|line| line.starts_with(start)), "VMCOREINFO has no {start}");
    }
    let kept = text.lines().filter(|line| !starts.iter().any(|start| line.starts_with(start)));
    Ok(kept.map(|line| format!("{line}\n")).collect())
}

fn libkdumpfile() -> Result<()> {
    packages::for_readers()?;
    let image = material::vmcore("6.1")?;
    for codec in ["-l", "-c", "-p", "-z"] {
        let dump = saved(&[codec, "-d", "31"], "codec")?;
        let python =
            Command::new("/usr/bin/python3").args(["-c", COMPARE]).arg(&dump).arg(&image).output()?;
        let count = String::from_utf8_lossy(&python.stdout).trim().to_owned();
        ensure!(python.status.success(), "{codec}: {}", String::from_utf8_lossy(&python.stderr));
        let info = program::read(ours()?.args(["dump", "info", "--json"]).arg(&dump))?;
        let info: serde_json::Value = serde_json::from_str(&info)?;
        let present = &info["present_pages"];
        ensure!(present.as_u64() == count.parse().ok(), "{codec}: {count} read of {present}");
    }
    Ok(())
}

/// Debian's makedumpfile filters our dumps anew, puts our parts together and our streams in order.
fn makedumpfile() -> Result<()> {
    let image = material::vmcore("6.1")?;
    let checked =
        |again: &Path| program::quiet(ours()?.args(["dump", "verify", "--against"]).arg(&image).arg(again));
    let theirs = |words: &[&str], files: &[&Path]| {
        let mut command = debian_tools::makedumpfile()?;
        program::quiet(command.args(["-f", "--message-level", "4"]).args(words).args(files))
    };
    let again = place("again")?;
    let dump = saved(&["-l", "-d", "17"], "own")?;
    theirs(&["-c", "-d", "31"], &[&dump, &again])?;
    checked(&again)?;
    let parts = [place("part1")?, place("part2")?, place("part3")?];
    let mut split = ours()?;
    split.args(["makedumpfile", "-f", "-l", "-d", "31", "--split"]).arg(&image).args(&parts);
    program::quiet(&mut split)?;
    theirs(&["--reassemble"], &[&parts[0], &parts[1], &parts[2], &again])?;
    checked(&again)?;
    let stream = place("stream")?;
    let mut flatten = ours()?;
    flatten.args(["makedumpfile", "-F", "-c", "-d", "31"]).arg(&image).stdout(File::create(&stream)?);
    program::run(flatten.stderr(Stdio::null()))?;
    let mut rearrange = debian_tools::makedumpfile()?;
    rearrange.args(["-f", "-R", "--message-level", "4"]).arg(&again).stdin(File::open(&stream)?);
    program::run(&mut rearrange)?;
    checked(&again).map(drop)
}

/// What the kernel's file tells does as well as what the kernel tells of itself: the kept pages and the log are the same.
fn vmlinux() -> Result<()> {
    let (image, vmlinux) = (material::vmcore("6.1")?, debian_tools::vmlinux(&kernels::get("6.1")?)?);
    let (facts, dump) = (place("facts")?, place("by-facts")?);
    program::quiet(ours()?.args(["makedumpfile", "-f", "-g"]).arg(&facts).arg("-x").arg(&vmlinux))?;
    let own = saved(&["-l", "-d", "31"], "own")?;
    for (option, file) in [("-x", &vmlinux), ("-i", &facts)] {
        let mut command = ours()?;
        command.args(["makedumpfile", "-f", "-l", "-d", "31", option]).args([file, &image, &dump]);
        program::quiet(&mut command)?;
        same_pages(option, &own, &dump)?;
    }
    let (log, theirs) = (place("log")?, place("log.theirs")?);
    program::quiet(
        ours()?.args(["makedumpfile", "-f", "--dump-dmesg", "-x"]).args([&vmlinux, &image, &log]),
    )?;
    program::quiet(ours()?.args(["makedumpfile", "-f", "--dump-dmesg"]).args([&image, &theirs]))?;
    ensure!(fs::read(&log)? == fs::read(&theirs)?, "{} and {} differ", log.display(), theirs.display());
    Ok(())
}

/// The kernel's log is byte for byte what makedumpfile finds.
fn dmesg() -> Result<()> {
    let image = material::vmcore("6.1")?;
    let (own, theirs) = (place("dmesg")?, place("dmesg.theirs")?);
    program::quiet(ours()?.args(["makedumpfile", "-f", "--dump-dmesg"]).arg(&image).arg(&own))?;
    program::quiet(debian_tools::makedumpfile()?.args(["-f", "--dump-dmesg"]).arg(&image).arg(&theirs))?;
    ensure!(fs::read(&own)? == fs::read(&theirs)?, "{} and {} differ", own.display(), theirs.display());
    Ok(())
}

/// crash answers the same of every form of a dump as of the raw image.
fn crash() -> Result<()> {
    let raw = asked(&material::vmcore("6.1")?)?;
    ensure!(
        raw.contains("PANIC") || raw.lines().count() > 500,
        "crash says nothing of the raw image:\n{raw}"
    );
    for words in [["-l", "-d", "31"], ["-z", "-d", "17"], ["-c", "-d", "31"], ["-E", "-d", "31"]] {
        let said = asked(&saved(&words, "for-crash")?)?;
        ensure!(said == raw, "{words:?}: crash says something else; see {}", place("said")?.display());
    }
    Ok(())
}

/// A dump that was cut short is opened, and its tasks are listed: what that takes was written first.
fn crash_incomplete() -> Result<()> {
    for percent in PERCENTS {
        let cut = cut(percent)?;
        let said = asked_about(&cut, &["--zero_excluded"], "ps\nquit\n")?;
        ensure!(said.contains("swapper/0"), "at {percent} %: {said}");
    }
    Ok(())
}

/// So much of a dump there is room for.
const PERCENTS: [u64; 3] = [30, 50, 80];

/// The first so many percent of a dump. One at level 31 has little but what is needed first, so this is one of level 17.
fn cut(percent: u64) -> Result<PathBuf> {
    let length = fs::metadata(saved(&["-l", "-d", "17"], "whole")?)?.len();
    let cut = place("cut")?;
    let limit = (length * percent / 100).to_string();
    let mut command = ours()?;
    command.args(["makedumpfile", "-f", "-l", "-d", "17", "-L", &limit]);
    let status = command.arg(material::vmcore("6.1")?).arg(&cut).stderr(Stdio::null()).status()?;
    ensure!(status.code() == Some(1), "a dump that there is no room for: {status}");
    Ok(cut)
}

/// drgn walks through a dump that was cut short as through the whole memory.
fn drgn_incomplete() -> Result<()> {
    let whole = walked(&["-l", "-d", "0"])?;
    for percent in PERCENTS {
        let said = walked_through(&cut(percent)?)?;
        ensure!(said == whole, "at {percent} %, drgn finds something else:\n{said}");
    }
    Ok(())
}

/// drgn finds the same in what is left as in the whole memory. That is a dump of level 0: Debian's drgn (0.0.22) looks for the
/// kernel's image in the headers of ELF files, where QEMU does not tell it.
fn drgn() -> Result<()> {
    let whole = walked(&["-l", "-d", "0"])?;
    for kind in ["task ", "mount ", "cache "] {
        let count = whole.lines().filter(|line| line.starts_with(kind)).count();
        ensure!(count > 4, "drgn finds few of the kind {kind:?}:\n{whole}");
    }
    for words in [["-l", "-d", "31"], ["-c", "-d", "17"], ["-z", "-d", "31"], ["-p", "-d", "31"]] {
        let said = walked(&words)?;
        ensure!(said == whole, "{words:?}: drgn finds something else:\n{said}");
    }
    Ok(())
}

fn walked(words: &[&str]) -> Result<String> {
    walked_through(&saved(words, "for-drgn")?)
}

fn walked_through(dump: &Path) -> Result<String> {
    packages::for_readers()?;
    let vmlinux = debian_tools::vmlinux(&kernels::get("6.1")?)?;
    program::read(Command::new("/usr/bin/python3").args(["-c", WALK]).arg(dump).arg(vmlinux))
}

fn asked(dump: &Path) -> Result<String> {
    let said = asked_about(dump, &[], QUESTIONS)?;
    // The dump's own name and form are not the same.
    let lines = said.lines().filter(|line| !line.contains("DUMPFILE"));
    let said = lines.collect::<Vec<_>>().join("\n");
    fs::write(place("said")?, &said)?;
    Ok(said)
}

fn asked_about(dump: &Path, options: &[&str], questions: &str) -> Result<String> {
    packages::for_readers()?;
    let vmlinux = debian_tools::vmlinux(&kernels::get("6.1")?)?;
    let mut command = Command::new("crash");
    command.arg("-s").args(options).arg(vmlinux).arg(dump);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    child.stdin.take().context("crash takes questions")?.write_all(questions.as_bytes())?;
    Ok(String::from_utf8_lossy(&child.wait_with_output()?.stdout).into_owned())
}
