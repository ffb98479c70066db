//! The program saving dumps where things go wrong: killed, without room, its source or its reader gone.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

const PAGE: usize = 4096;
const PAGES: usize = 6000;

/// A folder that goes away.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("kjump-dumps-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// An ELF vmcore of pages of noise and text.
    fn source(&self) -> PathBuf {
        let mut file = vec![0; PAGE];
        file[..20].copy_from_slice(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x04\0\x3e\0");
        file[32] = 64;
        file[54..58].copy_from_slice(&[56, 0, 1, 0]);
        file[64] = 1;
        let bytes = (PAGES * PAGE) as u64;
        for (at, value) in [(72, PAGE as u64), (96, bytes), (104, bytes)] {
            file[at..at + 8].copy_from_slice(&value.to_le_bytes());
        }
        let mut state = 1_u64;
        file.extend((0..PAGES * PAGE).map(|at| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            if (at / PAGE).is_multiple_of(3) { state.to_le_bytes()[5] } else { b"text of memory "[at % 15] }
        }));
        let path = self.path("vmcore");
        fs::write(&path, file).unwrap();
        path
    }

    /// What is in it, by name.
    fn names(&self) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(&self.0)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn kjump(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kjump"));
    command.args(words).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn save(source: &Path, goal: &Path) -> Command {
    let mut command = kjump(&["dump", "save", "--threads", "2", "--compress", "lzo"]);
    command.arg(source).arg(goal);
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn verified(dump: &Path) -> Output {
    kjump(&["dump", "verify"]).arg(dump).output().unwrap()
}

fn wait(mut child: Child) -> std::process::ExitStatus {
    child.wait().unwrap()
}

#[test]
fn a_dump_whose_writer_is_killed_has_no_name() {
    let folder = Folder::new("killed");
    let (source, goal) = (folder.source(), folder.path("dump"));
    let mut whole = 0;
    for moment in 0..50_u64 {
        let mut child = save(&source, &goal).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_micros(moment * moment * 40));
        child.kill().unwrap();
        // It may have been done already: then the dump is a whole one.
        if wait(child).success() {
            whole += 1;
            assert!(verified(&goal).status.success());
            fs::remove_file(&goal).unwrap();
        }
        if goal.exists() {
            // It had its name, and was killed before it could say so.
            assert!(verified(&goal).status.success());
            fs::remove_file(&goal).unwrap();
        }
    }
    assert!(whole < 50, "it was never killed in time");
}

#[test]
fn where_there_is_no_room_there_is_no_dump_and_an_error() {
    let folder = Folder::new("full");
    let output = save(&folder.source(), Path::new("/dev/full")).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("No space left"), "{}", text(&output.stderr));
}

