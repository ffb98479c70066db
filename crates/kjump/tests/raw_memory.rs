//! Dumps of raw memory: a file of pages, and ranges that say where they were.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::path::Path;

mod support;

use support::{Directory, PAGE, PAGES, kjump, text};

/// The pages of [`Directory::source`] as raw memory, and the ranges that describe them: the first
/// page last.
fn raw(dir: &Directory) -> (std::path::PathBuf, String) {
    let vmcore = fs::read(dir.source()).unwrap();
    let (first, others) = vmcore[PAGE..].split_at(PAGE);
    let file = dir.path("memory");
    fs::write(&file, [others, first].concat()).unwrap();
    (file, format!("0x1000-{:#x},0-0xfff", PAGES * PAGE))
}

#[test]
fn raw_memory_is_the_same_image_as_an_elf_file_of_it() {
    let dir = Directory::new("raw");
    let (memory, ram) = raw(&dir);
    let raw = ["--raw", "--ram", &ram];
    let against = |image: &Path, options: &[&str]| {
        let mut verify = kjump(&["dump", "verify"]);
        let output =
            verify.arg(image).args(options).arg("--against").arg(dir.path("vmcore")).output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        let report = text(&output.stdout);
        assert!(
            report.contains("6000 the same, 0 different, 0 only here, 0 only there"),
            "{}: {report}",
            image.display()
        );
    };
    against(&memory, &raw);
    for form in [&["--elf"][..], &["--flattened"], &["--compress", "zstd"]] {
        let copy = dir.path("copy");
        let mut save = kjump(&["dump", "save", "-d", "0"]);
        let output = save.args(form).args(raw).arg(&memory).arg(&copy).output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        against(&copy, &[]);
    }
    // The image to compare with may be the raw one, or both may be.
    let vmcore = dir.path("vmcore");
    for (image, options) in [(&vmcore, &[][..]), (&memory, &raw)] {
        let mut verify = kjump(&["dump", "verify", "--against"]);
        verify.arg(&memory).args(["--against-ram", &ram]).args(options).arg(image);
        let report = text(&verify.output().unwrap().stdout);
        assert!(report.contains("6000 the same, 0 different, 0 only here, 0 only there"), "{report}");
        let mut diff = kjump(&["dump", "diff", "--json"]);
        diff.args(options).args(["--second-ram", &ram]).args([image, &memory]);
        let output = diff.output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        assert!(text(&output.stdout).contains("\"same\": 6000"), "{}", text(&output.stdout));
    }
    let output = kjump(&["dump", "diff"]).args(raw).args([&memory, &vmcore]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let info = kjump(&["dump", "info"]).args(raw).arg(&memory).output().unwrap();
    assert!(text(&info.stdout).contains("raw memory"), "{}", text(&info.stdout));
    // Memory at its own addresses is raw memory with one range.
    let flat = dir.path("flat");
    let mut save = kjump(&["dump", "save", "--flat"]);
    assert!(save.arg(dir.path("vmcore")).arg(&flat).output().unwrap().status.success());
    against(&flat, &["--raw", "--ram", &format!("0-{:#x}", PAGES * PAGE)]);
}

#[test]
fn ranges_of_raw_memory_that_cannot_be_right_are_refused() {
    let dir = Directory::new("ranges");
    let (memory, _) = raw(&dir);
    for (options, status, reason) in [
        (&["--raw"][..], 2, "--ram"),
        (&["--ram", "0-0x1000"], 2, "--raw"),
        (&["--raw", "--ram", ""], 2, "is not START-END"),
        (&["--raw", "--ram", "0-0x1000,"], 2, "is not START-END"),
        (&["--raw", "--ram", "0x1000-0x1000"], 2, "ends before it starts"),
        (&["--raw", "--ram", "0x10-0x1000"], 2, "does not start and end with a page"),
        (&["--raw", "--ram", "0-0x2000,0x1000-0x1770000"], 1, "0x0-0x2000 and 0x1000-0x1770000 overlap"),
        (&["--raw", "--ram", "0-0x1771000"], 1, "0x1771000 bytes together, the file is 0x1770000 bytes"),
        (&["--raw", "--ram", "0-0x176f000"], 1, "0x176f000 bytes together, the file is 0x1770000 bytes"),
        (&["--raw", "--ram", "0x1000-0xfffffffffffff000"], 1, "--ram 0x1000-0xfffffffffffff000"),
    ] {
        for command in ["info", "verify", "map", "dmesg"] {
            let output = kjump(&["dump", command]).args(options).arg(&memory).output().unwrap();
            let report = text(&output.stderr);
            assert_eq!(output.status.code(), Some(status), "{command} {options:?}: {report}");
            assert!(report.contains(reason), "{command} {options:?}: {report}");
        }
    }
}
