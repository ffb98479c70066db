// SPDX-License-Identifier: GPL-2.0-only
//! Decisions of the C half that do not concern an image, as `seam.h` declares them. The crate
//! `claims` makes them.

use abi::device::{Call, Note, status};
use claims::hpet::{self, Choice, Timers};
use claims::interrupt::InService;
use claims::structure::Refusal;
use claims::{clock, interrupt, madt, name, note, panic, structure};

/// Whether the counter's rate has to be measured (again).
#[unsafe(no_mangle)]
extern "C" fn kjr_measure_again(kernel_khz: u64, measured: u64, done: u32) -> bool {
    clock::measure_again(kernel_khz, measured, done)
}

/// The counter's rate, 0 if it is not usable.
#[unsafe(no_mangle)]
extern "C" fn kjr_counter_khz(kernel_khz: u64, measured: u64) -> u64 {
    clock::rate(kernel_khz, measured)
}

/// Whether the counter kept running.
#[unsafe(no_mangle)]
extern "C" fn kjr_counter_kept_running(wall_seconds: i64, ticks: u64, khz: u64) -> bool {
    clock::kept_running(wall_seconds, ticks, khz)
}

/// Finds I/O APIC number `n` in the MADT.
///
/// # Safety
/// `table` points at `length` bytes, `address` at a `u32`.
#[unsafe(no_mangle)]
unsafe extern "C" fn kjr_io_apic(table: *const u8, length: usize, n: usize, address: &mut u32) -> bool {
    // SAFETY: the caller's promise.
    let table = unsafe { core::slice::from_raw_parts(table, length) };
    if let Some(found) = madt::io_apics(table).nth(n) {
        *address = found;
        return true;
    }
    false
}

/// Finds the I/O APIC with global interrupt 0, and the timer's interrupt, in the MADT.
///
/// # Safety
/// `table` points at `length` bytes, the others at a `u32` each.
#[unsafe(no_mangle)]
unsafe extern "C" fn kjr_first_io_apic(
    table: *const u8,
    length: usize,
    address: &mut u32,
    timer_pin: &mut u32,
) -> bool {
    // SAFETY: the caller's promise.
    let table = unsafe { core::slice::from_raw_parts(table, length) };
    *timer_pin = madt::timer_interrupt(table);
    if let Some(found) = madt::first_io_apic(table) {
        *address = found;
        return true;
    }
    false
}

/// Chooses a timer of the HPET.
///
/// # Safety
/// `configurations` points at `count` registers.
#[unsafe(no_mangle)]
unsafe extern "C" fn kjr_choose_timer(
    configurations: *const u64,
    count: usize,
    legacy: bool,
    masked: u32,
    timer_pin: u32,
    timer: &mut Choice,
) -> bool {
    // SAFETY: the caller's promise.
    let configurations = unsafe { core::slice::from_raw_parts(configurations, count) };
    if let Some(choice) = hpet::choose(&Timers { configurations, legacy, masked, timer_pin }) {
        *timer = choice;
        return true;
    }
    false
}

/// `KJR_PANIC_*` of `seam.h`.
const PANIC_SILENCE_DEVICES: u32 = 1 << 0;
const PANIC_PARK_CPUS: u32 = 1 << 1;
const PANIC_HAND_OVER: u32 = 1 << 2;

/// What to do after a panic on this CPU.
#[unsafe(no_mangle)]
extern "C" fn kjr_panic_steps(guarded: bool, cpu: u32) -> u32 {
    let steps = panic::steps(guarded, cpu);
    let flag = |is_set, flag| if is_set { flag } else { 0 };
    flag(steps.silence_devices, PANIC_SILENCE_DEVICES)
        | flag(steps.park_cpus, PANIC_PARK_CPUS)
        | flag(steps.hand_over, PANIC_HAND_OVER)
}

/// Whether these bytes are a name that an image can be kept under.
#[unsafe(no_mangle)]
extern "C" fn kjr_is_name(name: &[u8; name::ROOM]) -> bool {
    name::is_valid(name)
}

/// Whether a note about the first CPU fits there.
#[unsafe(no_mangle)]
extern "C" fn kjr_note_fits(address: u64, length: u64) -> bool {
    note::fits(address, length, Note::ROOM)
}

/// The bytes of a structure that caller and module both know, or -errno.
#[unsafe(no_mangle)]
extern "C" fn kjr_common_size(size: u64, first: u64, known: u64) -> i64 {
    const E2BIG: i64 = 7;
    const EINVAL: i64 = 22;
    match structure::common_size(size, first, known) {
        Ok(common) => common.cast_signed(),
        Err(Refusal::TooShort) => -EINVAL,
        Err(Refusal::TooLong) => -E2BIG,
    }
}

/// Whether an image took the interrupt of the kernel's timer, which ran out.
#[unsafe(no_mangle)]
extern "C" fn kjr_timer_was_taken(timer: u32, pending: bool) -> bool {
    interrupt::was_taken(timer, pending)
}

/// Reports an interrupt that ended the image as that, not as the fault that it caused.
#[unsafe(no_mangle)]
extern "C" fn kjr_name_interrupt(call: &mut Call, in_service: &InService) {
    let fault = &mut call.fault;
    if call.status == status::FAULT
        && let Some(vector) = interrupt::behind_fault(fault.vector, fault.error_code, in_service)
    {
        fault.vector = vector;
        fault.error_code = 0;
    }
}
