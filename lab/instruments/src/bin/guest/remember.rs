//! Memory of a process that must survive whatever happens to the machine.

use std::fs;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context as _, Result};

/// Words of a page.
const WORDS: u64 = 512;

/// `remember MEBIBYTES FILE`: fills memory, creates FILE, and once FILE.check exists, checks all of
/// the memory and writes the outcome to FILE.checked.
pub(crate) fn remember(arguments: &[String]) -> Result<()> {
    let mebibytes: u64 = arguments.first().context("MEBIBYTES is missing")?.parse()?;
    let file = Path::new(arguments.get(1).context("FILE is missing")?);
    let words: Vec<u64> = (0..mebibytes << 17).map(word).collect();
    fs::write(file, "")?;
    while !file.with_extension("check").exists() {
        sleep(Duration::from_millis(20));
    }
    let wrong = words.iter().zip(0..).filter(|(found, place)| **found != word(*place)).count();
    let outcome = if wrong == 0 { "all as it was".to_owned() } else { format!("{wrong} words are wrong") };
    fs::write(file.with_extension("part"), outcome)?;
    Ok(fs::rename(file.with_extension("part"), file.with_extension("checked"))?)
}

/// Every third page hardly compresses.
fn word(place: u64) -> u64 {
    let mixed = (place ^ place >> 7).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    if (place / WORDS).is_multiple_of(3) { mixed ^ mixed >> 29 } else { place / WORDS }
}
