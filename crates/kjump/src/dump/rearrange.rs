//! Rearranging flattened streams.

use std::io::Read;
use std::path::Path;

use vmcore::Rearranged;

use super::sink::{Replace, Sink, WriteMode};

/// Writes the file that a flattened stream describes.
pub(super) fn from(stream: impl Read, path: &Path, replace: Replace) -> anyhow::Result<Rearranged> {
    let sink = Sink::file(path, WriteMode::Cached, replace)?;
    let rearranged = vmcore::rearrange(stream, &sink)?;
    sink.finish(rearranged.length)?;
    Ok(rearranged)
}
