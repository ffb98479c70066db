//! The command that a guest runs.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use crate::cpio::Tree;
use crate::{Error, Result};

/// The files in which the agent finds the command.
const ARGUMENTS: &str = "/lab/arguments";
const SCRIPT: &str = "/lab/script";

/// The one command that a guest runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    argv: Vec<OsString>,
    script: Option<Vec<u8>>,
}

impl Job {
    /// A command with its arguments, which are passed unchanged. A single string that is more than
    /// the name of a program is a line for the shell.
    pub fn command(argv: Vec<OsString>) -> Self {
        match <[OsString; 1]>::try_from(argv) {
            Ok([line]) if is_for_the_shell(&line) => Self::shell(line),
            Ok(word) => Self { argv: word.into(), script: None },
            Err(argv) => Self { argv, script: None },
        }
    }

    /// A line for the shell.
    pub fn shell(line: impl Into<OsString>) -> Self {
        Self { argv: vec!["/bin/sh".into(), "-c".into(), line.into()], script: None }
    }

    /// A script of the host with its arguments, run by the interpreter in its first line, or else
    /// by the shell.
    ///
    /// # Errors
    /// The script cannot be read.
    pub fn script(path: &Path, arguments: Vec<OsString>) -> Result<Self> {
        let text = fs::read(path).map_err(Error::file("read", path))?;
        let shell = (!text.starts_with(b"#!")).then(|| "/bin/sh".into());
        let argv = shell.into_iter().chain([SCRIPT.into()]).chain(arguments).collect();
        Ok(Self { argv, script: Some(text) })
    }

    /// Adds the files for the agent to a root file system. Each argument is terminated by a zero
    /// byte.
    pub(crate) fn add_to(&self, tree: &mut Tree) {
        let argv = self.argv.iter().flat_map(|word| word.as_bytes().iter().copied().chain([0]));
        tree.bytes(ARGUMENTS, 0o600, argv.collect::<Vec<u8>>());
        if let Some(text) = &self.script {
            tree.bytes(SCRIPT, 0o755, text.clone());
        }
    }
}

fn is_for_the_shell(line: &OsString) -> bool {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"/._-+@:,%".contains(byte) || !byte.is_ascii();
    !line.as_bytes().iter().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn argv(job: &Job) -> Vec<&str> {
        job.argv.iter().map(|word| word.to_str().unwrap()).collect()
    }

    #[test]
    fn several_arguments_are_passed_unchanged() {
        let job = Job::command(vec!["echo".into(), "a b; c".into()]);
        assert_eq!(argv(&job), ["echo", "a b; c"]);
    }

    #[test]
    fn a_single_name_is_a_program() {
        assert_eq!(argv(&Job::command(vec!["/sbin/kjump".into()])), ["/sbin/kjump"]);
    }

    #[test]
    fn a_single_line_is_for_the_shell() {
        assert_eq!(argv(&Job::command(vec!["exit 3".into()])), ["/bin/sh", "-c", "exit 3"]);
    }
}
