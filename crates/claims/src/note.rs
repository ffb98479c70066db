//! Where the kernel's note about its first CPU can be written.

use phys::PAGE_SIZE;

/// Whether a note of `room` bytes can be written to these `length` bytes at a physical address: ELF
/// notes are aligned to 4 bytes, and the kernel reaches one page at a time.
#[must_use]
pub const fn fits(address: u64, length: u64, room: u64) -> bool {
    address.is_multiple_of(4) && length >= room && length <= PAGE_SIZE - address % PAGE_SIZE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_aligned_and_in_one_page() {
        assert!(fits(0x1000, 368, 368));
        assert!(fits(0x2000 - 368, 368, 368));
        assert!(!fits(0x2000 - 364, 368, 368));
        assert!(!fits(0x1002, 368, 368));
        assert!(!fits(0x1000, 367, 368));
        assert!(!fits(0x1000, 4097, 368));
        assert!(!fits(u64::MAX - 3, u64::MAX, 368));
    }
}