#[test]
fn makedumpfile_keeps_what_there_was_room_for_and_tries_the_next_level_first() {
    let folder = Folder::new("limit");
    let (source, goal) = (folder.source(), folder.path("dump"));
    let makedumpfile =
        |words: &[&str]| kjump(&["makedumpfile"]).args(words).arg(&source).arg(&goal).output().unwrap();
    let output = makedumpfile(&["-l", "-d", "0,1", "-L", "5M"]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    let info = kjump(&["dump", "info"]).arg(&goal).output().unwrap();
    assert!(text(&info.stdout).contains("INCOMPLETE"), "{}", text(&info.stdout));
    assert!(fs::metadata(&goal).unwrap().len() <= 5 << 20);
    assert_eq!(makedumpfile(&["-l", "-d", "1"]).status.code(), Some(1), "it is there already");
    let output = makedumpfile(&["-l", "-d", "1", "-f"]);
    assert!(output.status.success());
    assert!(text(&output.stdout).contains("The dumpfile is saved to"), "{}", text(&output.stdout));
    assert!(verified(&goal).status.success());
    assert_eq!(folder.names(), ["dump", "vmcore"]);
}

#[test]
fn where_there_is_no_room_for_a_level_there_may_be_for_a_higher_one() {
    let folder = Folder::new("resume");
    let (source, goal) = (folder.source(), Path::new("/dev/full"));
    let tried = |words: &[&str], levels: &str| {
        let output = save(&source, goal).args(words).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        let said = text(&output.stderr);
        assert!(said.contains("No space left") && said.contains(levels), "{said}");
    };
    tried(&["--resume-on-enospc"], "level 1: trying 17\nno room for dump level 17: trying 31\n");
    tried(
        &["-d", "16,23", "--resume-on-enospc"],
        "level 16: trying 23\nno room for dump level 23: trying 31\n",
    );
    let output =
        save(&source, &folder.path("dump")).args(["--exact", "--resume-on-enospc"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "what is to be exact cannot do with less");
}

/// The one line that says what went wrong.
fn assert_broken_pipe(output: &Output) {
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.starts_with("kjump: cannot write") && said.ends_with("Broken pipe (os error 32)\n"),
        "{said}"
    );
    assert_eq!(said.lines().count(), 1, "{said}");
}

#[test]
fn a_reader_that_goes_away_ends_the_stream() {
    let folder = Folder::new("pipe");
    let mut child = save(&folder.source(), Path::new("-")).spawn().unwrap();
    let mut start = [0; 1000];
    child.stdout.take().unwrap().read_exact(&mut start).unwrap();
    assert!(start.starts_with(b"makedumpfile\0"));
    assert_broken_pipe(&child.wait_with_output().unwrap());
    assert_eq!(folder.names(), ["vmcore"]);
}

#[test]
fn a_reader_that_was_never_there_is_an_error_too() {
    let folder = Folder::new("closed");
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    assert_broken_pipe(&save(&folder.source(), Path::new("-")).stdout(writer).output().unwrap());
}

#[test]
fn a_stream_through_a_pipe_is_the_same_dump() {
    let folder = Folder::new("stream");
    let (source, goal) = (folder.source(), folder.path("dump"));
    let stream = save(&source, Path::new("-")).output().unwrap();
    assert!(stream.status.success());
    let mut rearrange = kjump(&["makedumpfile", "-R"]);
    let mut child = rearrange.arg(&goal).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(&stream.stdout).unwrap();
    assert!(wait(child).success());
    let output = kjump(&["dump", "verify", "--against"]).arg(&source).arg(&goal).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stdout));
    assert!(text(&output.stdout).contains("6000 the same, 0 different"), "{}", text(&output.stdout));
}

#[test]
fn a_source_that_becomes_shorter_leaves_pages_missing_and_says_so() {
    let folder = Folder::new("shorter");
    let (source, goal) = (folder.source(), folder.path("dump"));
    let shorten = |pages| File::options().write(true).open(&source).unwrap().set_len((PAGE * pages) as u64);
    let mut child = save(&source, Path::new("-")).spawn().unwrap();
    // Nobody reads on: it stands in the middle, with its source open, and what it has is hardly more than the pipe takes.
    let mut stream = vec![0; PAGE];
    let mut output = child.stdout.take().unwrap();
    output.read_exact(&mut stream).unwrap();
    shorten(1 + PAGES / 2).unwrap();
    output.read_to_end(&mut stream).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    let missing = format!("WARNING: {} pages missing in the dump: cannot read", PAGES / 2);
    assert!(text(&output.stderr).contains(&missing), "{}", text(&output.stderr));
    // What is there is right, and the dump says that it is not all.
    fs::write(&goal, stream).unwrap();
    let info = kjump(&["dump", "info"]).arg(&goal).output().unwrap();
    assert!(text(&info.stdout).contains("INCOMPLETE"), "{}", text(&info.stdout));
    let output = kjump(&["dump", "verify", "--against"]).arg(&source).arg(&goal).output().unwrap();
    let said = text(&output.stdout);
    assert!(said.contains("3000 the same, 0 different") && said.contains("3000 unreadable"), "{said}");
}

