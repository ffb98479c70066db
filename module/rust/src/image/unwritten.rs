// SPDX-License-Identifier: GPL-2.0-only
//! The pages of an image that was loaded unfilled, until each of them has been written.

use phys::PAGE_SIZE;

use crate::array::Array;
use crate::failure::Failure;

/// One bit for each page frame up to the last destination: whether it was written.
pub struct Unwritten {
    written: Array<u64>,
    left: u64,
}

impl Unwritten {
    /// For an image of this many pages, the last of which ends at this address.
    pub fn new(pages: u64, end: u64) -> Result<Self, Failure> {
        let words = end.div_ceil(PAGE_SIZE).div_ceil(64);
        Ok(Self { written: Array::new(words)?, left: pages })
    }

    /// How many pages there are left to write.
    pub const fn left(&self) -> u64 {
        self.left
    }

    /// Notes that the page at this address, which is in the image, was written as a whole.
    pub fn note(&mut self, address: u64) {
        let frame = address / PAGE_SIZE;
        let word = usize::try_from(frame / 64).ok().and_then(|place| self.written.get_mut(place));
        if let Some(word) = word
            && *word >> (frame % 64) & 1 == 0
        {
            *word |= 1 << (frame % 64);
            self.left = self.left.saturating_sub(1);
        }
    }
}
