//! `cargo xtask package`: packages of the program, the module's source, the replaced commands and
//! hibernation.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use crate::package::{self, Format, object};
use crate::tree;

/// Make Debian or RPM packages
#[derive(Args)]
pub(crate) struct PackageArgs {
    /// Directory to make them in, instead of target/packages
    #[arg(value_name = "DIR")]
    dir: Option<PathBuf>,
    /// What to make
    #[arg(long, value_enum, default_value_t = Format::Deb)]
    format: Format,
    /// Make no packages: build the module's Rust object once more, in another directory, and
    /// compare
    #[arg(long, conflicts_with_all = ["dir", "format"])]
    source_object: bool,
}

/// Makes every package and prints its path.
///
/// # Errors
/// A part does not build, or a package cannot be written, or the objects differ.
pub(crate) fn run(args: &PackageArgs) -> Result<bool> {
    if args.source_object {
        println!("{} of both directories", object::same_elsewhere()?);
        return Ok(true);
    }
    let dir = args.dir.clone().unwrap_or_else(|| tree::target().join("packages"));
    for package in package::build(args.format, &dir)? {
        println!("{}", package.display());
    }
    Ok(true)
}