#[test]
fn a_source_that_was_cut_off_is_told_by_its_missing_pages() {
    let folder = Folder::new("cut-off");
    let (source, goal) = (folder.source(), folder.path("dump"));
    File::options().write(true).open(&source).unwrap().set_len((PAGE * (1 + PAGES / 2)) as u64).unwrap();
    let output = save(&source, &goal).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let missing = format!("WARNING: {} pages missing in the dump: the source ends before them", PAGES / 2);
    assert!(text(&output.stderr).contains(&missing), "{}", text(&output.stderr));
    // The dump says it too, and so does one that is made of it.
    let again = folder.path("again");
    let output = save(&goal, &again).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output.stderr).contains("WARNING: 3000 pages missing in the dump"),
        "{}",
        text(&output.stderr)
    );
    for dump in [&goal, &again] {
        let info = kjump(&["dump", "info"]).arg(dump).output().unwrap();
        let said = text(&info.stdout);
        assert!(said.contains("INCOMPLETE") && said.contains("cut off pages         3000"), "{said}");
        let output = verified(dump);
        assert_eq!(output.status.code(), Some(1));
        let said = text(&output.stdout);
        assert!(said.contains("3000 pages present, 0 unreadable"), "{said}");
        assert!(said.contains("incomplete: 3000 pages missing in the source, it was cut off"), "{said}");
    }
    let elf = folder.path("elf");
    let output = kjump(&["dump", "save", "--elf"]).args([&source, &elf]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let output = verified(&elf);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stdout).contains("incomplete, as it says itself"), "{}", text(&output.stdout));
    let output = save(&elf, &again).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(said.contains("WARNING: the source says that it is incomplete"), "{said}");
    let output = verified(&source);
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stdout);
    assert!(said.contains(&format!("{} pages cut off: the file ends before them", PAGES / 2)), "{said}");
}

#[test]
fn damaged_dumps_are_refused_or_told() {
    let folder = Folder::new("damaged");
    let (source, goal) = (folder.source(), folder.path("dump"));
    assert!(save(&source, &goal).output().unwrap().status.success());
    let good = fs::read(&goal).unwrap();
    for (copy, change) in (0..100_usize).zip(1_u8..) {
        let mut bad = good.clone();
        // Half of the damage is where the headers are; some copies end early.
        let at = if copy % 2 == 0 { copy * 401 % 20_000 } else { copy * 1_000_003 % bad.len() };
        bad[at] = bad[at].wrapping_add(change);
        if copy % 10 == 9 {
            bad.truncate(bad.len() * copy / 100);
        }
        fs::write(&goal, bad).unwrap();
        let output = verified(&goal);
        assert_eq!(output.status.code(), Some(1), "copy {copy}, byte {at:#x}: {}", text(&output.stdout));
    }
}

#[test]
fn a_split_set_is_put_together() {
    let folder = Folder::new("split");
    let source = folder.source();
    let parts = ["a", "b", "c"].map(|name| folder.path(name));
    let output =
        kjump(&["makedumpfile", "-c", "-d", "1", "--split"]).arg(&source).args(&parts).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let whole = folder.path("whole");
    let output = kjump(&["makedumpfile", "-l", "--reassemble"]).args(&parts).arg(&whole).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let output = kjump(&["dump", "diff"]).arg(&source).arg(&whole).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stdout));
}

#[test]
fn an_exact_dump_is_the_same_memory_again() {
    let folder = Folder::new("exact");
    let (source, goal, flat) = (folder.source(), folder.path("dump"), folder.path("memory"));
    // Without page structures nobody knows what is free, and the exit status says so; all is kept.
    let output = save(&source, &goal).arg("--exact").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let output = kjump(&["dump", "save", "--flat", "-d", "0"]).arg(&goal).arg(&flat).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(fs::read(flat).unwrap() == fs::read(source).unwrap()[PAGE..]);
}
