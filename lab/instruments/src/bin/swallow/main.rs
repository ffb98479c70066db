//! Runs a program and intercepts its calls that load or start a kernel, so that two programs can be
//! run with the same arguments on the same machine, and their loads compared.
//!
//! ```text
//! swallow run DIRECTORY COMMAND [ARGUMENT]...   saves the calls in the directory, a file per segment
//! swallow compare DIRECTORY DIRECTORY           compares the boot parameters of two loads
//! swallow vectors FILE OURS THEIRS              compares two programs for each line of arguments
//! ```
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "registers have 64 bits, numbers in them fewer"
)]

mod compare;
mod facts;
mod trace;
mod vectors;

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Result, bail};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(status) => status.into(),
        Err(error) => {
            eprintln!("swallow: {error:#}");
            125.into()
        }
    }
}

fn run(arguments: &[String]) -> Result<u8> {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["run", directory, program, arguments @ ..] => {
            let ended = trace::run(program, arguments, Some(Path::new(directory)), false)?;
            Ok(ended.status)
        }
        ["compare", a, b] => compare::compare(Path::new(a), Path::new(b)),
        ["vectors", file, ours, theirs] => vectors::compare(Path::new(file), ours, theirs),
        _ => bail!("usage: run DIRECTORY COMMAND, compare DIRECTORY DIRECTORY, or vectors FILE OURS THEIRS"),
    }
}
