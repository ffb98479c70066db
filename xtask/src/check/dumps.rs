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

/// The readers for a kernel's dumps. Those of Debian 12 know only its own kernel.
pub(crate) fn ages(kernel: &str) -> &'static [Age] {
    if kernel == "6.1" { &[Age::Release, Age::Newest] } else { &[Age::Newest] }
}

/// The path for a dump of this name.
pub(crate) fn place(name: &str) -> Result<PathBuf> {
    let dir = tree::target().join("material").join("readers");
    fs::create_dir_all(&dir)?;
    Ok(dir.join(name))
}

/// A command that runs kjump.
///
/// # Errors
/// It does not build.
pub(crate) fn ours() -> Result<Command> {
    Ok(Command::new(product::static_program("kjump", "kjump")?))
}

/// Saves a kernel's image.
///
/// # Errors
/// There is no image, or saving it fails.
pub(crate) fn saved(kernel: &str, options: &[&str], name: &str) -> Result<PathBuf> {
    let dump = place(name)?;
    let mut command = ours()?;
    command.args(["makedumpfile", "-f", "--message-level", "4"]).args(options);
    program::quiet(command.arg(memory_image::vmcore(kernel)?).arg(&dump))?;
    Ok(dump)
}
