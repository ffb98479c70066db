//! The functions of C that a compiled program calls without naming them. Each image in `bare/`
//! takes them up as a module; the linker leaves out those that it does not call.

use core::arch::asm;

/// Copies memory upwards, by words of 8 bytes: an emulator takes as long for one byte.
pub(super) fn copy(from: u64, to: u64, size: u64) {
    // The first page of memory is at address 0, which no Rust reference may have.
    // SAFETY: the caller has `size` bytes at both places: the plan, the block of calls, or the page
    // under test.
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
