//! Memory of known content, and where it lies.

use std::fs::File;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::os::unix::fs::FileExt as _;

use anyhow::{Context as _, Result, ensure};
use phys::{PAGE_SIZE, Pfn};

#[repr(C, align(4096))]
#[derive(Clone, Copy)]
struct Page([u64; 512]);

/// Pages of a pattern in which no two words are the same.
pub(crate) struct Memory {
    pages: Vec<Page>,
}

impl Memory {
    pub(crate) fn filled(pages: usize) -> Self {
        let page = |number: usize| Page(std::array::from_fn(|word| pattern(number, word)));
        Self { pages: (0..pages).map(page).collect() }
    }

    pub(crate) fn is_filled(&self) -> bool {
        let right = |(number, page): (usize, &Page)| {
            page.0.iter().enumerate().all(|(word, value)| *value == pattern(number, word))
        };
        self.pages.iter().enumerate().all(right)
    }

    pub(crate) fn hash(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        for page in &self.pages {
            page.0.hash(&mut hasher);
        }
        hasher.finish()
    }

    /// The page frames it lies in. Documentation/admin-guide/mm/pagemap.rst: a 64-bit word for each virtual page, bits 0
    /// to 54 its frame number, bit 63 set if it is in memory.
    pub(crate) fn frames(&self) -> Result<Vec<Pfn>> {
        const PATH: &str = "/proc/self/pagemap";
        let map = File::open(PATH).context(PATH)?;
        let mut words = vec![0; self.pages.len() * 8];
        map.read_exact_at(&mut words, self.pages.as_ptr().addr() as u64 / PAGE_SIZE * 8).context(PATH)?;
        words.as_chunks().0.iter().map(|word| frame(u64::from_le_bytes(*word))).collect()
    }
}

fn pattern(page: usize, word: usize) -> u64 {
    ((page as u64) << 32 | word as u64).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

fn frame(word: u64) -> Result<Pfn> {
    let number = word & ((1 << 55) - 1);
    ensure!(word >> 63 == 1, "a page that was just written to is not in memory");
    ensure!(number != 0, "the kernel does not tell which pages are whose: this needs CAP_SYS_ADMIN");
    Pfn::new(number).context("a page frame beyond all memory")
}
