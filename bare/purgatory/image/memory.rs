//! Memory by its address, and the functions of the C library that compiled code calls.

use core::arch::asm;

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

/// Copies memory upwards, by words of 8 bytes: an emulator takes as long for one byte.
pub(super) fn copy(from: u64, to: u64, size: u64) {
    // The first page of memory is at address 0, which no Rust reference may have.
    // SAFETY: the plan reserves `size` bytes there.
    unsafe {
        asm!("rep movsq", "mov {rest}, %rcx", "rep movsb",
            rest = in(reg) size % 8,
            inout("rsi") from => _, inout("rdi") to => _, inout("rcx") size / 8 => _,
            options(att_syntax, nostack, preserves_flags));
    }
}

/// The C function.
///
/// # Safety
/// As in C.
#[unsafe(no_mangle)]
unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, size: usize) -> *mut u8 {
    copy(from as u64, to as u64, size as u64);
    to
}

/// The C function.
///
/// # Safety
/// As in C.
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

/// The C function.
///
/// # Safety
/// As in C.
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

/// The C function, by which Rust compares slices.
///
/// # Safety
/// As in C.
#[unsafe(no_mangle)]
unsafe extern "C" fn memcmp(a: *const u8, b: *const u8, size: usize) -> i32 {
    for offset in 0..size {
        let byte = |start: *const u8| {
            // SAFETY: the caller's promise: there are `size` bytes.
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

/// As `memcmp`, for callers that need to know only whether the bytes differ.
///
/// # Safety
/// As in C.
#[unsafe(no_mangle)]
unsafe extern "C" fn bcmp(a: *const u8, b: *const u8, size: usize) -> i32 {
    // SAFETY: the caller's promise.
    unsafe { memcmp(a, b, size) }
}
