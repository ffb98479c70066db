//! The memory that the image covers.

use std::fs;
use std::hash::{DefaultHasher, Hasher as _};

use anyhow::{Context as _, Result, ensure};
use machine::iomem::{self, MemoryMap};
use phys::{PAGE_SIZE, Pfn, PhysRange};
use serde::Serialize;

use crate::kcore::Kcore;
use instruments::physical::{Page, frames_of};

/// Its page frames.
pub(crate) struct Memory {
    kcore: Kcore,
    pub(crate) own: Vec<Pfn>,
    pub(crate) kernel_code: Vec<Pfn>,
    pub(crate) kernel_data: Vec<Pfn>,
}

/// Its content, without the code that the kernel changes.
pub(crate) struct Contents {
    own: Vec<u8>,
    kernel_data: Vec<u8>,
}

/// Hashes of the content.
#[derive(Serialize)]
pub(crate) struct Digests {
    pub(crate) own: String,
    pub(crate) kernel_data: String,
}

impl Memory {
    /// A program's pages, and the kernel's code and read-only data.
    pub(crate) fn find(own: &[Page]) -> Result<Self> {
        const PATH: &str = "/proc/iomem";
        let map = iomem::parse(&fs::read_to_string(PATH).context(PATH)?).context(PATH)?;
        Ok(Self {
            kcore: Kcore::open()?,
            own: frames_of(own)?,
            kernel_code: resource(&map, "Kernel code")?,
            kernel_data: resource(&map, "Kernel rodata")?,
        })
    }

    pub(crate) fn frames(&self) -> Vec<Pfn> {
        [self.own.as_slice(), &self.kernel_code, &self.kernel_data].concat()
    }

    pub(crate) fn read(&self) -> Result<Contents> {
        Ok(Contents { own: self.kcore.read(&self.own)?, kernel_data: self.kcore.read(&self.kernel_data)? })
    }

    /// Compares every byte with its earlier value.
    pub(crate) fn compare(&self, before: &Contents) -> Result<()> {
        let after = self.read()?;
        compare(&self.own, &before.own, &after.own).context("this program's memory")?;
        compare(&self.kernel_data, &before.kernel_data, &after.kernel_data)
            .context("the kernel's read-only data")
    }

    /// Checks that a program's pages are still where they were found.
    pub(crate) fn check_place(&self, own: &[Page]) -> Result<()> {
        ensure!(frames_of(own)? == self.own, "the kernel moved this program's pages");
        Ok(())
    }
}

impl Contents {
    /// Checks that the bytes read are those of the program's pages.
    pub(crate) fn check_own(&self, own: &[Page]) -> Result<()> {
        let known: Vec<u8> = own.iter().flat_map(|page| page.0).flat_map(u64::to_le_bytes).collect();
        ensure!(self.own == known, "physical memory does not contain this program's words");
        Ok(())
    }

    pub(crate) fn digests(&self) -> Digests {
        Digests { own: digest(&self.own), kernel_data: digest(&self.kernel_data) }
    }
}

fn resource(map: &MemoryMap, name: &str) -> Result<Vec<Pfn>> {
    let found = map.resources().iter().find(|resource| resource.name == name);
    let found = found.with_context(|| format!("/proc/iomem has no {name}"))?;
    let range = PhysRange::within_bytes(found.first, found.size())?;
    Ok((0..range.pages()).filter_map(|page| range.first().checked_add(page)).collect())
}

fn compare(frames: &[Pfn], before: &[u8], after: &[u8]) -> Result<()> {
    let page_size = usize::try_from(PAGE_SIZE)?;
    let pages = before.chunks(page_size).zip(after.chunks(page_size));
    let changed = frames.iter().zip(pages).find(|(_, (before, after))| before != after);
    ensure!(changed.is_none(), "page {:#x} changed", changed.map_or(0, |(frame, _)| frame.address().get()));
    Ok(())
}

fn digest(bytes: &[u8]) -> String {
    let mut hasher = DefaultHasher::new();
    hasher.write(bytes);
    format!("{:016x}", hasher.finish())
}
