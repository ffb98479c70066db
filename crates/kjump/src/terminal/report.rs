//! The end of a command: its output, and the exit status.

use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::Context;

/// The outcome of a command that did its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Success.
    Done = 0,
    /// A negative result.
    No = 1,
    /// An exception ended the image, or a call of the BIOS.
    Fault = 3,
    /// The other kernel panicked.
    Panic = 4,
    /// The image, the other kernel, or a call of the BIOS was stopped at its deadline.
    Deadline = 5,
}

impl Outcome {
    /// The exit status.
    pub(crate) const fn status(self) -> u8 {
        self as u8
    }
}

/// The exit status for a wrong command line.
const USAGE: u8 = 2;

/// Every exit status, and what it means.
const STATUSES: [(u8, &str); 6] = [
    (Outcome::Done.status(), "done; for `call`: the image returned"),
    (Outcome::No.status(), "an error, or a negative result"),
    (USAGE, "the command line is wrong"),
    (Outcome::Fault.status(), "an exception ended the image, or a call of the BIOS"),
    (Outcome::Panic.status(), "the other kernel panicked"),
    (
        Outcome::Deadline.status(),
        "the image, the other kernel, or a call of the BIOS was stopped at its deadline",
    ),
];

/// The exit statuses, a line each.
pub(crate) fn statuses() -> String {
    STATUSES.iter().map(|(status, meaning)| format!("  {status}  {meaning}\n")).collect()
}

/// The exit status of a command; an error is printed.
pub(crate) fn exit(program: &str, outcome: anyhow::Result<Outcome>) -> ExitCode {
    match outcome {
        Ok(outcome) => outcome.status().into(),
        Err(error) => {
            complain(program, &format!("{error:#}"));
            if error.is::<UsageError>() { USAGE.into() } else { Outcome::No.status().into() }
        }
    }
}

/// An error in the command line that clap does not find.
#[derive(Debug)]
pub(crate) struct UsageError(pub(crate) String);

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for UsageError {}

/// Prints an error of clap, or the help that was requested.
pub(crate) fn usage(error: &clap::Error) -> ExitCode {
    // An error here cannot be reported.
    let _ = error.print();
    if error.use_stderr() { USAGE.into() } else { ExitCode::SUCCESS }
}

/// Prints to standard error, after the name of the program.
pub(crate) fn complain(program: &str, text: &str) {
    // If standard error is closed, the error cannot be reported.
    let _ = io::stderr().write_all(format!("{program}: {text}\n").as_bytes());
}

/// Prints a message to standard error. If that cannot be written to, the command goes on.
pub(crate) fn inform(text: &str) {
    let _ = io::stderr().write_all(text.as_bytes());
}

/// Prints a text to standard output. A reader that goes away, as `head` does, has read enough: the
/// outcome of the command does not change.
pub(crate) fn print(text: &str) -> anyhow::Result<()> {
    let mut output = io::stdout().lock();
    match output.write_all(text.as_bytes()).and_then(|()| output.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result.context("standard output"),
    }
}

/// Prints a value to standard output as JSON.
pub(crate) fn print_json(value: &impl serde::Serialize) -> anyhow::Result<()> {
    print(&(serde_json::to_string_pretty(value)? + "\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_exit_status_is_explained_once() {
        let numbers: Vec<u8> = STATUSES.iter().map(|(status, _)| *status).collect();
        let outcomes = [Outcome::Done, Outcome::No, Outcome::Fault, Outcome::Panic, Outcome::Deadline];
        let mut expected: Vec<u8> = outcomes.map(Outcome::status).into_iter().chain([USAGE]).collect();
        expected.sort_unstable();
        assert_eq!(numbers, expected);
    }
}
