//! A file that gets its name when it is complete.

use std::path::PathBuf;

use anyhow::Context;

/// The name of a file while it is written, and the one it gets.
pub(super) struct NewName {
    pub(super) new: PathBuf,
    pub(super) path: PathBuf,
}

impl NewName {
    pub(super) fn publish(self) -> anyhow::Result<()> {
        std::fs::rename(&self.new, &self.path).with_context(|| self.path.display().to_string())
    }
}

impl Drop for NewName {
    fn drop(&mut self) {
        // Published, it is not there any more; else the error that is on its mode is the one that tells.
        let _ = std::fs::remove_file(&self.new);
    }
}
