//! Packages of the product: which file goes where, and the archives made of them.

pub(crate) mod contents;
pub(crate) mod deb;
pub(crate) mod object;

use std::path::{Path, PathBuf};

/// Makes every package in a directory. Returns their paths.
///
/// # Errors
/// A part does not build, or a package cannot be written.
pub(crate) fn build(dir: &Path) -> anyhow::Result<Vec<PathBuf>> {
    contents::packages()?.iter().map(|package| deb::build(package, dir)).collect()
}
