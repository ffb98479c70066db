//! Saving dumps when something goes wrong: the program is killed, there is no room, the source or
//! the reader goes away.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

mod support;

use support::{Directory, PAGE, PAGES, by_shell, kjump, save, text, verified};

fn wait(mut child: Child) -> std::process::ExitStatus {
    child.wait().unwrap()
}

#[test]
fn a_dump_whose_writer_is_killed_has_no_name() {
    let dir = Directory::new("killed");
    let (source, dump) = (dir.source(), dir.path("dump"));
    let mut whole = 0;
    for moment in 0..50_u64 {
        let mut child = save(&source, &dump).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_micros(moment * moment * 40));
        child.kill().unwrap();
        // If it had already finished, the dump is complete.
        if wait(child).success() {
            whole += 1;
            assert!(verified(&dump).status.success());
            fs::remove_file(&dump).unwrap();
        }
        if dump.exists() {
            // It was killed after the rename: the dump is complete.
            assert!(verified(&dump).status.success());
            fs::remove_file(&dump).unwrap();
        }
    }
    assert!(whole < 50, "it always finished before it was killed");
    assert_eq!(dir.names(), ["vmcore"], "nothing is left of a killed dump");
}

#[test]
fn without_room_there_is_an_error_and_no_dump() {
    let dir = Directory::new("full");
    let output = save(&dir.source(), Path::new("/dev/full")).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("No space left"), "{}", text(&output.stderr));
}

#[test]
fn makedumpfile_tries_the_next_level_and_keeps_an_incomplete_dump() {
    let dir = Directory::new("limit");
    let (source, dump) = (dir.source(), dir.path("dump"));
    let makedumpfile =
        |options: &[&str]| kjump(&["makedumpfile"]).args(options).arg(&source).arg(&dump).output().unwrap();
    let output = makedumpfile(&["-l", "-d", "0,1", "-L", "5M"]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    let info = kjump(&["dump", "info"]).arg(&dump).output().unwrap();
    assert!(text(&info.stdout).contains("INCOMPLETE"), "{}", text(&info.stdout));
    assert!(fs::metadata(&dump).unwrap().len() <= 5 << 20);
    assert_eq!(makedumpfile(&["-l", "-d", "1"]).status.code(), Some(1), "the file exists");
    let output = makedumpfile(&["-l", "-d", "1", "-f"]);
    assert!(output.status.success());
    assert!(text(&output.stdout).contains("The dumpfile is saved to"), "{}", text(&output.stdout));
    assert!(verified(&dump).status.success());
    assert_eq!(dir.names(), ["dump", "vmcore"]);
}

#[test]
fn without_room_for_a_level_a_higher_one_is_tried() {
    let dir = Directory::new("resume");
    let (source, dump) = (dir.source(), Path::new("/dev/full"));
    let tried = |options: &[&str], levels: &str| {
        let output = save(&source, dump).args(options).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        let report = text(&output.stderr);
        assert!(report.contains("No space left") && report.contains(levels), "{report}");
    };
    tried(&["--resume-on-enospc"], "level 1: trying 17\nno room for dump level 17: trying 31\n");
    tried(
        &["-d", "16,23", "--resume-on-enospc"],
        "level 16: trying 23\nno room for dump level 23: trying 31\n",
    );
    let output = save(&source, &dir.path("dump")).args(["--exact", "--resume-on-enospc"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "--exact excludes no more pages");
}

/// The only line on standard error is the error.
fn assert_broken_pipe(output: &Output) {
    let report = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{report}");
    assert!(
        report.starts_with("kjump: cannot write") && report.ends_with("Broken pipe (os error 32)\n"),
        "{report}"
    );
    assert_eq!(report.lines().count(), 1, "{report}");
}

#[test]
fn a_reader_that_goes_away_is_an_error() {
    let dir = Directory::new("pipe");
    let mut child = save(&dir.source(), Path::new("-")).spawn().unwrap();
    let mut start = [0; 1000];
    child.stdout.take().unwrap().read_exact(&mut start).unwrap();
    assert!(start.starts_with(b"makedumpfile\0"));
    assert_broken_pipe(&child.wait_with_output().unwrap());
    assert_eq!(dir.names(), ["vmcore"]);
}

#[test]
fn a_closed_pipe_is_an_error() {
    let dir = Directory::new("closed");
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    assert_broken_pipe(&save(&dir.source(), Path::new("-")).stdout(writer).output().unwrap());
}

#[test]
fn a_stream_through_a_pipe_is_the_same_dump() {
    let dir = Directory::new("stream");
    let (source, dump) = (dir.source(), dir.path("dump"));
    let stream = save(&source, Path::new("-")).output().unwrap();
    assert!(stream.status.success());
    let mut rearrange = kjump(&["makedumpfile", "-R"]);
    let mut child = rearrange.arg(&dump).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(&stream.stdout).unwrap();
    assert!(wait(child).success());
    let output = kjump(&["dump", "verify", "--against"]).arg(&source).arg(&dump).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stdout));
    assert!(text(&output.stdout).contains("6000 the same, 0 different"), "{}", text(&output.stdout));
}

