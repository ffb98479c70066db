//! Sources, commands and results of tests of dumps.
#![allow(dead_code, reason = "each test file uses a part")]

#[cfg(feature = "https")]
pub(crate) mod collector;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

pub(crate) const PAGE: usize = 4096;
pub(crate) const PAGES: usize = 6000;

/// A directory that is removed at the end.
pub(crate) struct Directory(pub(crate) PathBuf);

impl Directory {
    pub(crate) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("kjump-dumps-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// An ELF vmcore of pages with noise and text.
    pub(crate) fn source(&self) -> PathBuf {
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

    /// The names of its files.
    pub(crate) fn names(&self) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(&self.0)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

pub(crate) fn kjump(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kjump"));
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

pub(crate) fn save(source: &Path, output: &Path) -> Command {
    let mut command = kjump(&["dump", "save", "--threads", "2", "--compress", "lzo"]);
    command.arg(source).arg(output);
    command
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

pub(crate) fn verified(dump: &Path) -> Output {
    kjump(&["dump", "verify"]).arg(dump).output().unwrap()
}

/// The program, started by a shell line in which it is `"$@"`.
pub(crate) fn by_shell(line: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new("sh");
    command.args(["-c", line, "sh", env!("CARGO_BIN_EXE_kjump")]).args(arguments);
    command.stdin(Stdio::null()).output().unwrap()
}
