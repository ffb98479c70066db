//! Runs two programs with each line of a list of arguments.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::trace;

/// The file of lines for which the programs differ on purpose; the reasons are in
/// `docs/differences.md`.
const INTENDED: &str = "differences";

/// Prints the lines for which the two programs end differently. Returns 1 if a difference is not
/// intended, or an intended one does not occur.
pub(crate) fn compare(file: &Path, ours: &str, theirs: &str) -> Result<u8> {
    let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
    let intended = fs::read_to_string(file.with_extension(INTENDED)).unwrap_or_default();
    let intended: Vec<&str> = intended.lines().filter(|line| !line.starts_with('#')).collect();
    let (mut same, mut meant, mut wrong) = (0, 0, 0);
    for line in text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let arguments: Vec<&str> = line.split(' ').filter(|word| !word.is_empty()).collect();
        let [a, b] = [ours, theirs].map(|program| end(program, &arguments));
        let (a, b) = (a?, b?);
        let is_meant = intended.contains(&line);
        match (a.0 == b.0, is_meant) {
            (true, false) => same += 1,
            (false, true) => meant += 1,
            (is_same, _) => {
                wrong += 1;
                let what = if is_same { "is the same, but an intended difference" } else { "differs" };
                println!("kexec {line}\n  {what}: {} | {}\n  {}\n  {}", a.0, b.0, a.1, b.1);
            }
        }
    }
    println!("{same} lines end the same, {meant} differ as intended, {wrong} are wrong");
    Ok(u8::from(wrong > 0))
}

/// How a program ends: success or error, its calls, and the first line of output.
fn end(program: &str, arguments: &[&str]) -> Result<(String, String)> {
    let ended = trace::run(program, arguments, None, true)?;
    let class = match ended.status {
        0 => "success",
        // A crash is not an error exit.
        status if (128..=159).contains(&status) => "signal",
        _ => "error",
    };
    let output = ended.output.lines().next().unwrap_or_default().to_owned();
    Ok((
        format!(
            "{class}, {}",
            if ended.calls.is_empty() { "no calls".into() } else { ended.calls.join(" ") }
        ),
        output,
    ))
}