#[test]
fn a_source_that_is_truncated_meanwhile_makes_an_incomplete_dump() {
    let dir = Directory::new("shorter");
    let (source, dump) = (dir.source(), dir.path("dump"));
    let shorten = |pages| File::options().write(true).open(&source).unwrap().set_len((PAGE * pages) as u64);
    let mut child = save(&source, Path::new("-")).spawn().unwrap();
    // Without a reader it blocks once the pipe is full, with its source open.
    let mut stream = vec![0; PAGE];
    let mut output = child.stdout.take().unwrap();
    output.read_exact(&mut stream).unwrap();
    shorten(1 + PAGES / 2).unwrap();
    output.read_to_end(&mut stream).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    let missing = format!("WARNING: {} pages missing in the dump: cannot read", PAGES / 2);
    assert!(text(&output.stderr).contains(&missing), "{}", text(&output.stderr));
    // The pages in the dump are right, and it is marked as incomplete.
    fs::write(&dump, stream).unwrap();
    let info = kjump(&["dump", "info"]).arg(&dump).output().unwrap();
    assert!(text(&info.stdout).contains("INCOMPLETE"), "{}", text(&info.stdout));
    let output = kjump(&["dump", "verify", "--against"]).arg(&source).arg(&dump).output().unwrap();
    let report = text(&output.stdout);
    assert!(report.contains("3000 the same, 0 different") && report.contains("3000 unreadable"), "{report}");
}

#[test]
fn the_missing_pages_of_a_source_that_was_cut_off_are_reported() {
    let dir = Directory::new("cut-off");
    let (source, dump) = (dir.source(), dir.path("dump"));
    File::options().write(true).open(&source).unwrap().set_len((PAGE * (1 + PAGES / 2)) as u64).unwrap();
    let output = save(&source, &dump).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let missing =
        format!("WARNING: {} pages missing in the dump: the source was cut off before them", PAGES / 2);
    assert!(text(&output.stderr).contains(&missing), "{}", text(&output.stderr));
    // The dump reports them too, and so does a dump made from it.
    let again = dir.path("again");
    let output = save(&dump, &again).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output.stderr).contains("WARNING: 3000 pages missing in the dump"),
        "{}",
        text(&output.stderr)
    );
    for dump in [&dump, &again] {
        let info = kjump(&["dump", "info"]).arg(dump).output().unwrap();
        let report = text(&info.stdout);
        assert!(report.contains("INCOMPLETE") && report.contains("cut off pages         3000"), "{report}");
        let output = verified(dump);
        assert_eq!(output.status.code(), Some(1));
        let report = text(&output.stdout);
        assert!(report.contains("3000 pages present, 0 unreadable"), "{report}");
        assert!(
            report.contains("incomplete: 3000 pages missing in the source, which was cut off"),
            "{report}"
        );
    }
    let elf = dir.path("elf");
    let output = kjump(&["dump", "save", "--elf"]).args([&source, &elf]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let output = verified(&elf);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stdout).contains("marked as incomplete"), "{}", text(&output.stdout));
    let output = save(&elf, &again).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let report = text(&output.stderr);
    assert!(report.contains("WARNING: the source is marked as incomplete"), "{report}");
    let output = verified(&source);
    assert_eq!(output.status.code(), Some(1));
    let report = text(&output.stdout);
    assert!(report.contains(&format!("{} pages cut off: the file ends before them", PAGES / 2)), "{report}");
}

#[test]
fn damage_is_detected() {
    let dir = Directory::new("damaged");
    let (source, dump) = (dir.source(), dir.path("dump"));
    assert!(save(&source, &dump).output().unwrap().status.success());
    let good = fs::read(&dump).unwrap();
    for (copy, change) in (0..100_usize).zip(1_u8..) {
        let mut bad = good.clone();
        // Half of the damage is in the headers; some copies are truncated.
        let at = if copy % 2 == 0 { copy * 401 % 20_000 } else { copy * 1_000_003 % bad.len() };
        bad[at] = bad[at].wrapping_add(change);
        if copy % 10 == 9 {
            bad.truncate(bad.len() * copy / 100);
        }
        fs::write(&dump, bad).unwrap();
        let output = verified(&dump);
        assert_eq!(output.status.code(), Some(1), "copy {copy}, byte {at:#x}: {}", text(&output.stdout));
    }
}

