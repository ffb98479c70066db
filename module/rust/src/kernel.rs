// SPDX-License-Identifier: GPL-2.0-only
//! The kernel's services, as `seam.h` declares them, made safe to use.

use core::ptr::NonNull;

use abi::device::Range;
use phys::{Pfn, PhysRange};

use crate::array::Array;
use crate::failure::Failure;

unsafe extern "C" {
    fn kjg_alloc(order: u32, low: bool) -> u64;
    fn kjg_free(page: u64);
    fn kjg_claim_range(start: u64, end: u64) -> bool;
    fn kjg_claim_low(start: u64, end: u64) -> bool;
    fn kjg_free_block(start: u64);
    fn kjg_lock();
    fn kjg_unlock();
    fn kjg_virtual(physical: u64) -> *mut u8;
    fn kjg_text_physical(address: u64) -> u64;
    fn kjg_array_alloc(bytes: u64) -> *mut u8;
    fn kjg_array_free(array: *mut u8);
    fn kjg_ram_ranges(ranges: *mut Range, capacity: u64) -> u64;
    fn kjg_total_pages() -> u64;
    fn kjg_available_pages() -> u64;
    fn kjg_copy_in(to: *mut u8, from: u64, bytes: u64, user: bool) -> i32;
    fn kjg_copy_out(to: u64, from: *const u8, bytes: u64, user: bool) -> i32;
    fn kjg_pause() -> bool;
    fn kjg_has_register(number: u32) -> bool;
    fn kjg_gigabyte_pages() -> bool;
    fn kjg_guard_facts(facts: *mut GuardFacts) -> bool;
    fn kjg_deadline_facts(facts: *mut DeadlineFacts) -> bool;
    fn kjg_timer_registers() -> u64;
    fn kjg_bug() -> !;
}

/// Takes 2^`order` neighbouring page frames, below 4 GiB if `low`.
pub fn alloc(order: u32, low: bool) -> Option<Pfn> {
    // SAFETY: the task may sleep wherever images are built.
    let address = unsafe { kjg_alloc(order, low) };
    if address == 0 { None } else { Pfn::starting_at(address) }
}

/// Gives one page frame back.
///
/// # Safety
/// The frame came from [`alloc`], [`claim_range`] or [`claim_low`], and is not in use.
pub unsafe fn free(frame: Pfn) {
    // SAFETY: the caller's promise.
    unsafe { kjg_free(frame.address().get()) };
}

/// Takes these frames, which are System RAM, in use or not, if the kernel can move their contents
/// elsewhere.
pub fn claim_range(range: PhysRange) -> bool {
    // SAFETY: the kernel refuses frames that it cannot give.
    unsafe { kjg_claim_range(range.start().get(), range.end()) }
}

/// Takes these frames, which are in the kernel's zone for ISA DMA, if all of them are free.
pub fn claim_low(range: PhysRange) -> bool {
    // SAFETY: free pages are taken, and those not wanted given back.
    unsafe { kjg_claim_low(range.start().get(), range.end()) }
}

/// Gives a whole block back.
///
/// # Safety
/// One [`claim_range`] took all of its frames, and none is in use.
pub unsafe fn free_block(first: Pfn) {
    // SAFETY: the caller's promise.
    unsafe { kjg_free_block(first.address().get()) };
}

/// Waits for the lock of [`crate::locked`]. May sleep.
pub fn lock() {
    // SAFETY: called by tasks only, which may sleep.
    unsafe { kjg_lock() };
}

/// Releases the lock.
///
/// # Safety
/// The task holds it, and no longer uses what it protects.
pub unsafe fn unlock() {
    // SAFETY: the caller's promise.
    unsafe { kjg_unlock() };
}

/// Allocates zeroed memory, aligned to at least 8 bytes.
pub fn allocate(bytes: u64) -> Option<NonNull<u8>> {
    // SAFETY: no preconditions.
    NonNull::new(unsafe { kjg_array_alloc(bytes) })
}

/// Frees memory.
///
/// # Safety
/// It came from [`allocate`] and is not used any more.
pub unsafe fn release(start: NonNull<u8>) {
    // SAFETY: the caller's promise.
    unsafe { kjg_array_free(start.as_ptr()) };
}

