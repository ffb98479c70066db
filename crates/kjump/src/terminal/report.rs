//! How a command ends: what is printed, and the exit status.

use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;

/// How a command ended that ended as it should.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Well.
    Done,
    /// The answer is no, as the report says.
    No,
    /// An exception ended the image, as the report says.
    Fault,
    /// The other kernel panicked, as the report says.
    Panic,
    /// The other kernel was taken down at its deadline, as the report says.
    Deadline,
}

impl Outcome {
    const fn status(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::No => 1,
            Self::Fault => 3,
            Self::Panic => 4,
            Self::Deadline => 5,
        }
    }
}

/// The exit status of a command; an error is printed.
pub(crate) fn exit(program: &str, outcome: anyhow::Result<Outcome>) -> ExitCode {
    match outcome {
        Ok(outcome) => outcome.status().into(),
        Err(error) if is_closed_pipe(&error) => Outcome::Done.status().into(),
        Err(error) => {
            complain(program, &format!("{error:#}"));
            if error.is::<UsageError>() { USAGE.into() } else { Outcome::No.status().into() }
        }
    }
}

/// The exit status for a wrong command line.
const USAGE: u8 = 2;

/// The command line is wrong in a way that the parser of arguments does not see.
#[derive(Debug)]
pub(crate) struct UsageError(pub(crate) String);

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for UsageError {}

/// Prints an error, or the help that was asked for, of the parser of arguments.
pub(crate) fn usage(error: &clap::Error) -> ExitCode {
    // If nobody reads it, nobody misses it.
    let _ = error.print();
    if error.use_stderr() { USAGE.into() } else { ExitCode::SUCCESS }
}

/// Prints to standard error, as the program of this name.
pub(crate) fn complain(program: &str, text: &str) {
    // Where standard error is closed there is no place to say so.
    let _ = io::stderr().write_all(format!("{program}: {text}\n").as_bytes());
}

/// Prints to standard output.
pub(crate) fn print(text: &str) -> anyhow::Result<()> {
    let mut output = io::stdout().lock();
    output.write_all(text.as_bytes())?;
    Ok(output.flush()?)
}

/// Prints a value to standard output as JSON.
pub(crate) fn print_json(value: &impl serde::Serialize) -> anyhow::Result<()> {
    print(&(serde_json::to_string_pretty(value)? + "\n"))
}

/// Whether the reader of the output went away, as `head` does: the command has done what was wanted of it.
fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
