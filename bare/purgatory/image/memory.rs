//! Memory by its address.

use crate::Screen;

/// The memory at an address, for reading.
pub(super) fn bytes<'m>(start: u64, size: u64) -> &'m [u8] {
    if size == 0 {
        return &[];
    }
    // SAFETY: the block names memory that is mapped at its address, and nothing writes to it while
    // it is verified.
    unsafe { core::slice::from_raw_parts(start as *const u8, whole(size)) }
}

/// The memory at an address, for writing.
pub(super) fn bytes_mut<'m>(start: u64, size: u64) -> &'m mut [u8] {
    // SAFETY: as in `bytes`; it is the memory of the command line, to which there is no other
    // reference.
    unsafe { core::slice::from_raw_parts_mut(start as *mut u8, whole(size)) }
}

/// No size is cut off: addresses have 64 bits here.
#[expect(clippy::cast_possible_truncation, reason = "purgatory runs on x86-64 only")]
const fn whole(size: u64) -> usize {
    size as usize
}

/// The VGA's text memory.
pub(super) fn screen() -> &'static mut Screen {
    const TEXT: usize = 0xb_8000;
    // SAFETY: a PC has it there, and it is mapped; this is the only reference to it.
    unsafe { &mut *(TEXT as *mut Screen) }
}
