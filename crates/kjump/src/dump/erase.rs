//! Rules that erase data, from a file.

use std::fs::File;
use std::io::Read;
use std::path::PathBuf;

use anyhow::Context;
use sys::mapping::FileBytes;
use vmcore::erase::{Erasures, Rules};
use vmcore::{MemoryImage, Vmlinux};

/// The most bytes that are read of a file of rules; the parser has a lower limit.
const MOST_BYTES: u64 = 2 << 20;

/// A file of rules.
pub(super) struct Config {
    pub(super) path: PathBuf,
    /// The kernel's ELF file, for symbols and types in place of those in memory.
    pub(super) vmlinux: Option<PathBuf>,
}

impl Config {
    pub(super) fn rules(&self) -> anyhow::Result<Rules> {
        let named = || self.path.display().to_string();
        let mut text = Vec::new();
        let file = File::open(&self.path).with_context(named)?;
        file.take(MOST_BYTES).read_to_end(&mut text).with_context(named)?;
        Rules::parse(&text).with_context(named)
    }

    /// The memory of the image that the rules erase.
    pub(super) fn erasures(&self, rules: &Rules, image: &MemoryImage<'_>) -> anyhow::Result<Erasures> {
        let named = || self.path.display().to_string();
        let info = image.vmcoreinfo().with_context(named)?;
        let Some(path) = &self.vmlinux else { return rules.find(image, &info, None).with_context(named) };
        let of_kernel = || path.display().to_string();
        let bytes = FileBytes::of(&mut File::open(path).with_context(of_kernel)?).with_context(of_kernel)?;
        let kernel = Vmlinux::parse(&bytes).with_context(of_kernel)?;
        rules.find(image, &info, Some(&kernel)).with_context(named)
    }
}
