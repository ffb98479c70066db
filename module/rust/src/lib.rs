// SPDX-License-Identifier: GPL-2.0-only
//! The Rust half of kjump.ko. This file holds the functions that the C half calls, as `seam.h`
//! declares them; the kernel is called through `kernel` only.
#![cfg(target_os = "none")]
#![no_std]

use abi::device::{Call, ImageInfo, List, Load, Range, Transfer};
use core::ffi::{CStr, c_char};
use core::ptr::NonNull;
use kimage::paging::Levels;
use relocator::ControlPage;

use crate::array::Boxed;
use crate::caller::CallerMemory;
use crate::deadline::Alarm;
use crate::failure::Failure;
use crate::image::Loaded;

mod array;
mod caller;
mod cpu;
mod deadline;
mod decisions;
mod failure;
mod frames;
mod image;
mod kernel;
mod locked;
mod memory;
mod ranges;
mod trial;

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    kernel::bug()
}

/// Probes the CPU. Returns why the module cannot work here, or null. Must be called before anything
/// else.
#[unsafe(no_mangle)]
extern "C" fn kjr_init(xen_pv: bool, encrypted_memory: bool) -> *const c_char {
    cpu::probe();
    refusal(xen_pv, encrypted_memory).map_or(core::ptr::null(), CStr::as_ptr)
}

fn refusal(xen_pv: bool, encrypted_memory: bool) -> Option<&'static CStr> {
    if xen_pv {
        Some(c"under Xen PV the hypervisor owns page tables and CPU state; use an HVM or PVH guest")
    } else if encrypted_memory {
        Some(
            c"memory encryption (SME, SEV or TDX) is active, and images are not encrypted; \
            boot with mem_encrypt=off",
        )
    } else if cpu::has_unknown_features() {
        Some(
            c"the kernel uses CPU features (CR4) whose state this version of kjump does not know how to keep",
        )
    } else {
        None
    }
}

/// Loads an image. 0 and the image, or -errno and a diagnosis.
///
/// # Safety
/// Both pointers are good.
#[unsafe(no_mangle)]
unsafe extern "C" fn kjr_load(request: &mut Load, user: bool, image: *mut Option<NonNull<Loaded>>) -> i32 {
    let placed = Loaded::load(request, CallerMemory { user })
        .and_then(|loaded| Boxed::new(loaded).map_err(|_| Failure::no_memory(size_of::<Loaded>() as u64)));
    match placed {
        Ok(boxed) => {
            // SAFETY: the caller's pointer is good.
            unsafe { image.write(Some(boxed.into_pointer())) };
            0
        }
        Err(failure) => failure.report(&mut request.diagnosis),
    }
}

/// Frees an image and everything it holds.
///
/// # Safety
/// The image is not in use.
#[unsafe(no_mangle)]
unsafe extern "C" fn kjr_free(image: NonNull<Loaded>) {
    // SAFETY: `kjr_load` made it, and the caller gives it up.
    drop(unsafe { Boxed::from_pointer(image) });
}

/// Moves bytes into or out of an image.
#[unsafe(no_mangle)]
extern "C" fn kjr_transfer(image: &mut Loaded, request: &mut Transfer, write: bool, user: bool) -> i32 {
    let result = image.transfer(request, write, CallerMemory { user });
    image::report(result, &mut request.diagnosis)
}

/// Writes the pieces of a list into an image.
#[unsafe(no_mangle)]
extern "C" fn kjr_write_list(image: &mut Loaded, list: &mut List, user: bool) -> i32 {
    let result = image.write_list(list, CallerMemory { user });
    image::report(result, &mut list.diagnosis)
}

/// Lists an image's slots.
#[unsafe(no_mangle)]
extern "C" fn kjr_slots(image: &mut Loaded, list: &mut List, user: bool) -> i32 {
    let result = image.slots(list, CallerMemory { user });
    image::report(result, &mut list.diagnosis)
}

