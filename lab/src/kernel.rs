//! An unpacked stock kernel.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

const DESCRIPTION: &str = "kernel.json";

/// A stock kernel unpacked into a directory laid out as the root of a Debian system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kernel {
    /// Its name in the lab: `6.1`.
    pub name: String,
    /// Its release (`uname -r`): `6.1.0-56-cloud-amd64`.
    pub release: String,
    /// The version of its package: `6.1.192-2`.
    pub version: String,
    dir: PathBuf,
}

#[derive(Serialize, Deserialize)]
struct Description {
    name: String,
    release: String,
    version: String,
}

impl Kernel {
    /// Reads a description that [`Kernel::describe`] wrote.
    ///
    /// # Errors
    /// The directory has no description of a kernel.
    pub fn open(dir: &Path) -> Result<Self> {
        let path = dir.join(DESCRIPTION);
        let text = fs::read(&path).map_err(Error::file("read", &path))?;
        let found: Description =
            serde_json::from_slice(&text).map_err(|source| Error::Json { path, source })?;
        Ok(Self { name: found.name, release: found.release, version: found.version, dir: dir.to_owned() })
    }

    /// Writes the description of the kernel in a directory.
    ///
    /// # Errors
    /// The description cannot be written.
    pub fn describe(dir: &Path, name: &str, release: &str, version: &str) -> Result<()> {
        let path = dir.join(DESCRIPTION);
        let description =
            Description { name: name.to_owned(), release: release.to_owned(), version: version.to_owned() };
        let text = serde_json::to_vec_pretty(&description)
            .map_err(|source| Error::Json { path: path.clone(), source })?;
        fs::write(&path, text).map_err(Error::file("write", &path))
    }

    /// The directory that contains all its files.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The bzImage.
    pub fn image(&self) -> PathBuf {
        self.boot("vmlinuz")
    }

    /// The configuration it was built with.
    pub fn config(&self) -> PathBuf {
        self.boot("config")
    }

    /// The directory of its modules: `lib/modules/RELEASE`.
    pub fn modules(&self) -> PathBuf {
        self.dir.join("lib/modules").join(&self.release)
    }

    /// The directory to build modules against: `make -C HEADERS M=...`.
    pub fn headers(&self) -> PathBuf {
        self.dir.join("usr/src").join(format!("linux-headers-{}", self.release))
    }

    /// A file in `/boot`, or in the directory where newer packages have it.
    fn boot(&self, part: &str) -> PathBuf {
        let here = self.dir.join("boot").join(format!("{part}-{}", self.release));
        if here.exists() { here } else { self.modules().join(part) }
    }
}
