//! The module's Rust object does not depend on the directory that it is built in.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Result, ensure};

use crate::build::module;
use crate::program;

/// Builds the object of a copy of this tree in a temporary directory, and compares it with this
/// tree's. Returns its checksum.
///
/// # Errors
/// One of them does not build, or they differ.
pub(crate) fn same_elsewhere() -> Result<String> {
    let here = checksum(&module::rust_object()?)?;
    let root = std::env::temp_dir().join(format!("kjump-object-{}", std::process::id()));
    let there = module::rust_object_of_copy(&root).and_then(|object| checksum(&object));
    fs::remove_dir_all(&root)?;
    let there = there?;
    ensure!(
        here == there,
        "the Rust object depends on its directory: SHA-256 {here} here, {there} in {}",
        root.display()
    );
    Ok(format!("SHA-256 {here}"))
}

fn checksum(file: &Path) -> Result<String> {
    let sum = program::read(Command::new("sha256sum").arg("--").arg(file))?;
    Ok(sum.split_whitespace().next().unwrap_or_default().to_owned())
}
