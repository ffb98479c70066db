//! The kernel's log, read from an image, as text.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::{CommandFactory, Parser, ValueHint};
use sys::descriptor;
use vmcore::printk::{Record, RingBuffer};
use vmcore::{Error, MemoryImage, log_buffer};

use super::args::RawArgs;
use super::sink::{Replace, Sink, WriteMode};
use super::source;
use crate::terminal::report;
use vmcore::WriteAt;

/// The log of an image, and the error if it ends early.
pub(super) fn text(image: &MemoryImage<'_>) -> anyhow::Result<(String, Option<Error>)> {
    let info = image.vmcoreinfo()?;
    let mut text = String::new();
    if info.symbol("prb").is_err() && info.symbol("log_buf").is_ok() {
        log_buffer::records(image, &info)?.iter().for_each(|record| write_record(&mut text, record));
        return Ok((text, None));
    }
    for record in RingBuffer::open(image, &info)?.records() {
        match record {
            Ok(record) => write_record(&mut text, &record),
            Err(error) => return Ok((text, Some(error))),
        }
    }
    Ok((text, None))
}

/// A record with its time. Continuation lines are indented to the start of the text. Bytes that
/// cannot be printed are escaped as in C.
fn write_record(text: &mut String, record: &Record) {
    let microseconds = record.nanoseconds / 1000;
    let start = format!("[{:5}.{:06}] ", microseconds / 1_000_000, microseconds % 1_000_000);
    text.push_str(&start);
    for byte in &record.text {
        match byte {
            // Writing to a String cannot fail.
            b'\n' => {
                let _ = write!(text, "\n{:1$}", "", start.len());
            }
            b' '..=b'~' | b'\t' | 0xb..=b'\r' => text.push(char::from(*byte)),
            _ => {
                let _ = write!(text, "\\x{byte:02x}");
            }
        }
    }
    text.push('\n');
}

/// Writes the log to a file, or to standard output if it is `-`. Unlike [`print()`], it is an error
/// if the reader goes away.
pub(super) fn save(image: &MemoryImage<'_>, output: &Path, replace: Replace) -> anyhow::Result<()> {
    let (text, trouble) = text(image)?;
    if output.as_os_str() == "-" {
        let written = descriptor::writable(io::stdout()).and_then(|mut out| out.write_all(text.as_bytes()));
        written.context("cannot write to standard output")?;
    } else {
        let sink = Sink::file(output, WriteMode::Cached, replace)?;
        sink.write_at(0, text.as_bytes())?;
        sink.finish(text.len() as u64)?;
    }
    trouble.map_or(Ok(()), |error| Err(error.into()))
}

/// Runs vmcore-dmesg with these arguments, after its name.
#[must_use]
pub fn run(args: &[OsString]) -> ExitCode {
    let name = [OsString::from(NAME)];
    match VmcoreDmesgArgs::try_parse_from(name.iter().chain(args)) {
        Ok(args) => {
            report::exit(NAME, print(&args.file, &RawArgs::default()).map(|()| report::Outcome::Done))
        }
        Err(error) => {
            // If this cannot be printed, the exit status remains.
            let _ = error.print();
            if error.use_stderr() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
        }
    }
}

const NAME: &str = "vmcore-dmesg";

/// Print the kernel's log from a memory image
#[derive(Debug, Parser)]
#[command(name = NAME, version)]
struct VmcoreDmesgArgs {
    /// The image, such as /proc/vmcore
    #[arg(value_hint = ValueHint::FilePath)]
    file: PathBuf,
}

/// The table of options, for help, manual page and completions.
#[must_use]
pub fn command() -> clap::Command {
    VmcoreDmesgArgs::command()
}

/// Prints the log of an image.
pub(super) fn print(source: &Path, raw: &RawArgs) -> anyhow::Result<()> {
    let (text, trouble) = text(&source::informed(source::image_or_raw(source, raw)?)?)?;
    report::print(&text)?;
    trouble.map_or(Ok(()), |error| Err(error.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn continuation_lines_are_indented_and_bytes_are_escaped() {
        let mut text = String::new();
        let record = Record {
            nanoseconds: 12_345_678_999,
            text: b"one\ntwo\x1b[m\xc3\xa4".to_vec(),
            ..Record::default()
        };
        write_record(&mut text, &record);
        assert_eq!(text, "[   12.345678] one\n               two\\x1b[m\\xc3\\xa4\n");
    }
}
