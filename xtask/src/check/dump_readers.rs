//! Our dumps, read by libkdumpfile and makedumpfile.

use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};

use crate::check::dumps::{ages, on_all, ours, place, saved};
use crate::check::step::Step;
use crate::debian::kernels;
use crate::debian::programs::{self, Age};
use crate::guest::memory_image;
use crate::program;

/// The levels at which the kept pages are compared.
const LEVELS: [&str; 8] = ["0", "1", "2", "4", "8", "16", "17", "31"];

/// Starts of lines of VMCOREINFO that kjump can derive from the kernel's types and symbols instead.
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

/// Reads every page of a dump by libkdumpfile, and compares it with the raw image. Of an ELF dump,
/// excluded pages read as zeros: the third argument is an ELF file whose headers give the others.
/// The names in the Python module changed between 0.5.1 and 0.5.5.
const COMPARE: &str = r#"
import kdumpfile, mmap, struct, sys
if hasattr(kdumpfile, 'Context'):
    dump, space, none = kdumpfile.Context(), kdumpfile.MACHPHYSADDR, kdumpfile.NoDataError
    dump.open(sys.argv[1])
else:
    dump, space = kdumpfile.kdumpfile(sys.argv[1]), kdumpfile.KDUMP_MACHPHYSADDR
    none = kdumpfile.exceptions.NoDataException
dump.attr['addrxlat.ostype'] = 'linux'
raw = open(sys.argv[2], 'rb')
raw = mmap.mmap(raw.fileno(), 0, prot=mmap.PROT_READ)

def loads(file):
    first, count = struct.unpack_from('<Q', file, 32)[0], struct.unpack_from('<H', file, 56)[0]
    for number in range(count):
        kind, _, offset, _, phys, size = struct.unpack_from('<IIQQQQ', file, first + 56 * number)
        if kind == 1:
            yield offset, phys, size

kept = None
if len(sys.argv) > 3:
    head = open(sys.argv[3], 'rb').read(8 << 20)
    kept = {phys + at for _, phys, size in loads(head) for at in range(0, size, 4096)}
same = 0
for offset, phys, size in loads(raw):
    for at in range(0, size, 4096):
        if kept is not None and phys + at not in kept:
            continue
        try:
            page = dump.read(space, phys + at, 4096)
        except none:
            continue
        if bytes(page) != raw[offset + at:offset + at + 4096]:
            sys.exit('page %#x differs' % (phys + at))
        same += 1
print(same)
"#;

/// All steps; they take minutes.
pub(crate) fn steps() -> Vec<Step> {
    let mut steps: Vec<Step> = on_all("levels", levels).collect();
    steps.extend(on_all("learned", learned));
    steps.extend(on_all("found", found));
    steps.extend(on_all("libkdumpfile", libkdumpfile));
    steps.extend(on_all("makedumpfile", makedumpfile));
    steps.extend(on_all("vmlinux", vmlinux));
    steps.extend(on_all("dmesg", dmesg));
    steps
}

/// A dump keeps the same pages as makedumpfile's: the one of Debian 12, and a newer one for a newer
/// kernel.
fn levels(kernel: &str) -> Result<()> {
    let all = LEVELS.map(|level| ("-l", level));
    // These leave short runs of pages that may be excluded.
    for (format, level) in all.into_iter().chain([("-E", "1"), ("-E", "17")]) {
        let own = saved(kernel, &[format, "-d", level], "own")?;
        let theirs = place("theirs")?;
        let mut command = makedumpfile_for(kernel)?;
        command.args(["-f", "--message-level", "4", format, "-d", level]);
        program::quiet(command.arg(memory_image::vmcore(kernel)?).arg(&theirs))?;
        let what = format!("{kernel}, {format}, level {level}");
        // makedumpfile 1.7.8 takes the second page of a compound page of 7.2 and 7.3 for user data,
        // even in slabs and in the page cache: where it reads `mapping`, that page has counters,
        // which are -1.
        if kernel.starts_with("newest") && ["8", "31"].contains(&level) {
            nearly_same_pages(&what, &theirs, &own)?;
        } else {
            same_pages(&what, &theirs, &own)?;
        }
    }
    Ok(())
}

/// Debian 12's makedumpfile, or a newer one for a newer kernel.
fn makedumpfile_for(kernel: &str) -> Result<Command> {
    if kernel == "6.1" { programs::makedumpfile() } else { programs::newest_makedumpfile() }
}

/// Two dumps have the same pages, and more than a few.
fn same_pages(what: &str, first: &Path, second: &Path) -> Result<()> {
    let (report, [different, unreadable, first_only, second_only]) = compare(first, second)?;
    ensure!([different, unreadable, first_only, second_only] == [0; 4], "{what}: {report}");
    Ok(())
}

