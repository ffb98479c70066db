//! What is known of a peer that the module does not know: which kernel it is.
//!
//! It stands in a file of root's. What makes it true is the module: an account counts only for the very image it was
//! written for, which number and time of loading tell, so that none outlives its kernel.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use abi::device::ImageInfo;
use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};
use sys::{Device, ImageName};

use crate::terminal::report;

const FOLDER: &str = "/run/kjump";

/// What is written down of a peer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Account {
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
}

impl Account {
    pub(crate) const fn new(id: u64, kernel: String, guarded: bool) -> Self {
        Self { id, loaded_at: 0, kernel, guarded, death: None }
    }

    /// Writes down that the kernel of this name died.
    pub(crate) fn note_death(device: &Device, name: &ImageName, death: &str) {
        let image = device.image_named(name).ok().flatten();
        if let Some(account) = image.as_ref().and_then(Self::of)
            && let Err(error) = (Self { death: Some(death.into()), ..account }).write(device)
        {
            report::complain("kjump", &format!("{error:#}; `kjump peers` will not tell that {name} is dead"));
        }
    }

    /// Refuses to go to a kernel of this name that died.
    pub(crate) fn refuse_dead(&self, name: &ImageName) -> anyhow::Result<()> {
        match &self.death {
            None => Ok(()),
            Some(death) => bail!(
                "{name} is dead: {death}; `kjump drop {name}` gives its memory back, and then it can be loaded anew"
            ),
        }
    }

    /// Writes it down for the image with its number.
    pub(crate) fn write(mut self, device: &Device) -> anyhow::Result<()> {
        let images = device.images()?;
        let image =
            images.iter().find(|image| image.id == self.id).context("it was unloaded a moment ago")?;
        self.loaded_at = image.loaded_at;
        let path = path(Path::new(FOLDER), self.id);
        self.write_below(Path::new(FOLDER))
            .with_context(|| format!("{}, where it is written down which kernel it is", path.display()))
    }

    fn write_below(&self, folder: &Path) -> io::Result<()> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let path = path(folder, self.id);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        file.write_all(&serde_json::to_vec(self)?)
    }

    /// The account of an image, if it is a peer.
    pub(crate) fn of(image: &ImageInfo) -> Option<Self> {
        Self::read_below(Path::new(FOLDER), image)
    }

    fn read_below(folder: &Path, image: &ImageInfo) -> Option<Self> {
        let account: Self = serde_json::from_slice(&fs::read(path(folder, image.id)).ok()?).ok()?;
        (account.id == image.id && account.loaded_at == image.loaded_at).then_some(account)
    }

    /// Removes that of the kernel of a name. A file that is left counts for nobody.
    pub(crate) fn forget(device: &Device, name: &ImageName) {
        if let Ok(Some(image)) = device.image_named(name) {
            let _ = fs::remove_file(path(Path::new(FOLDER), image.id));
        }
    }
}

fn path(folder: &Path, id: u64) -> PathBuf {
    folder.join(format!("peer-{id}.json"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn an_account_counts_for_the_image_it_was_written_for_only() {
        let folder = std::env::temp_dir().join(format!("kjump-account-{}", std::process::id()));
        let account = Account { id: 3, loaded_at: 77, kernel: "6.1".into(), guarded: false, death: None };
        account.write_below(&folder).expect("a folder for temporary files");
        let image = |id, loaded_at| ImageInfo { id, loaded_at, ..ImageInfo::default() };
        assert_eq!(Account::read_below(&folder, &image(3, 77)), Some(account));
        assert_eq!(Account::read_below(&folder, &image(3, 78)), None);
        assert_eq!(Account::read_below(&folder, &image(4, 77)), None);
        let mode = fs::metadata(path(&folder, 3)).expect("the file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        fs::remove_dir_all(&folder).expect("the folder is ours");
    }
}
