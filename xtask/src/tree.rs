//! Where things lie: the source tree and what is built or fetched under `target/`.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// The root of the workspace.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("/"))
}

/// Cargo's target directory: everything built or fetched goes below it, and nothing anywhere else.
pub(crate) fn target() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(dir) => std::path::absolute(&dir).unwrap_or_else(|_| dir.into()),
        None => root().join("target"),
    }
}

/// Serialises what several tasks at once may want to fetch or build. Released when the file is dropped.
///
/// # Errors
/// The lock file cannot be created below `target/`.
pub(crate) fn lock(what: &str) -> Result<File> {
    let dir = target().join("locks");
    fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
    let path = dir.join(what);
    let file = File::create(&path).with_context(|| format!("cannot create {}", path.display()))?;
    file.lock().with_context(|| format!("cannot lock {}", path.display()))?;
    Ok(file)
}

/// The directory `target/NAME`. Unless `is_complete` accepts what is there, `make` fills it first: under another name, so
/// that an interrupted run leaves nothing that looks complete.
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
