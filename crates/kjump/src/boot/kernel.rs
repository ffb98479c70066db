use std::path::{Path, PathBuf};

use anyhow::Context;
use kernel_file::{BzImage, Error, Format, Uki};

/// More comes out of no kernel file.
const LIMIT: u64 = 512 << 20;

/// A kernel file, unpacked as far as it must be.
pub(super) struct KernelFile {
    path: PathBuf,
    bzimage: Vec<u8>,
    /// What a unified kernel image brings along.
    pub(super) initrds: Vec<Vec<u8>>,
    pub(super) command_line: Vec<u8>,
}

impl KernelFile {
    pub(super) fn read(path: &Path) -> anyhow::Result<Self> {
        let named = || format!("kernel {}", path.display());
        let bytes = std::fs::read(path).with_context(named)?;
        Self::unpack(path, bytes).with_context(named)
    }

    fn unpack(path: &Path, bytes: Vec<u8>) -> Result<Self, Error> {
        let bytes = match Format::recognise(&bytes) {
            Some(Format::Compressed(compression)) => compression.decompress(&bytes, LIMIT)?,
            _ => bytes,
        };
        let mut file =
            Self { path: path.into(), bzimage: Vec::new(), initrds: Vec::new(), command_line: Vec::new() };
        if Format::recognise(&bytes) == Some(Format::Uki) {
            let uki = Uki::parse(&bytes)?;
            file.bzimage = uki.linux.to_vec();
            file.initrds = [uki.microcode, uki.initrd].into_iter().flatten().map(<[u8]>::to_vec).collect();
            file.command_line = uki.command_line.unwrap_or(b"").to_vec();
        } else {
            file.bzimage = bytes;
        }
        Ok(file)
    }

    pub(super) fn parse(&self) -> anyhow::Result<BzImage<'_>> {
        BzImage::parse(&self.bzimage).with_context(|| format!("kernel {}", self.path.display()))
    }
}
