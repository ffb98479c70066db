//! The size of the parts of an upload to S3.

use crate::terminal::quantity::page_bytes;

/// The most parts of an upload.
pub(super) const MOST: u16 = 10_000;
/// The smallest part, in bytes. S3 takes 5 MiB, except for the last part.
const SMALLEST: u64 = 8 << 20;
/// The largest part that S3 takes, in bytes.
const LARGEST: u64 = 5 << 30;
/// Parts that are filled by pages which are not compressed. The others are for descriptors of the
/// pages and of the stream's records (at most 56 bytes for a page), bitmaps and notes.
const OF_PAGES: u64 = 9_000;

/// The size of a part in bytes, for a dump with at most this number of pages.
pub(super) fn size(pages: u64) -> u64 {
    let least = page_bytes(pages.min(u64::MAX / page_bytes(1))).div_ceil(OF_PAGES);
    least.clamp(SMALLEST, LARGEST).next_multiple_of(page_bytes(1))
}

/// The memory of an upload in bytes: a part is filled while another is sent.
pub(super) fn memory(pages: u64) -> u64 {
    2 * size(pages)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_parts_hold_the_largest_dump() {
        assert_eq!(size(0), 8 << 20);
        // 64 GiB, 1 TiB, 16 TiB
        assert_eq!(size(16 << 20), 8 << 20);
        assert_eq!(size(256 << 20), 122_171_392);
        assert_eq!(memory(4096 << 20), 2 * 1_954_689_024);
        // More than S3 stores in one object.
        assert_eq!(size(u64::MAX), 5 << 30);
        for pages in [1_u64 << 10, 16 << 20, 24 << 20, 256 << 20, 4096 << 20, 11_000 << 20] {
            let bitmaps = 2 * pages.div_ceil(8);
            assert!(size(pages) * u64::from(MOST) >= pages * (4096 + 56) + bitmaps + (256 << 20));
        }
    }
}
