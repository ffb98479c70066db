//! Dumps of large and odd memory with little memory, streams that are cut off, facts about other
//! kernels, and the messages of all that.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

mod support;

use support::{Directory, PAGE, by_shell, kjump, save, text, verified};

const MIB: u64 = 1 << 20;

/// A program header: kind, offset, physical address, bytes in the file and of memory.
type Header = (u32, u64, u64, u64, u64);

/// A core file with these program headers. Their number is in a section header if it is large.
fn core(path: &Path, headers: &[Header]) -> File {
    let mut start = vec![0; 64];
    start[..20].copy_from_slice(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x04\0\x3e\0");
    start[32] = 64;
    start[54] = 56;
    let table = 64 + headers.len() * 56;
    if headers.len() < 0xffff {
        start[56..58].copy_from_slice(&u16::try_from(headers.len()).unwrap().to_le_bytes());
    } else {
        start[56..58].copy_from_slice(&[0xff, 0xff]);
        start[40..48].copy_from_slice(&(table as u64).to_le_bytes());
        start[58..62].copy_from_slice(&[64, 0, 1, 0]);
    }
    for (kind, offset, phys, filesz, memsz) in headers {
        start.extend(u64::from(*kind).to_le_bytes());
        for value in [*offset, 0xffff_8880_0000_0000 + phys, *phys, *filesz, *memsz, 0] {
            start.extend(value.to_le_bytes());
        }
    }
    let mut section = vec![0; 64];
    section[44..48].copy_from_slice(&u32::try_from(headers.len()).unwrap().to_le_bytes());
    start.extend(section);
    let file = File::create(path).unwrap();
    file.write_all_at(&start, 0).unwrap();
    file
}

fn note(name: &str, kind: u32, contents: &[u8]) -> Vec<u8> {
    let mut note = Vec::new();
    for number in [name.len() + 1, contents.len()] {
        note.extend(u32::try_from(number).unwrap().to_le_bytes());
    }
    note.extend(kind.to_le_bytes());
    for part in [&[name.as_bytes(), &[0]].concat(), contents] {
        note.extend(part);
        note.resize(note.len().next_multiple_of(4), 0);
    }
    note
}

/// Saves with this memory limit, and returns the most memory that was used.
fn peak(source: &Path, dump: &Path, limit: u64, options: &[&str]) -> u64 {
    let mut command = kjump(&["dump", "save", "--json", "--memory-limit", &limit.to_string()]);
    let output = command.args(options).arg(source).arg(dump).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let saved: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    saved["peak_memory"].as_u64().unwrap()
}

/// The least memory limit that is accepted with these options, as the message names it.
fn least(source: &Path, dump: &Path, options: &[&str]) -> u64 {
    let mut command = kjump(&["dump", "save", "--memory-limit", "4096"]);
    let output = command.args(options).arg(source).arg(dump).output().unwrap();
    let message = text(&output.stderr);
    let mebibytes = message.trim().strip_suffix(" MiB").and_then(|text| text.rsplit(' ').next());
    mebibytes.unwrap_or_else(|| panic!("{message}")).parse::<u64>().unwrap() * MIB
}

#[test]
fn a_machine_of_16_tib_with_little_in_it_needs_little_memory() {
    let dir = Directory::new("sparse");
    let (source, dump) = (dir.path("vmcore"), dir.path("dump"));
    let (tib, pages) = (1_u64 << 40, 300 * PAGE as u64);
    let loads: Vec<Header> = (0..16).map(|n| (1, 0x1_0000 + n * pages, n * tib, pages, tib)).collect();
    core(&source, &loads).write_all_at(&vec![5; usize::try_from(16 * pages).unwrap()], 0x1_0000).unwrap();
    let limit = 48 * MIB;
    for options in [&["-d", "1"][..], &["-d", "1", "--elf"], &["-d", "1", "-c", "lzo", "--flattened"]] {
        let peak = peak(&source, &dump, limit, options);
        assert!(peak <= limit, "{options:?}: {peak}");
        let output = kjump(&["dump", "diff", "--json"]).arg(&source).arg(&dump).output().unwrap();
        assert!(text(&output.stdout).contains("\"same\": 4800"), "{options:?}: {}", text(&output.stdout));
    }
}

#[test]
fn scattered_memory_needs_some_hundred_bytes_for_each_run() {
    let dir = Directory::new("scattered");
    let (source, dump) = (dir.path("vmcore"), dir.path("dump"));
    let count = 200_000;
    // Each in a part of memory of its own that no other shares.
    let loads: Vec<Header> = (0..count).map(|n| (1, 16 * MIB, n * 128 * MIB, 4096, 4096)).collect();
    core(&source, &loads).write_all_at(&[7; PAGE], 16 * MIB).unwrap();
    let arguments = ["dump", "info", source.to_str().unwrap()];
    let output = by_shell("ulimit -v 260000; exec \"$@\"", &arguments);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    // Closer together, their bitmaps take little.
    let loads: Vec<Header> = (0..count).map(|n| (1, 16 * MIB, n * MIB, 4096, 4096)).collect();
    core(&source, &loads).write_all_at(&[7; PAGE], 16 * MIB).unwrap();
    let limit = 80 * MIB;
    let peak = peak(&source, &dump, limit, &["-d", "1", "-c", "lzo"]);
    assert!(peak <= limit, "{peak}");
    assert!(verified(&dump).status.success());
}

#[test]
fn the_least_memory_limit_is_enough_to_read_many_load_headers() {
    let dir = Directory::new("many-loads");
    let (source, dump) = (dir.path("vmcore"), dir.path("dump"));
    // In order; with the last one first, so that they are sorted; and two that overlap.
    let mut loads: Vec<Header> = (0..100_000).map(|n| (1, 32 * MIB, n * MIB, 4096, 4096)).collect();
    for change in 0..3 {
        match change {
            0 => {}
            1 => loads.rotate_right(1),
            _ => loads[2].2 = 2048,
        }
        core(&source, &loads).write_all_at(&[7; PAGE], 32 * MIB).unwrap();
        let options = ["-d", "1", "-c", "lzo"];
        let limit = least(&source, &dump, &options);
        let peak = peak(&source, &dump, limit, &options);
        assert!(peak <= limit, "{peak} of {limit}");
        fs::remove_file(&dump).unwrap();
    }
}

/// Saves in each form with the least memory limit that is accepted for it.
fn each_form_holds_its_least_limit(dir: &Directory, source: &Path) {
    let (dump, second) = (dir.path("dump"), dir.path("second"));
    let split = ["-d", "1", "-c", "lzo", "--split", second.to_str().unwrap()];
    let forms = [
        &["-d", "1", "-c", "lzo"][..],
        &["-d", "1", "--elf"],
        &split,
        &["-d", "1", "-c", "lzo", "--flattened"],
        &["-d", "1", "--elf", "--flattened"],
    ];
    for options in forms {
        let limit = least(source, &dump, options);
        let peak = peak(source, &dump, limit, options);
        println!("{options:?}: {} KiB of {} KiB", peak >> 10, limit >> 10);
        assert!(peak <= limit, "{options:?}: {peak} of {limit}");
        fs::remove_file(&dump).unwrap();
    }
}

#[test]
fn each_form_of_many_loads_holds_its_least_limit() {
    let dir = Directory::new("forms-loads");
    let source = dir.path("vmcore");
    // In parts of memory of their own, in shared ones, and hardly apart.
    for (count, step) in [(20_000, 128 * MIB), (100_000, MIB), (100_000, 4 * PAGE as u64)] {
        let loads: Vec<Header> = (0..count).map(|n| (1, 32 * MIB, n * step, 4096, 4096)).collect();
        core(&source, &loads).write_all_at(&[7; PAGE], 32 * MIB).unwrap();
        each_form_holds_its_least_limit(&dir, &source);
    }
}

/// What the other test does, with as many load headers as the largest machines have.
#[test]
#[ignore = "takes minutes: it is the step dump/limits of `cargo xtask test --soak`"]
fn each_form_of_a_million_loads_holds_its_least_limit() {
    let dir = Directory::new("forms-million");
    let source = dir.path("vmcore");
    for step in [MIB, 4 * PAGE as u64] {
        let loads: Vec<Header> = (0..1_000_000).map(|n| (1, 64 * MIB, n * step, 4096, 4096)).collect();
        core(&source, &loads).write_all_at(&[7; PAGE], 64 * MIB).unwrap();
        each_form_holds_its_least_limit(&dir, &source);
    }
}

#[test]
fn each_form_of_16_tib_holds_its_least_limit() {
    let dir = Directory::new("forms-sparse");
    let source = dir.path("vmcore");
    let (tib, pages) = (1_u64 << 40, 300 * PAGE as u64);
    let loads: Vec<Header> = (0..16).map(|n| (1, 0x1_0000 + n * pages, n * tib, pages, tib)).collect();
    core(&source, &loads).write_all_at(&vec![5; usize::try_from(16 * pages).unwrap()], 0x1_0000).unwrap();
    each_form_holds_its_least_limit(&dir, &source);
}

#[test]
fn each_form_of_two_device_dumps_holds_its_least_limit() {
    let dir = Directory::new("forms-devices");
    let source = dir.path("vmcore");
    devices(&source);
    each_form_holds_its_least_limit(&dir, &source);
}

/// An image with the dumps of two devices; returns their size.
fn devices(source: &Path) -> u64 {
    let notes = note("LINUX", 0x700, &vec![9; 33 << 20]).repeat(2);
    let (size, pages) = (notes.len() as u64, 300 * PAGE as u64);
    let file = core(source, &[(4, MIB, 0, size, 0), (1, 128 * MIB, MIB, pages, pages)]);
    file.write_all_at(&notes, MIB).unwrap();
    file.write_all_at(&vec![5; usize::try_from(pages).unwrap()], 128 * MIB).unwrap();
    size
}

#[test]
fn the_dumps_of_two_devices_are_kept_in_memory_once() {
    let dir = Directory::new("devices");
    let (source, dump) = (dir.path("vmcore"), dir.path("dump"));
    let size = devices(&source);
    let limit = 66 * MIB + 20 * MIB;
    for options in [&["-d", "1"][..], &["-d", "1", "--elf"]] {
        let peak = peak(&source, &dump, limit, options);
        assert!(peak <= limit, "{options:?}: {peak}");
        assert!(fs::metadata(&dump).unwrap().len() > size);
    }
    let output = kjump(&["dump", "save", "--memory-limit", "40M"]).arg(&source).arg(&dump).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("needs at least"), "{}", text(&output.stderr));
}

