//! The disk or partition that holds a hibernation file.

use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, FileTypeExt};
use std::path::Path;

use anyhow::{Context, anyhow, bail};
use hibernation::{Disk, PAGE};

/// An open disk, for this process alone and past the page cache.
pub(super) struct Target {
    file: File,
    length: u64,
}

impl Target {
    /// Opens a disk that is not in use.
    pub(super) fn open(path: &Path) -> anyhow::Result<Self> {
        let failed = || path.display().to_string();
        let found = std::fs::metadata(path).with_context(failed)?;
        if !found.file_type().is_block_device() {
            bail!("{}: not a disk or a partition", path.display());
        }
        let mut file = sys::disk::open_for_both(path).map_err(|error| match error.kind() {
            io::ErrorKind::ResourceBusy => {
                anyhow!("{}: in use (mounted, active swap, or part of another device)", path.display())
            }
            _ => anyhow::Error::from(error).context(failed()),
        })?;
        let length = file.seek(SeekFrom::End(0)).with_context(failed)?;
        Ok(Self { file, length: length - length % PAGE as u64 })
    }
}

impl Disk for Target {
    fn length(&self) -> u64 {
        self.length
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(buffer, offset)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all_at(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync_all()
    }
}
