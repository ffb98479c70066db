//! What a guest is to do.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use crate::cpio::Tree;
use crate::{Error, Result};

/// Where the agent finds its orders.
const ARGUMENTS: &str = "/lab/arguments";
const SCRIPT: &str = "/lab/script";

/// The one command that a guest runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    words: Vec<OsString>,
    script: Option<Vec<u8>>,
}

impl Job {
    /// A command with its arguments, which reach it unchanged. A single word that is more than a program's name is a
    /// line for the shell.
    pub fn command(words: Vec<OsString>) -> Self {
        match <[OsString; 1]>::try_from(words) {
            Ok([line]) if is_for_the_shell(&line) => Self::shell(line),
            Ok(word) => Self { words: word.into(), script: None },
            Err(words) => Self { words, script: None },
        }
    }

    /// A line for the shell.
    pub fn shell(line: impl Into<OsString>) -> Self {
        Self { words: vec!["/bin/sh".into(), "-c".into(), line.into()], script: None }
    }

    /// A script of the host's with its arguments, run by the interpreter that its first line names, else by the shell.
    ///
    /// # Errors
    /// The script cannot be read.
    pub fn script(path: &Path, arguments: Vec<OsString>) -> Result<Self> {
        let text = fs::read(path).map_err(Error::file("read", path))?;
        let shell = (!text.starts_with(b"#!")).then(|| "/bin/sh".into());
        let words = shell.into_iter().chain([SCRIPT.into()]).chain(arguments).collect();
        Ok(Self { words, script: Some(text) })
    }

    /// Puts the orders where the agent looks for them: the words, each ended by a zero byte.
    pub(crate) fn put_into(&self, tree: &mut Tree) {
        let words = self.words.iter().flat_map(|word| word.as_bytes().iter().copied().chain([0]));
        tree.bytes(ARGUMENTS, 0o600, words.collect::<Vec<u8>>());
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

    fn words(job: &Job) -> Vec<&str> {
        job.words.iter().map(|word| word.to_str().unwrap()).collect()
    }

    #[test]
    fn several_words_are_left_alone() {
        let job = Job::command(vec!["echo".into(), "a b; c".into()]);
        assert_eq!(words(&job), ["echo", "a b; c"]);
    }

    #[test]
    fn a_single_name_is_a_program() {
        assert_eq!(words(&Job::command(vec!["/sbin/kjump".into()])), ["/sbin/kjump"]);
    }

    #[test]
    fn a_single_line_is_for_the_shell() {
        assert_eq!(words(&Job::command(vec!["exit 3".into()])), ["/bin/sh", "-c", "exit 3"]);
    }
}