#[test]
fn threads_that_find_no_memory_are_left_out() {
    let dir = Directory::new("address-space");
    let (source, dump) = (dir.source(), dir.path("dump"));
    for kibibytes in (40_000..160_000).step_by(12_000) {
        let line = format!("ulimit -v {kibibytes}; exec \"$@\"");
        for codec in ["zstd", "zlib"] {
            let files = [source.to_str().unwrap(), dump.to_str().unwrap()];
            let arguments =
                [&["dump", "save", "-d", "0", "-c", codec, "--threads", "64"][..], &files].concat();
            let output = by_shell(&line, &arguments);
            assert_eq!(output.status.code(), Some(0), "{kibibytes} KiB: {output:?}");
            assert!(verified(&dump).status.success());
        }
    }
}

#[test]
fn an_elf_file_with_any_number_of_holes_claims_none_of_the_missing_pages() {
    let dir = Directory::new("many-holes");
    let (source, dump) = (dir.path("vmcore"), dir.path("dump"));
    // After each page, one that the source does not have.
    let (count, pages) = (66_000, 5);
    let load = |n: u64| (1, 16 * MIB + n % pages * 4096, n * 8192, 4096, 8192);
    let loads: Vec<Header> = (0..count).map(load).collect();
    let contents: Vec<u8> = (1..).take(5).flat_map(|n| [n; PAGE]).collect();
    core(&source, &loads).write_all_at(&contents, 16 * MIB).unwrap();
    let limit = least(&source, &dump, &["-d", "0", "--elf"]);
    let peak = peak(&source, &dump, limit, &["-d", "0", "--elf"]);
    assert!(peak <= limit, "{peak} of {limit}");
    let output = kjump(&["dump", "diff", "--json"]).arg(&source).arg(&dump).output().unwrap();
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let counts = ["same", "different", "only_in_first", "only_in_second"].map(|key| report[key].as_u64());
    assert_eq!(counts, [Some(count), Some(0), Some(0), Some(0)], "{report}");
}