/// Decides how far the system is quiesced for a call, and whether it can be made.
#[unsafe(no_mangle)]
extern "C" fn kjr_quiesce(image: &Loaded, call: &mut Call) -> i32 {
    let result = image.quiesce(call).map(|decided| call.quiesced = decided);
    image::report(result, &mut call.diagnosis)
}

/// Calls an image.
///
/// # Safety
/// As for [`Loaded::enter`].
#[unsafe(no_mangle)]
unsafe extern "C" fn kjr_enter(image: &mut Loaded, call: &mut Call, alarm: Option<&Alarm>) {
    // SAFETY: the caller's promise.
    unsafe { image.enter(call, alarm) };
}

/// What another CPU watches during a call.
#[unsafe(no_mangle)]
extern "C" fn kjr_watch(image: &Loaded) -> *mut ControlPage {
    image.control_page()
}

/// Whether another CPU is to send an NMI now. The image's CPU then waits for it.
///
/// # Safety
/// The control page is that of an image that is not freed.
#[unsafe(no_mangle)]
unsafe extern "C" fn kjr_overdue(watch: *mut ControlPage, now: u64) -> bool {
    // SAFETY: the caller's promise.
    unsafe { deadline::is_overdue(watch, now) }
}

/// Fills in the fields of an image's description that are known here.
#[unsafe(no_mangle)]
extern "C" fn kjr_describe(image: &Loaded, info: &mut ImageInfo) {
    image.describe(info);
}

/// Destination range number `n`.
#[unsafe(no_mangle)]
extern "C" fn kjr_range(image: &Loaded, n: u64, range: &mut Range) -> bool {
    if let Some(found) = image.range(n) {
        *range = found;
        return true;
    }
    false
}

/// Loads the image that tries the movers; `list` is for [`kjr_trial_call`].
///
/// # Safety
/// Both pointers are good.
#[unsafe(no_mangle)]
unsafe extern "C" fn kjr_trial_load(image: *mut Option<NonNull<Loaded>>, list: *mut u64) -> bool {
    let Ok((loaded, head)) = Loaded::load_trial() else {
        return false;
    };
    let Ok(boxed) = Boxed::new(loaded) else {
        return false;
    };
    // SAFETY: the caller's pointers are good.
    unsafe {
        image.write(Some(boxed.into_pointer()));
        list.write(head);
    }
    true
}

/// Makes the call for attempt number `attempt` at moving pages. False after the last one.
#[unsafe(no_mangle)]
extern "C" fn kjr_trial_call(list: u64, attempt: usize, call: &mut Call) -> bool {
    if let Some(next) = trial::call(list, attempt) {
        *call = next;
        return true;
    }
    false
}

/// Notes the result of an attempt.
#[unsafe(no_mangle)]
extern "C" fn kjr_trial_note(call: &Call) {
    trial::note(call);
}

/// Loads the image that tries the timer.
///
/// # Safety
/// The pointer is good.
#[unsafe(no_mangle)]
unsafe extern "C" fn kjr_timer_trial_load(image: *mut Option<NonNull<Loaded>>) -> bool {
    let Ok(loaded) = Loaded::load_timer_trial() else {
        return false;
    };
    let Ok(boxed) = Boxed::new(loaded) else {
        return false;
    };
    // SAFETY: the caller's pointer is good.
    unsafe { image.write(Some(boxed.into_pointer())) };
    true
}

/// Makes the call of it: it waits longer than its deadline.
#[unsafe(no_mangle)]
extern "C" fn kjr_timer_trial_call(counter_khz: u64, call: &mut Call) {
    *call = trial::timer_call(counter_khz);
}

/// The way in which pages are moved.
#[unsafe(no_mangle)]
extern "C" fn kjr_mover() -> u64 {
    trial::best()
}

/// The levels of page tables in use.
#[unsafe(no_mangle)]
extern "C" fn kjr_paging_levels() -> u64 {
    match image::levels() {
        Levels::Four => 4,
        Levels::Five => 5,
    }
}