#[test]
fn a_split_set_is_joined() {
    let dir = Directory::new("split");
    let source = dir.source();
    let parts = ["a", "b", "c"].map(|name| dir.path(name));
    let output =
        kjump(&["makedumpfile", "-c", "-d", "1", "--split"]).arg(&source).args(&parts).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let whole = dir.path("whole");
    let output = kjump(&["makedumpfile", "-l", "--reassemble"]).args(&parts).arg(&whole).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let output = kjump(&["dump", "diff"]).arg(&source).arg(&whole).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stdout));
}

#[test]
fn an_exact_dump_has_all_memory() {
    let dir = Directory::new("exact");
    let (source, dump, flat) = (dir.source(), dir.path("dump"), dir.path("memory"));
    // Without page structures the kinds of pages are unknown: everything is kept, and the exit
    // status is 1.
    let output = save(&source, &dump).arg("--exact").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let output = kjump(&["dump", "save", "--flat", "-d", "0"]).arg(&dump).arg(&flat).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(fs::read(flat).unwrap() == fs::read(source).unwrap()[PAGE..]);
}

#[test]
fn an_unwritable_standard_error_does_not_change_the_result() {
    let dir = Directory::new("stderr");
    let (source, dump) = (dir.source(), dir.path("dump"));
    let full = File::options().write(true).open("/dev/full").unwrap();
    let status = save(&source, &dump).stderr(full.try_clone().unwrap()).status().unwrap();
    assert_eq!(status.code(), Some(0));
    assert!(verified(&dump).status.success());
    // It reports the level without room, too.
    fs::remove_file(&dump).unwrap();
    let mut command = kjump(&["makedumpfile", "-l", "-d", "0,1", "-L", "5M"]);
    let status = command.args([&source, &dump]).stderr(full).status().unwrap();
    assert_eq!(status.code(), Some(1));
    assert!(dump.exists());
}

#[test]
fn a_closed_standard_error_or_its_gone_reader_does_not_change_the_result() {
    let dir = Directory::new("no-stderr");
    let (source, dump) = (dir.source(), dir.path("dump"));
    let names = [source.to_str().unwrap(), dump.to_str().unwrap()];
    let whole = ["dump", "save", "-d", "0"];
    let limited = ["makedumpfile", "-f", "-l", "-d", "0,1", "-L", "5M"];
    for (arguments, status) in [(&whole[..], 0), (&limited, 1)] {
        let arguments = [arguments, &names].concat();
        let output = by_shell("exec \"$@\" 2>&-", &arguments);
        assert_eq!(output.status.code(), Some(status), "{arguments:?}");
        assert_eq!(verified(&dump).status.code(), Some(status));
        fs::remove_file(&dump).unwrap();
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        assert_eq!(kjump(&arguments).stderr(writer).status().unwrap().code(), Some(status), "{arguments:?}");
        assert_eq!(verified(&dump).status.code(), Some(status));
    }
}

#[test]
fn a_reader_that_goes_away_does_not_turn_no_into_yes() {
    let dir = Directory::new("no");
    let (source, dump) = (dir.source(), dir.path("dump"));
    assert!(save(&source, &dump).status().unwrap().success());
    let mut damaged = fs::read(&dump).unwrap();
    let at = damaged.len() / 2;
    damaged[at] ^= 1;
    fs::write(&dump, damaged).unwrap();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let status = kjump(&["dump", "verify"]).arg(&dump).stdout(writer).status().unwrap();
    assert_eq!(status.code(), Some(1));
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let status = kjump(&["dump", "diff"]).args([&source, &dump]).stdout(writer).status().unwrap();
    assert_eq!(status.code(), Some(1));
    // A dump, unlike a text, needs its reader.
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = save(&source, Path::new("/dev/stdout"));
    assert_eq!(command.arg("--flattened").stdout(writer).status().unwrap().code(), Some(1));
}

#[test]
fn a_reader_of_a_fifo_that_goes_away_is_an_error() {
    let dir = Directory::new("fifo");
    let (source, fifo) = (dir.source(), dir.path("fifo"));
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    // It goes at the stream's header, in the middle, and near the end.
    let length = save(&source, Path::new("-")).output().unwrap().stdout.len();
    for bytes in [0, length / 2, length - 100_000] {
        let mut command = save(&source, &fifo);
        let mut child = command.arg("--flattened").spawn().unwrap();
        let mut reader = File::open(&fifo).unwrap();
        std::io::copy(&mut (&mut reader).take(bytes as u64), &mut std::io::sink()).unwrap();
        drop(reader);
        let status = child.wait().unwrap();
        let mut report = String::new();
        child.stderr.take().unwrap().read_to_string(&mut report).unwrap();
        assert_eq!(status.code(), Some(1), "{bytes}: {report}");
        assert!(report.contains("Broken pipe"), "{bytes}: {report}");
    }
    assert_eq!(dir.names(), ["fifo", "vmcore"]);
}

