//! The files of a package in a directory, as they will be on the user's machine, and what every
//! format says of who made them and when.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use super::contents::{self, Content, Entry};
use crate::{program, tree};

/// Writes the entries below a directory, which is emptied first.
///
/// # Errors
/// A file cannot be read or written, or gzip fails.
pub(crate) fn fill(stage: &Path, entries: &[Entry]) -> Result<()> {
    tree::recreate(stage)?;
    for entry in entries {
        place(entry, stage).with_context(|| entry.path.clone())?;
    }
    Ok(())
}

fn place(entry: &Entry, stage: &Path) -> Result<()> {
    let path = stage.join(entry.path.trim_start_matches('/'));
    create_directory(path.parent().unwrap_or(stage))?;
    let mode = match &entry.content {
        Content::Link(target) => return Ok(symlink(target, &path)?),
        Content::Program(from) => fs::copy(from, &path).map(|_| 0o755),
        Content::File(from) => fs::copy(from, &path).map(|_| 0o644),
        Content::Compressed(from) => fs::write(&path, compressed(from)?).map(|()| 0o644),
        Content::Text(text) => fs::write(&path, text).map(|()| 0o644),
    }?;
    Ok(fs::set_permissions(&path, fs::Permissions::from_mode(mode))?)
}

/// With the mode that directories of packages have, whatever the umask.
fn create_directory(path: &Path) -> Result<()> {
    if !path.exists() {
        path.parent().map_or(Ok(()), create_directory)?;
        fs::create_dir(path)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o755))?;
    }
    Ok(())
}

/// As gzip does it without the name and the time of the file.
fn compressed(file: &Path) -> Result<Vec<u8>> {
    let input = fs::File::open(file).with_context(|| file.display().to_string())?;
    let output = Command::new("gzip").args(["-9n"]).stdin(input).stderr(Stdio::inherit()).output()?;
    if !output.status.success() {
        bail!("gzip failed: {}", output.status);
    }
    Ok(output.stdout)
}

/// Name and address of who makes the packages, as the changelog has them.
///
/// # Errors
/// The changelog cannot be read, or is of another version.
pub(crate) fn maintainer() -> Result<String> {
    let (maintainer, _) = signature()?;
    Ok(maintainer)
}

/// Seconds since 1970 of the newest entry of the changelog: the time that files in the packages
/// have.
///
/// # Errors
/// The changelog cannot be read, or is of another version.
pub(crate) fn date() -> Result<String> {
    let (_, date) = signature()?;
    let seconds = program::read(Command::new("date").args(["--utc", "+%s", "--date", &date]))?;
    Ok(seconds.trim().to_owned())
}

/// The line that closes the newest entry of the changelog, in two parts.
fn signature() -> Result<(String, String)> {
    let path = tree::root().join("packaging/changelog");
    let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let expected = format!("kjump ({})", contents::version());
    if !text.starts_with(&expected) {
        bail!("packaging/changelog does not begin with {expected}");
    }
    let line = text.lines().find_map(|line| line.strip_prefix(" -- ")).unwrap_or_default();
    let Some((maintainer, date)) = line.split_once("  ") else {
        bail!("packaging/changelog: the first entry does not end in ` -- NAME <ADDRESS>  DATE`")
    };
    Ok((maintainer.to_owned(), date.to_owned()))
}
