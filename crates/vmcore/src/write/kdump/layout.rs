//! The places of a dump's parts.

use crate::format::kdump::{BLOCK, WIDE_SUB_HEADER, descriptor};
use crate::format::manifest::zero_page_at;
use crate::{DumpSource, Error, FrameSet, Result};

/// Everything that has a fixed place, as offsets in the file.
pub(super) struct DumpLayout {
    pub(super) max_mapnr: u64,
    pub(super) sub_blocks: u64,
    /// Blocks of one bitmap.
    pub(super) bitmap_blocks: u64,
    pub(super) bitmaps: u64,
    pub(super) descriptors: u64,
    /// The table of checksums.
    pub(super) table: u64,
    pub(super) units: u64,
    /// The page of zeros that all pages of zeros share.
    pub(super) zero_page: u64,
    pub(super) data: u64,
}

impl DumpLayout {
    pub(super) fn new(image: &dyn DumpSource, kept: &FrameSet, units: u64) -> Result<Self> {
        let block = BLOCK as u64;
        let max_mapnr = image.ram().end().max(kept.end());
        let sub_blocks = (WIDE_SUB_HEADER.size as u64 + (image.notes().len() + image.erased().len()) as u64)
            .div_ceil(block);
        let bitmap_blocks = max_mapnr.div_ceil(8).div_ceil(block);
        // The header has both together in a 32-bit number.
        let most = u64::from(u32::MAX) / 2;
        if bitmap_blocks > most {
            return Err(Error::TooLarge {
                what: "the size of a bitmap in blocks",
                value: bitmap_blocks,
                most,
            });
        }
        let bitmaps = (1 + sub_blocks) * block;
        let descriptors = bitmaps + 2 * bitmap_blocks * block;
        let table = descriptors + kept.count() * descriptor::SIZE as u64;
        let zero_page = zero_page_at(table, units);
        let data = zero_page + block;
        Ok(Self { max_mapnr, sub_blocks, bitmap_blocks, bitmaps, descriptors, table, units, zero_page, data })
    }
}
