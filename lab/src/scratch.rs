//! Temporary files of the host.

use std::path::PathBuf;
use std::process::Command;
use std::{env, fs, io};

use crate::cpio::Tree;
use crate::stage::Inventory;
use crate::{Error, Result};

/// A temporary file of the host, for a disk or the like. It is removed when the value is dropped.
#[derive(Debug)]
pub struct Scratch(PathBuf);

impl Scratch {
    /// Creates a file with these bytes. The name needs to be unique within a story only.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn new(name: &str, bytes: &[u8]) -> Result<Self> {
        let dir = Inventory::from_environment()?.kit.runs.join("scratch");
        fs::create_dir_all(&dir).map_err(Error::file("create", &dir))?;
        let path = dir.join(format!("{}-{name}", std::process::id()));
        fs::write(&path, bytes).map_err(Error::file("write", &path))?;
        Ok(Self(path))
    }

    /// Creates a file of this size in MiB, at most 16 GiB, in which each word of 32 bits is its own
    /// number: a sector in the wrong place is as wrong as one with other contents.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn numbered(name: &str, mebibytes: u32) -> Result<Self> {
        let words = 0..mebibytes << 18;
        Self::new(name, &words.flat_map(u32::to_le_bytes).collect::<Vec<u8>>())
    }

    /// Creates a file of this size in MiB, all of it a hole.
    ///
    /// # Errors
    /// It cannot be created.
    pub fn empty(name: &str, mebibytes: u64) -> Result<Self> {
        let scratch = Self::new(name, &[])?;
        let file = fs::File::options().write(true).open(&scratch.0);
        let sized = file.and_then(|file| file.set_len(mebibytes << 20));
        sized.map_err(Error::file("write", &scratch.0))?;
        Ok(scratch)
    }

    /// Creates a file with an archive of this tree.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn archive(name: &str, tree: &Tree) -> Result<Self> {
        let scratch = Self::new(name, &[])?;
        tree.write(&scratch.0)?;
        Ok(scratch)
    }

    /// Creates a disk of this size in MiB with an empty ext4, whose label is the name.
    ///
    /// # Errors
    /// It cannot be written, or `mke2fs` cannot be run or fails.
    pub fn ext4(name: &str, mebibytes: u64) -> Result<Self> {
        let scratch = Self::new(name, &[])?;
        // The directories of administrators' programs are not always in PATH.
        let path = env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
        let mut command = Command::new("mke2fs");
        command
            .env("PATH", path)
            .args(["-q", "-t", "ext4", "-L", name])
            .arg(&scratch.0)
            .arg(format!("{mebibytes}M"));
        let failed = |source| Error::Spawn { program: "mke2fs".to_owned(), source };
        let output = command.output().map_err(failed)?;
        if !output.status.success() {
            return Err(failed(io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned())));
        }
        Ok(scratch)
    }

    /// The current content.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn bytes(&self) -> Result<Vec<u8>> {
        fs::read(&self.0).map_err(Error::file("read", &self.0))
    }
}

impl From<&Scratch> for PathBuf {
    fn from(scratch: &Scratch) -> Self {
        scratch.0.clone()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // A story may have moved it.
        let _ = fs::remove_file(&self.0);
    }
}
