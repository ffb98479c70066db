//! Flattened streams, put in order again.

use std::io::Read;
use std::path::Path;

use super::sink::{Goal, Way};

/// Writes the file that a flattened stream describes.
pub(super) fn from(stream: impl Read, path: &Path, replace: bool) -> anyhow::Result<()> {
    let goal = Goal::file(path, Way::Cached, replace)?;
    let length = vmcore::rearrange(stream, &goal)?;
    goal.finish(length)
}