/// The second dump has all pages of the first, and less than a twentieth more.
fn nearly_same_pages(what: &str, first: &Path, second: &Path) -> Result<()> {
    let (report, [different, unreadable, first_only, second_only]) = compare(first, second)?;
    let few = second_only * 20 < report["same"].as_u64().unwrap_or(0);
    ensure!([different, unreadable, first_only] == [0; 3] && few, "{what}: {report}");
    Ok(())
}

/// The report of `kjump dump diff` on two dumps, and its counts: different, unreadable, only in
/// one. The dumps must have a thousand pages in common.
fn compare(first: &Path, second: &Path) -> Result<(serde_json::Value, [u64; 4])> {
    let output = ours()?.args(["dump", "diff", "--json"]).arg(first).arg(second).output()?;
    let report: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    ensure!(report["same"].as_u64() > Some(1000), "{report}");
    let counts = ["different", "unreadable", "only_in_first", "only_in_second"]
        .map(|name| report[name].as_u64().unwrap_or(u64::MAX));
    Ok((report, counts))
}

/// Lines that VMCOREINFO lacks are derived from the kernel's types and symbols: the kept pages are
/// the same.
fn learned(kernel: &str) -> Result<()> {
    // Page types are constants since 6.10. In earlier kernels they are macros, and every page is
    // kept without them.
    if kernel != "6.1" {
        return learned_of(kernel, "NUMBER(PAGE_");
    }
    learned_of(kernel, "NUMBER(HUGETLB_PAGE_DTOR)")?;
    let (succeeded, complaint) = saved_without(kernel, &["SIZE(page)", "NUMBER(PAGE_BUDDY_MAPCOUNT_VALUE)"])?;
    ensure!(!succeeded && complaint.contains("kind is unknown"), "without page types: {complaint}");
    Ok(())
}

/// Without its note, VMCOREINFO is found in memory: the kept pages and the log are the same.
fn found(kernel: &str) -> Result<()> {
    let (image, lacking) = (memory_image::vmcore(kernel)?, place("no-note")?);
    program::quiet(Command::new("cp").arg("--sparse=always").args([&image, &lacking]))?;
    // The first program header is that of the notes; type 0 is not used.
    File::options().write(true).open(&lacking)?.write_all_at(&[0; 4], 64)?;
    let (own, dump) = (saved(kernel, &["-l", "-d", "31"], "own")?, place("found")?);
    program::quiet(ours()?.args(["makedumpfile", "-f", "-l", "-d", "31"]).args([&lacking, &dump]))?;
    same_pages(kernel, &own, &dump)?;
    let log = program::read(ours()?.args(["dump", "dmesg"]).arg(&lacking))?;
    ensure!(log == program::read(ours()?.args(["dump", "dmesg"]).arg(&image))?, "{log}");
    fs::remove_file(lacking)?;
    Ok(())
}

/// Removes the lines that start with `other` in addition to [`LEARNED`].
fn learned_of(kernel: &str, other: &str) -> Result<()> {
    let informed = place("informed")?;
    let mut command = ours()?;
    command.args(["makedumpfile", "-f", "--message-level", "4", "-l", "-d", "31"]);
    program::quiet(command.arg(memory_image::vmcore(kernel)?).arg(&informed))?;
    let (succeeded, complaint) = saved_without(kernel, &[&LEARNED[..], &[other]].concat())?;
    let named =
        ["SYMBOL(mem_section)", "OFFSET(page.mapping)", other].iter().all(|key| complaint.contains(key));
    ensure!(succeeded && named, "{kernel}: {complaint}");
    same_pages(kernel, &informed, &place("learned")?)
}

/// Saves an image without the lines of VMCOREINFO that start with these. Returns whether that
/// succeeded, and the output.
fn saved_without(kernel: &str, starts: &[&str]) -> Result<(bool, String)> {
    let (image, lacking) = (memory_image::vmcore(kernel)?, place("lacking")?);
    fs::write(&lacking, without(&vmcoreinfo(&image)?, starts)?)?;
    let mut command = ours()?;
    command.args(["makedumpfile", "-f", "--message-level", "4", "-l", "-d", "31", "-i"]);
    let output = command.args([lacking, image, place("learned")?]).output()?;
    Ok((output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned()))
}

/// The text of the note, which QEMU writes before the memory.
fn vmcoreinfo(image: &Path) -> Result<String> {
    let mut start = Vec::new();
    File::open(image)?.take(1 << 20).read_to_end(&mut start)?;
    let first = b"OSRELEASE=";
    let at = start.windows(first.len()).position(|bytes| bytes == first).context("no VMCOREINFO")?;
    let text = start[at..].split(|byte| *byte == 0).next().unwrap_or_default();
    Ok(String::from_utf8_lossy(text).into_owned())
}

/// The text without the lines that start with one of these. Each must match a line.
fn without(text: &str, starts: &[&str]) -> Result<String> {
    for start in starts {
        ensure!(text.lines().any(|line| line.starts_with(start)), "VMCOREINFO has no {start}");
    }
    let kept = text.lines().filter(|line| !starts.iter().any(|start| line.starts_with(start)));
    Ok(kept.map(|line| format!("{line}\n")).collect())
}

