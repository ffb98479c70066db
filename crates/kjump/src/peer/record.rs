//! Records of peers in /run/kjump: which kernel a loaded image is. The module does not know that.
//!
//! Only root can write the files. A record is valid only for the image with its number and its time
//! of loading, which the module reports, so that no record outlives its kernel.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use abi::device::ImageInfo;
use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};
use sys::{Device, ImageName};

use crate::terminal::report;

const DIRECTORY: &str = "/run/kjump";

/// The record of a peer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PeerRecord {
    pub(crate) id: u64,
    pub(crate) loaded_at: u64,
    /// The kernel's release.
    pub(crate) kernel: String,
    /// Whether a CPU guards it.
    #[serde(default)]
    pub(crate) guarded: bool,
    /// How it died, if it did.
    #[serde(default)]
    pub(crate) death: Option<String>,
    /// Physical address of its mailbox, if it has one.
    #[serde(default)]
    pub(crate) mailbox: Option<u64>,
    /// Bytes of the running kernel's memory when it was loaded, which its /proc/vmcore shows.
    #[serde(default)]
    pub(crate) memory: u64,
}

impl PeerRecord {
    pub(crate) const fn new(id: u64, kernel: String, guarded: bool) -> Self {
        Self { id, loaded_at: 0, kernel, guarded, death: None, mailbox: None, memory: 0 }
    }

    /// Records that the kernel of this name died.
    pub(crate) fn note_death(device: &Device, name: &ImageName, death: &str) {
        let image = device.image_named(name).ok().flatten();
        if let Some(record) = image.as_ref().and_then(Self::of)
            && let Err(error) = (Self { death: Some(death.into()), ..record }).write(device)
        {
            report::complain("kjump", &format!("{error:#}; `kjump peers` will not show that {name} is dead"));
        }
    }

    /// An error if the kernel, which has this name, is dead.
    pub(crate) fn refuse_dead(&self, name: &ImageName) -> anyhow::Result<()> {
        match &self.death {
            None => Ok(()),
            Some(death) => bail!(
                "{name} is dead: {death}; `kjump drop {name}` frees its memory, and it can then be loaded \
                 again"
            ),
        }
    }

    /// Writes the record of the image with its number.
    pub(crate) fn write(mut self, device: &Device) -> anyhow::Result<()> {
        let images = device.images()?;
        let image =
            images.iter().find(|image| image.id == self.id).context("it was unloaded a moment ago")?;
        self.loaded_at = image.loaded_at;
        let path = path(Path::new(DIRECTORY), self.id);
        self.write_below(Path::new(DIRECTORY))
            .with_context(|| format!("{}, the record of which kernel it is", path.display()))
    }

    fn write_below(&self, directory: &Path) -> io::Result<()> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        let path = path(directory, self.id);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        file.write_all(&serde_json::to_vec(self)?)
    }

    /// The record of an image, if it is a peer.
    pub(crate) fn of(image: &ImageInfo) -> Option<Self> {
        Self::read_below(Path::new(DIRECTORY), image)
    }

    fn read_below(directory: &Path, image: &ImageInfo) -> Option<Self> {
        let record: Self = serde_json::from_slice(&fs::read(path(directory, image.id)).ok()?).ok()?;
        (record.id == image.id && record.loaded_at == image.loaded_at).then_some(record)
    }

    /// Removes the record of the kernel of this name. A file that cannot be removed is not valid
    /// for any other image.
    pub(crate) fn forget(device: &Device, name: &ImageName) {
        if let Ok(Some(image)) = device.image_named(name) {
            let _ = fs::remove_file(path(Path::new(DIRECTORY), image.id));
        }
    }
}

fn path(directory: &Path, id: u64) -> PathBuf {
    directory.join(format!("peer-{id}.json"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_record_is_valid_only_for_the_image_it_was_written_for() {
        let directory = std::env::temp_dir().join(format!("kjump-peer-record-{}", std::process::id()));
        let record = PeerRecord { loaded_at: 77, ..PeerRecord::new(3, "6.1".into(), false) };
        record.write_below(&directory).expect("a directory for temporary files");
        let image = |id, loaded_at| ImageInfo { id, loaded_at, ..ImageInfo::default() };
        assert_eq!(PeerRecord::read_below(&directory, &image(3, 77)), Some(record));
        assert_eq!(PeerRecord::read_below(&directory, &image(3, 78)), None);
        assert_eq!(PeerRecord::read_below(&directory, &image(4, 77)), None);
        let mode = fs::metadata(path(&directory, 3)).expect("the file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        fs::remove_dir_all(&directory).expect("the directory is the test's");
    }
}