/// Copies from the caller's memory, user space's or the kernel's own. False if the address is bad.
pub fn copy_in(to: &mut [u8], from: u64, user: bool) -> bool {
    // SAFETY: writes the bytes of `to`; a bad user address is an error, a kernel caller vouches for
    // its own.
    unsafe { kjg_copy_in(to.as_mut_ptr(), from, to.len() as u64, user) == 0 }
}

/// Copies to the caller's memory. False if the address is bad.
pub fn copy_out(to: u64, from: &[u8], user: bool) -> bool {
    // SAFETY: reads the bytes of `from`; addresses as for `copy_in`.
    unsafe { kjg_copy_out(to, from.as_ptr(), from.len() as u64, user) == 0 }
}

/// The kernel's mapping of a frame that was taken.
pub fn virtual_address(frame: Pfn) -> *mut u8 {
    // SAFETY: arithmetic.
    unsafe { kjg_virtual(frame.address().get()) }
}

/// The frame that holds a page of the module's text.
pub fn text_frame(address: u64) -> Option<Pfn> {
    // SAFETY: walks the kernel's page tables.
    Pfn::starting_at(unsafe { kjg_text_physical(address) })
}

/// The memory the kernel manages, in pages.
pub fn total_pages() -> u64 {
    // SAFETY: reads a counter.
    unsafe { kjg_total_pages() }
}

/// The memory that can be allocated without a process being killed, in pages: as much of
/// `MemAvailable` and `SwapFree` of `/proc/meminfo` as fits into memory.
pub fn available_pages() -> u64 {
    // SAFETY: reads counters.
    unsafe { kjg_available_pages() }
}

/// Lets other tasks run, and freezes with the system. False if the task is being killed.
pub fn pause() -> bool {
    // SAFETY: the task may sleep.
    unsafe { kjg_pause() }
}

/// Whether the CPU has a model-specific register.
pub fn has_register(number: u32) -> bool {
    // SAFETY: reads a register, catching the exception.
    unsafe { kjg_has_register(number) }
}

/// Whether the CPU has pages of 1 GiB.
pub fn gigabyte_pages() -> bool {
    // SAFETY: reads a flag.
    unsafe { kjg_gigabyte_pages() }
}

/// The facts needed to guard an image: `struct kjg_guard_facts`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct GuardFacts {
    /// Physical address of the local APIC's registers, 0 if they are model-specific ones.
    pub apic: u64,
    /// APIC identifier of a CPU that can run the image.
    pub cpu: u64,
    /// Ticks of the time stamp counter in a millisecond.
    pub tsc_khz: u64,
}

/// The facts needed to guard an image; `None` if guarding is not possible here.
pub fn guard_facts() -> Option<GuardFacts> {
    let mut facts = GuardFacts { apic: 0, cpu: 0, tsc_khz: 0 };
    // SAFETY: writes to `facts`.
    unsafe { kjg_guard_facts(&raw mut facts) }.then_some(facts)
}

/// What can stop an image at its deadline: `struct kjg_deadline_facts`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct DeadlineFacts {
    /// Another CPU: ticks of the time stamp counter in a millisecond, or 0.
    pub watch_khz: u64,
    /// A timer: its ticks in a millisecond, or 0.
    pub timer_khz: u64,
}

/// What can stop an image at its deadline.
pub fn deadline_facts() -> DeadlineFacts {
    let mut facts = DeadlineFacts { watch_khz: 0, timer_khz: 0 };
    // SAFETY: writes to `facts`.
    unsafe { kjg_deadline_facts(&raw mut facts) };
    facts
}

/// The page of the HPET's registers, if they are used.
pub fn timer_registers() -> Option<PhysRange> {
    // SAFETY: reads a variable.
    let address = unsafe { kjg_timer_registers() };
    PhysRange::around_bytes(Some(address).filter(|&address| address != 0)?, 1).ok()
}

/// Ends the task after a bug.
pub fn bug() -> ! {
    // SAFETY: does not return.
    unsafe { kjg_bug() }
}

/// The ranges of System RAM.
pub fn ram_ranges() -> Result<Array<Range>, Failure> {
    // SAFETY: with capacity 0 the pointer is not used.
    let mut count = unsafe { kjg_ram_ranges(core::ptr::null_mut(), 0) };
    loop {
        let mut ranges = Array::<Range>::new(count)?;
        // SAFETY: there is room for `count` ranges.
        let now = unsafe { kjg_ram_ranges(ranges.as_mut_ptr(), count) };
        if now <= count {
            ranges.truncate(now);
            return Ok(ranges);
        }
        count = now;
    }
}
