//! Packages of the product: which file goes where, and the archives made of them.

pub(crate) mod contents;
pub(crate) mod deb;
pub(crate) mod object;
pub(crate) mod rpm;
pub(crate) mod stage;

use std::path::{Path, PathBuf};

/// What packages are made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// Debian and its derivatives
    Deb,
    /// Fedora, RHEL, openSUSE
    Rpm,
}

/// Makes every package in a directory. Returns their paths.
///
/// # Errors
/// A part does not build, or a package cannot be written.
pub(crate) fn build(format: Format, dir: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let packages = contents::packages()?;
    let build = match format {
        Format::Deb => deb::build,
        Format::Rpm => rpm::build,
    };
    packages.iter().map(|package| build(package, dir)).collect()
}