fn libkdumpfile(kernel: &str) -> Result<()> {
    for codec in ["-l", "-c", "-p", "-z"] {
        let dump = saved(kernel, &[codec, "-d", "31"], "codec")?;
        let info = program::read(ours()?.args(["dump", "info", "--json"]).arg(&dump))?;
        let info: serde_json::Value = serde_json::from_str(&info)?;
        let present = &info["present_pages"];
        for age in ages(kernel) {
            let mut python = programs::python(*age)?;
            let count =
                program::read(python.args(["-c", COMPARE]).arg(&dump).arg(memory_image::vmcore(kernel)?))
                    .with_context(|| format!("{codec}, {age:?}"))?;
            let same = present.as_u64() == count.trim().parse().ok();
            ensure!(same, "{codec}, {age:?}: {count} read of {present}");
        }
    }
    Ok(())
}

/// The number of pages that Debian's newest libkdumpfile reads of a dump; all are as in the raw
/// image. `elf` is an ELF file with the same pages, if the dump is one.
pub(crate) fn pages_by_libkdumpfile(dump: &Path, image: &Path, elf: Option<&Path>) -> Result<u64> {
    let mut python = programs::python(Age::Newest)?;
    let output = program::read(python.args(["-c", COMPARE]).arg(dump).arg(image).args(elf))?;
    Ok(output.trim().parse()?)
}

/// Debian's makedumpfile filters our dumps again, joins our split dumps and rearranges our
/// flattened ones.
fn makedumpfile(kernel: &str) -> Result<()> {
    let image = memory_image::vmcore(kernel)?;
    let checked =
        |again: &Path| program::quiet(ours()?.args(["dump", "verify", "--against"]).arg(&image).arg(again));
    let theirs = |options: &[&str], files: &[&Path]| {
        let mut command = makedumpfile_for(kernel)?;
        program::quiet(command.args(["-f", "--message-level", "4"]).args(options).args(files))
    };
    let again = place("again")?;
    let dump = saved(kernel, &["-l", "-d", "17"], "own")?;
    theirs(&["-c", "-d", "31"], &[&dump, &again])?;
    checked(&again)?;
    for level in ["1", "31"] {
        let elf = saved(kernel, &["-E", "-d", level], "own")?;
        theirs(&["-l", "-d", "31"], &[&elf, &again])?;
        checked(&again)?;
    }
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
    let mut rearrange = makedumpfile_for(kernel)?;
    rearrange.args(["-f", "-R", "--message-level", "4"]).arg(&again).stdin(File::open(&stream)?);
    program::run(&mut rearrange)?;
    checked(&again).map(drop)
}

/// The kernel's file can replace VMCOREINFO: the kept pages and the log are the same.
fn vmlinux(kernel: &str) -> Result<()> {
    let (image, vmlinux) = (memory_image::vmcore(kernel)?, programs::vmlinux(&kernels::get(kernel)?)?);
    let (facts, dump) = (place("facts")?, place("by-facts")?);
    program::quiet(ours()?.args(["makedumpfile", "-f", "-g"]).arg(&facts).arg("-x").arg(&vmlinux))?;
    let own = saved(kernel, &["-l", "-d", "31"], "own")?;
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

/// The kernel's log is byte for byte the same as makedumpfile's. The newest (1.7.8) also prints the
/// caller of each line, which these kernels, built without `PRINTK_CALLER`, do not.
fn dmesg(kernel: &str) -> Result<()> {
    let image = memory_image::vmcore(kernel)?;
    let (own, theirs) = (place("dmesg")?, place("dmesg.theirs")?);
    program::quiet(ours()?.args(["makedumpfile", "-f", "--dump-dmesg"]).arg(&image).arg(&own))?;
    program::quiet(makedumpfile_for(kernel)?.args(["-f", "--dump-dmesg"]).arg(&image).arg(&theirs))?;
    let log = fs::read_to_string(&theirs)?;
    let log = if kernel == "6.1" { log } else { without_callers(&log)? };
    ensure!(fs::read_to_string(&own)? == log, "{} and {} differ", own.display(), theirs.display());
    Ok(())
}

/// A log without the caller of each line. Continuation lines have the same indentation as the first
/// line.
fn without_callers(log: &str) -> Result<String> {
    const TIME: usize = "[    0.000000] ".len();
    const CALLER: usize = "[      T0] ".len();
    let mut lines = String::new();
    for line in log.lines() {
        let (time, rest) = line.split_at_checked(TIME).context(line.to_owned())?;
        let (caller, text) = rest.split_at_checked(CALLER).context(line.to_owned())?;
        let is_caller = caller.starts_with('[') && caller.ends_with("] ") || caller.trim().is_empty();
        ensure!(is_caller, "no caller in {line:?}");
        lines.extend([time, text, "\n"]);
    }
    Ok(lines)
}
