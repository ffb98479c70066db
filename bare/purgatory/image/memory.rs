//! Memory by its address, and what the compiler expects of a C library.

use core::arch::asm;

use crate::Screen;

/// So many bytes of memory.
pub(super) fn bytes<'m>(start: u64, size: u64) -> &'m [u8] {
    if size == 0 {
        return &[];
    }
    // SAFETY: the block names memory that is mapped at its address, and nobody writes to it while it is checked.
    unsafe { core::slice::from_raw_parts(start as *const u8, whole(size)) }
}

/// The same, to be written to.
pub(super) fn bytes_mut<'m>(start: u64, size: u64) -> &'m mut [u8] {
    // SAFETY: as above; it is the command line's, which nobody else uses.
    unsafe { core::slice::from_raw_parts_mut(start as *mut u8, whole(size)) }
}

/// All of it: addresses have 64 bits here.
#[expect(clippy::cast_possible_truncation, reason = "nothing else has an image of purgatory")]
const fn whole(size: u64) -> usize {
    size as usize
}

/// The VGA's text memory.
pub(super) fn screen() -> &'static mut Screen {
    const TEXT: usize = 0xb_8000;
    // SAFETY: a PC has it there, mapped with all else below 1 MiB; this is the only reference to it.
    unsafe { &mut *(TEXT as *mut Screen) }
}

/// Copies memory upwards, by words: an emulator takes as long for a byte.
pub(super) fn copy(from: u64, to: u64, size: u64) {
    // The first page of memory is at address 0, which no Rust reference may have.
    // SAFETY: the plan has room there for so many bytes.
    unsafe {
        asm!("rep movsq", "mov {rest}, %rcx", "rep movsb",
            rest = in(reg) size % 8,
            inout("rsi") from => _, inout("rdi") to => _, inout("rcx") size / 8 => _,
            options(att_syntax, nostack, preserves_flags));
    }
}

/// C's.
///
/// # Safety
/// C's.
#[unsafe(no_mangle)]
unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, size: usize) -> *mut u8 {
    copy(from as u64, to as u64, size as u64);
    to
}

/// C's.
///
/// # Safety
/// C's.
#[unsafe(no_mangle)]
unsafe extern "C" fn memmove(to: *mut u8, from: *const u8, size: usize) -> *mut u8 {
    if (to as usize).wrapping_sub(from as usize) >= size {
        copy(from as u64, to as u64, size as u64);
        return to;
    }
    // SAFETY: the ranges overlap and the copy goes down, from the last byte of each.
    unsafe {
        asm!("std", "rep movsb", "cld",
            inout("rsi") (from as u64).wrapping_add(size as u64).wrapping_sub(1) => _,
            inout("rdi") (to as u64).wrapping_add(size as u64).wrapping_sub(1) => _,
            inout("rcx") size => _, options(att_syntax, nostack));
    }
    to
}

/// C's.
///
/// # Safety
/// C's.
#[unsafe(no_mangle)]
unsafe extern "C" fn memset(to: *mut u8, byte: i32, size: usize) -> *mut u8 {
    let [byte, ..] = byte.to_le_bytes();
    // SAFETY: the caller's promise.
    unsafe {
        asm!("rep stosb", inout("rdi") to => _, inout("rcx") size => _, in("al") byte,
            options(att_syntax, nostack, preserves_flags));
    }
    to
}

/// C's, and what Rust compares by.
///
/// # Safety
/// C's.
#[unsafe(no_mangle)]
unsafe extern "C" fn memcmp(a: *const u8, b: *const u8, size: usize) -> i32 {
    for offset in 0..size {
        let byte = |start: *const u8| {
            // SAFETY: the caller's promise: it is one of so many bytes there.
            let place = unsafe { start.add(offset) };
            // SAFETY: likewise.
            unsafe { place.read_volatile() }
        };
        let (a, b) = (byte(a), byte(b));
        if a != b {
            return i32::from(a) - i32::from(b);
        }
    }
    0
}

/// As `memcmp`, where only whether they differ counts.
///
/// # Safety
/// C's.
#[unsafe(no_mangle)]
unsafe extern "C" fn bcmp(a: *const u8, b: *const u8, size: usize) -> i32 {
    // SAFETY: the caller's promise.
    unsafe { memcmp(a, b, size) }
}