/// A file of 2 PiB without a byte that is stored, if the file system of its directory has files of
/// that size, or tmpfs.
#[test]
fn a_file_of_petabytes_of_holes_is_refused_and_takes_no_memory() {
    let dir = Directory::new("petabytes");
    let size = 2_u64 << 50;
    let memory = PathBuf::from(format!("/dev/shm/kjump-petabytes-{}", std::process::id()));
    let source = [dir.path("vmcore"), memory.clone()]
        .into_iter()
        .find(|path| core(path, &[(1, MIB, 0, size, size)]).set_len(MIB + size).is_ok());
    let source = source.unwrap();
    let output = by_shell("ulimit -v 160000; exec \"$@\"", &["dump", "info", source.to_str().unwrap()]);
    let _ = fs::remove_file(memory);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("the size of all load headers"), "{}", text(&output.stderr));
}

fn rearranged(stream: &[u8], dump: &Path) -> Output {
    let mut rearrange = kjump(&["makedumpfile", "-f", "-R"]);
    let mut child = rearrange.arg(dump).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(stream).unwrap();
    child.wait_with_output().unwrap()
}

#[test]
fn of_a_stream_that_was_cut_off_what_arrived_is_kept_and_marked() {
    let dir = Directory::new("cut-stream");
    let (source, cut, dump) = (dir.source(), dir.path("cut"), dir.path("dump"));
    for format in ["--compress=lzo", "--elf"] {
        let stream = kjump(&["dump", "save", "-d", "0", format]).arg(&source).arg("-").output().unwrap();
        assert!(stream.status.success());
        let stream = stream.stdout;
        for percent in [50, 95] {
            let part = &stream[..stream.len() * percent / 100];
            fs::write(&cut, part).unwrap();
            let output = rearranged(part, &dump);
            assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
            let message = format!("the stream was cut off after {} bytes", part.len());
            assert!(text(&output.stderr).contains(&message), "{}", text(&output.stderr));
            for file in [&cut, &dump] {
                let info = text(&kjump(&["dump", "info"]).arg(file).output().unwrap().stdout);
                assert!(info.contains("INCOMPLETE"), "{format}, {percent} %: {info}");
                assert_eq!(verified(file).status.code(), Some(1));
            }
            // What can be read of both is right.
            let output = kjump(&["dump", "diff", "--json"]).arg(&dump).arg(&cut).output().unwrap();
            let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
            assert_eq!(report["different"], 0, "{report}");
            let mut verify = kjump(&["dump", "verify", "--json", "--against"]);
            let output = verify.arg(&source).arg(&cut).output().unwrap();
            let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
            let same = report["same"].as_u64().unwrap() * 100 / 6000;
            assert!(same + 15 > percent as u64, "{format}, {percent} %: {report}");
        }
        // Only the last record is missing.
        assert_eq!(rearranged(&stream[..stream.len() - 16], &dump).status.code(), Some(1));
        assert_eq!(rearranged(&stream, &dump).status.code(), Some(0));
    }
}

