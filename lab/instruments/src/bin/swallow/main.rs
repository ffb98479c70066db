//! Kexec without kexec: runs a program and swallows its calls that load or start a kernel, so that two programs can be
//! asked for the same on the same machine, and what they would have loaded be compared.
//!
//! ```text
//! swallow run FOLDER COMMAND [ARGUMENT]...    the calls are saved in the folder, a file for each segment
//! swallow compare FOLDER FOLDER               what two programs would have told the next kernel, field by field
//! swallow vectors FILE OURS THEIRS            how two programs end, for each line of arguments in the file
//! ```
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a tracer's registers are what they are"
)]

mod compare;
mod facts;
mod trace;
mod vectors;

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Result, bail};

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match run(&words) {
        Ok(status) => status.into(),
        Err(error) => {
            eprintln!("swallow: {error:#}");
            125.into()
        }
    }
}

fn run(words: &[String]) -> Result<u8> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["run", folder, program, arguments @ ..] => {
            let ended = trace::run(program, arguments, Some(Path::new(folder)), false)?;
            Ok(ended.status)
        }
        ["compare", a, b] => compare::compare(Path::new(a), Path::new(b)),
        ["vectors", file, ours, theirs] => vectors::compare(Path::new(file), ours, theirs),
        _ => bail!("run FOLDER COMMAND, compare FOLDER FOLDER, or vectors FILE OURS THEIRS"),
    }
}
