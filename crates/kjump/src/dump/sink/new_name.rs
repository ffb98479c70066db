//! A file that gets its name once complete.

use std::path::PathBuf;

use anyhow::Context;

/// The temporary name of a file that is being written, and its final name.
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
        // After `publish` the temporary name does not exist. On an error, the first error is the
        // one to report.
        let _ = std::fs::remove_file(&self.new);
    }
}