#[test]
fn facts_about_another_kernel_are_refused_and_the_image_keeps_its_own() {
    let dir = Directory::new("facts");
    let (source, dump, facts) = (dir.path("vmcore"), dir.path("dump"), dir.path("facts"));
    let own = "OSRELEASE=6.1.0\nPAGESIZE=4096\nCRASHTIME=1795719273\n";
    let notes = note("VMCOREINFO", 0, own.as_bytes());
    let pages = 300 * PAGE as u64;
    let file = core(&source, &[(4, 0x1000, 0, notes.len() as u64, 0), (1, MIB, MIB, pages, pages)]);
    file.write_all_at(&notes, 0x1000).unwrap();
    file.write_all_at(&vec![5; usize::try_from(pages).unwrap()], MIB).unwrap();
    let run = |text: &str| {
        fs::write(&facts, text).unwrap();
        let mut command = kjump(&["makedumpfile", "-f", "-l", "-d", "31", "-i"]);
        command.args([&facts, &source, &dump]).output().unwrap()
    };
    let output = run("OSRELEASE=6.12.0\nSIZE(page)=64\n");
    assert_eq!(output.status.code(), Some(1));
    let message = "another kernel: its OSRELEASE is 6.12.0, that of the image is 6.1.0";
    assert!(text(&output.stderr).contains(message), "{}", text(&output.stderr));
    assert!(!dump.exists());
    run("OSRELEASE=6.1.0\nSIZE(page)=64\nSYMBOL(x)=1\n");
    let bytes = fs::read(&dump).unwrap();
    let has = |wanted: &str| bytes.windows(wanted.len()).any(|part| part == wanted.as_bytes());
    assert!(has(own) && !has("SYMBOL(x)"));

    // Where scripts of openSUSE find release and time.
    let output = kjump(&["makedumpfile", "-F", "--message-level", "8", "--dump-dmesg"]).arg(&source).output();
    let output = output.unwrap();
    assert_eq!(output.stdout, b"", "there is no log");
    assert!(text(&output.stderr).contains("\n  OSRELEASE=6.1.0\n"), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("\n  CRASHTIME=1795719273\n"), "{}", text(&output.stderr));
}

