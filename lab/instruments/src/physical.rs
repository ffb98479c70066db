//! The physical pages of a program's memory.

use std::fs::File;
use std::os::unix::fs::FileExt as _;

use anyhow::{Context as _, Result, ensure};
use phys::{PAGE_SIZE, Pfn};

/// A page of memory.
#[repr(C, align(4096))]
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Page(pub [u64; 512]);

/// The page frames of pages, all of which have been written to.
/// Documentation/admin-guide/mm/pagemap.rst: a 64-bit word for each virtual page; bits 0 to 54 are
/// the frame number, bit 63 is set if the page is in memory.
pub fn frames_of(pages: &[Page]) -> Result<Vec<Pfn>> {
    const PATH: &str = "/proc/self/pagemap";
    let map = File::open(PATH).context(PATH)?;
    let mut words = vec![0; pages.len() * 8];
    let first = pages.as_ptr().addr() as u64 / PAGE_SIZE;
    map.read_exact_at(&mut words, first * 8).context(PATH)?;
    words.as_chunks().0.iter().map(|word| frame(u64::from_le_bytes(*word))).collect()
}

fn frame(word: u64) -> Result<Pfn> {
    let number = word & ((1 << 55) - 1);
    ensure!(word >> 63 == 1, "a page that was just written to is not in memory");
    ensure!(number != 0, "the kernel hides frame numbers: this needs CAP_SYS_ADMIN");
    Pfn::new(number).context("a frame number above the address space")
}
