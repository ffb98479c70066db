//! Lines of arguments, given to two programs.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::trace;

/// Lines for which the programs differ on purpose: `docs/differences.md` says why.
const INTENDED: &str = "differences";

/// Prints the lines for which the two end otherwise; 1 if there is one that is not intended, or one that is and does not
/// differ.
pub(crate) fn compare(file: &Path, ours: &str, theirs: &str) -> Result<u8> {
    let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
    let intended = fs::read_to_string(file.with_extension(INTENDED)).unwrap_or_default();
    let intended: Vec<&str> = intended.lines().filter(|line| !line.starts_with('#')).collect();
    let (mut same, mut meant, mut wrong) = (0, 0, 0);
    for line in text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let words: Vec<&str> = line.split(' ').filter(|word| !word.is_empty()).collect();
        let [a, b] = [ours, theirs].map(|program| end(program, &words));
        let (a, b) = (a?, b?);
        let is_meant = intended.contains(&line);
        match (a.0 == b.0, is_meant) {
            (true, false) => same += 1,
            (false, true) => meant += 1,
            (is_same, _) => {
                wrong += 1;
                let what = if is_same { "is the same though it is meant to differ" } else { "differs" };
                println!("kexec {line}\n  {what}: {} | {}\n  {}\n  {}", a.0, b.0, a.1, b.1);
            }
        }
    }
    println!("{same} lines end the same, {meant} differ as intended, {wrong} are wrong");
    Ok(u8::from(wrong > 0))
}

/// How it ends: well or not, with which calls; and the first line it says.
fn end(program: &str, words: &[&str]) -> Result<(String, String)> {
    let ended = trace::run(program, words, None, true)?;
    let class = match ended.status {
        0 => "well",
        // A crash is no answer.
        status if (128..=159).contains(&status) => "by a signal",
        _ => "in an error",
    };
    let said = ended.said.lines().next().unwrap_or_default().to_owned();
    Ok((
        format!(
            "{class}, {}",
            if ended.calls.is_empty() { "nothing called".into() } else { ended.calls.join(" ") }
        ),
        said,
    ))
}