#[test]
fn messages_say_what_can_be_done() {
    let dir = Directory::new("messages");
    let source = dir.source();
    let put = |name: &str, bytes: &[u8]| -> PathBuf {
        fs::write(dir.path(name), bytes).unwrap();
        dir.path(name)
    };
    let error = |command: &mut Command| {
        let output = command.output().unwrap();
        assert_ne!(output.status.code(), Some(0));
        text(&output.stderr)
    };
    for (bytes, expected) in [
        (&b"LibvirtQemudSave\0"[..], "`virsh dump --memory-only`"),
        (b"\x1f\x8b\x08\0", "gzip data, to be decompressed first"),
        (b"", "the file is empty"),
        (&[0; 100], "it starts with zeros"),
    ] {
        let message = error(kjump(&["dump", "info"]).arg(put("other", bytes)));
        assert!(message.contains("other: not a memory image: ") && message.contains(expected), "{message}");
    }
    let message = error(&mut kjump(&["makedumpfile", "--size-estimate", "a", "b"]));
    let expected = "makedumpfile: unknown option --size-estimate; `makedumpfile --help` lists the options\n\
                    makedumpfile Failed.\n";
    assert_eq!(message, expected);
    let fifo = dir.path("fifo");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let reader = Command::new("cat").arg(&fifo).stdout(Stdio::null()).spawn().unwrap();
    let message = error(&mut save(&source, &fifo));
    assert!(message.contains("--flattened (-F of makedumpfile)"), "{message}");
    reader.wait_with_output().unwrap();
    let mut piped = kjump(&["dump", "info", "/dev/stdin"]);
    let message = error(piped.stdin(Stdio::piped()));
    assert!(message.contains("save it to a file first"), "{message}");
    for (limit, expected) in [("1X", "\"1X\" is not an amount of memory, such as 256M"), ("4096", "needs at")]
    {
        let message = error(save(&source, &dir.path("dump")).args(["--memory-limit", limit]));
        assert!(message.contains(expected), "{message}");
    }
    assert!(
        save(&source, &dir.path("dump")).args(["--memory-limit", "1T"]).status().unwrap().code() == Some(0)
    );
}

#[test]
fn the_version_is_one_that_scripts_can_compare() {
    for option in ["-v", "--version"] {
        let output = kjump(&["makedumpfile", option]).output().unwrap();
        assert_eq!(output.status.code(), Some(0));
        assert!(text(&output.stdout).starts_with("makedumpfile: version 1.7."), "{}", text(&output.stdout));
    }
}