#[test]
fn a_closed_or_read_only_standard_output_is_an_error() {
    let dir = Directory::new("no-stdout");
    let source = dir.source();
    let source = source.to_str().unwrap();
    for line in ["exec \"$@\" >&-", "exec \"$@\" 1</dev/null"] {
        for arguments in [&["dump", "save", source, "-"][..], &["makedumpfile", "-F", "-l", source]] {
            let output = by_shell(line, arguments);
            assert_eq!(output.status.code(), Some(1), "{line} {arguments:?}");
            assert!(text(&output.stderr).contains("cannot write to standard output"), "{output:?}");
        }
    }
}

#[test]
fn links_are_followed_and_open_files_are_written_in_place() {
    let dir = Directory::new("links");
    let (source, link, dump) = (dir.source(), dir.path("link"), dir.path("dump"));
    std::os::unix::fs::symlink("dump", &link).unwrap();
    // The link leads nowhere at first, then to a file.
    for _ in 0..2 {
        assert!(save(&source, &link).status().unwrap().success());
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert!(verified(&dump).status.success());
    }
    for name in ["/dev/stdout", "/proc/self/fd/1"] {
        let open = dir.path("open");
        let status = save(&source, Path::new(name)).stdout(File::create(&open).unwrap()).status().unwrap();
        assert!(status.success(), "{name}");
        assert!(verified(&open).status.success(), "{name}");
    }
    assert_eq!(dir.names(), ["dump", "link", "open", "vmcore"]);
}

#[test]
fn a_name_may_be_as_long_as_the_file_system_allows() {
    let dir = Directory::new("long");
    let dump = dir.path(&"n".repeat(255));
    assert!(save(&dir.source(), &dump).status().unwrap().success());
    assert!(verified(&dump).status.success());
}

#[test]
fn the_limit_of_file_sizes_makes_an_incomplete_dump() {
    let dir = Directory::new("ulimit");
    let (source, dump) = (dir.source(), dir.path("dump"));
    let arguments = ["dump", "save", "-c", "lzo", source.to_str().unwrap(), dump.to_str().unwrap()];
    let output = by_shell("ulimit -f 4000; exec \"$@\"", &arguments);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(text(&output.stderr).contains("dump.incomplete is an incomplete dump"), "{output:?}");
    assert_eq!(dir.names(), ["dump.incomplete", "vmcore"]);
}

#[test]
fn a_dump_is_written_by_fewer_threads_if_no_more_can_be_started() {
    use std::os::unix::fs::PermissionsExt;
    let dir = Directory::new("threads");
    let (source, dump) = (dir.source(), dir.path("dump"));
    fs::set_permissions(&dir.0, fs::Permissions::from_mode(0o777)).unwrap();
    fs::set_permissions(&source, fs::Permissions::from_mode(0o644)).unwrap();
    // The limit of processes does not apply to root. Without root or setpriv there is nothing to
    // check.
    let other = "setpriv --reuid=64321 --clear-groups";
    let line = format!("{other} test -x \"$1\" || exit 77; exec {other} prlimit --nproc=2 \"$@\"");
    let arguments = ["dump", "save", "--threads", "8", source.to_str().unwrap(), dump.to_str().unwrap()];
    let output = by_shell(&line, &arguments);
    if output.status.code() != Some(77) {
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        assert!(verified(&dump).status.success());
    }
}

#[test]
fn check_params_refuses_the_command_lines_that_a_run_refuses() {
    let check = |line: &str| {
        let mut command = kjump(&["makedumpfile", "--check-params"]);
        command.args(line.split(' ').filter(|argument| !argument.is_empty())).status().unwrap().code()
    };
    for line in
        ["-F a b", "--split a b", "-l a", "", "-i a", "--message-level 32 a b", "-R", "--dump-dmesg a"]
    {
        assert_eq!(check(line), Some(1), "{line}");
    }
    for line in
        ["-l -d 31 a b", "-F -l a", "--split a b c", "--dump-dmesg a b", "-R a", "--message-level 31 a b"]
    {
        assert_eq!(check(line), Some(0), "{line}");
    }
}
