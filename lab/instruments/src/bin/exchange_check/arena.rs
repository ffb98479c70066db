use kimage::model::Memory;
use phys::{PAGE_SIZE, Pfn, PhysAddr, PhysRange};

use crate::random::Random;

/// 64-bit words in a page.
pub(crate) const WORDS: usize = 512;
pub(crate) type Page = [u64; WORDS];

/// The content of the physical pages of a range.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Arena {
    range: PhysRange,
    pages: Vec<Page>,
}

impl Arena {
    pub(crate) fn random(range: PhysRange, random: &mut Random) -> Self {
        let page = |_| std::array::from_fn(|_| random.word());
        Self { range, pages: (0..range.pages()).map(page).collect() }
    }

    pub(crate) const fn range(&self) -> PhysRange {
        self.range
    }

    pub(crate) fn frames(&self) -> impl Iterator<Item = Pfn> {
        let first = self.range.first();
        (0..self.range.pages()).filter_map(move |number| first.checked_add(number))
    }

    /// The page in this frame.
    ///
    /// # Panics
    /// The frame is not in the arena: the list is invalid.
    pub(crate) fn page(&mut self, frame: Pfn) -> &mut Page {
        let index = self.index(frame);
        &mut self.pages[index]
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.pages.as_flattened().len() * 8];
        for (place, word) in bytes.chunks_exact_mut(8).zip(self.pages.as_flattened()) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }

    /// Changes a byte.
    pub(crate) fn damage(&mut self, random: &mut Random) {
        let words = self.pages.as_flattened_mut();
        let index = random.below(words.len() as u64);
        if let Some(word) = usize::try_from(index).ok().and_then(|index| words.get_mut(index)) {
            *word ^= 1 << random.below(64);
        }
    }

    fn index(&self, frame: Pfn) -> usize {
        assert!(self.range.contains(frame), "{frame:?} is not in the arena");
        usize::try_from(frame.number() - self.range.first().number()).unwrap_or(usize::MAX)
    }
}

impl Memory for Arena {
    fn word(&mut self, address: PhysAddr) -> u64 {
        let index = usize::try_from(address.offset() % PAGE_SIZE / 8).unwrap_or(usize::MAX);
        self.page(address.frame())[index]
    }

    fn copy(&mut self, destination: Pfn, source: Pfn) {
        *self.page(destination) = *self.page(source);
    }

    fn exchange(&mut self, destination: Pfn, source: Pfn) {
        let (destination, source) = (self.index(destination), self.index(source));
        self.pages.swap(destination, source);
    }
}
