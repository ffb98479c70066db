//! Dumps for other programs to read.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use crate::build::product;
use crate::check::step::Step;
use crate::debian::programs::Age;
use crate::guest::memory_image;
use crate::{program, tree};

/// The kernels whose dumps are read.
pub(crate) const KERNELS: [&str; 4] = ["6.1", "6.12", "newest", "newest-backport"];

/// A step for each kernel.
pub(crate) fn on_all(name: &str, check: fn(&str) -> Result<()>) -> impl Iterator<Item = Step> {
    KERNELS
        .into_iter()
        .map(move |kernel| Step::new(format!("dump/{name}/{kernel}"), move || check(kernel).into()))
}

/// The readers that a kernel's dumps are given to. Debian 12's know its own kernel only.
pub(crate) fn ages(kernel: &str) -> &'static [Age] {
    if kernel == "6.1" { &[Age::Release, Age::Newest] } else { &[Age::Newest] }
}

/// Where dumps are made.
pub(crate) fn place(name: &str) -> Result<PathBuf> {
    let dir = tree::target().join("material").join("readers");
    fs::create_dir_all(&dir)?;
    Ok(dir.join(name))
}

pub(crate) fn ours() -> Result<Command> {
    Ok(Command::new(product::static_program("kjump", "kjump")?))
}

/// A dump of a kernel's image.
pub(crate) fn saved(kernel: &str, words: &[&str], name: &str) -> Result<PathBuf> {
    let dump = place(name)?;
    let mut command = ours()?;
    command.args(["makedumpfile", "-f", "--message-level", "4"]).args(words);
    program::quiet(command.arg(memory_image::vmcore(kernel)?).arg(&dump))?;
    Ok(dump)
}
