//! Places: the source tree, and directories below `target/` for everything built or fetched.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// The root of the workspace.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("/"))
}

/// Cargo's target directory. Everything built or fetched goes below it, and nowhere else.
pub(crate) fn target() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(dir) => std::path::absolute(&dir).unwrap_or_else(|_| dir.into()),
        None => root().join("target"),
    }
}

/// A lock for something that two tasks must not fetch or build at the same time. Dropping the file
/// releases it.
///
/// # Errors
/// The lock file cannot be created below `target/`.
pub(crate) fn lock(name: &str) -> Result<File> {
    let dir = target().join("locks");
    fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
    let path = dir.join(name);
    let file = File::create(&path).with_context(|| format!("cannot create {}", path.display()))?;
    file.lock().with_context(|| format!("cannot lock {}", path.display()))?;
    Ok(file)
}

/// The directory `target/NAME`. Unless `is_complete` accepts what is there, `make` fills it first:
/// under another name, so that an interrupted run leaves nothing that looks complete.
///
/// # Errors
/// It cannot be made.
pub(crate) fn made_once(
    name: &str,
    is_complete: impl Fn(&Path) -> bool,
    make: impl FnOnce(&Path) -> Result<()>,
) -> Result<PathBuf> {
    let dir = target().join(name);
    let _lock = lock(&name.replace('/', "-"))?;
    if !is_complete(&dir) {
        let fresh = target().join(format!("{name}.part"));
        recreate(&fresh)?;
        make(&fresh)?;
        if dir.exists() {
            fs::remove_dir_all(&dir).with_context(|| format!("cannot remove {}", dir.display()))?;
        }
        fs::rename(&fresh, &dir).with_context(|| format!("cannot rename {}", fresh.display()))?;
    }
    Ok(dir)
}

/// Makes an empty directory, in place of what an interrupted run may have left.
///
/// # Errors
/// The directory cannot be removed or created.
pub(crate) fn recreate(dir: &Path) -> Result<()> {
    if dir.exists() {
        fs::remove_dir_all(dir).with_context(|| format!("cannot remove {}", dir.display()))?;
    }
    fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))
}

/// The files of the tree with one of these extensions, relative to its root, except for files that
/// are built, fetched or found by fuzzing.
///
/// # Errors
/// A directory cannot be read.
pub(crate) fn sources(extensions: &[&str]) -> Result<Vec<String>> {
    let mut found = Vec::new();
    collect(root(), extensions, &mut found).context("cannot list the tree")?;
    let relative = |path: &PathBuf| path.strip_prefix(root()).unwrap_or(path).to_string_lossy().into_owned();
    let mut found: Vec<String> = found.iter().map(relative).collect();
    found.sort();
    Ok(found)
}

fn collect(dir: &Path, extensions: &[&str], found: &mut Vec<PathBuf>) -> io::Result<()> {
    const OTHERS: [&str; 3] = ["target", "corpus", "artifacts"];
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
        if entry.file_type()?.is_dir() {
            if !name.starts_with('.') && !OTHERS.contains(&name.as_str()) {
                collect(&path, extensions, found)?;
            }
        } else if path.extension().is_some_and(|own| extensions.iter().any(|extension| own == *extension)) {
            found.push(path);
        }
    }
    Ok(())
}
