// SPDX-License-Identifier: GPL-2.0-only
//! Deadlines of images without a guard: an NMI ends them, from another CPU or from a timer.

use abi::control::{ControlTable, Deadline};
use abi::device::status;
use claims::quiesce;
use core::sync::atomic::{Ordering, fence};
use relocator::ControlPage;

/// `struct kjg_alarm` of `seam.h`.
#[repr(C)]
pub struct Alarm {
    timer: u64,
    counter: u64,
    configuration: u64,
    khz: u64,
    counter_khz: u64,
}

impl Alarm {
    /// The deadline of a call, from its number of milliseconds.
    pub fn deadline(&self, milliseconds: u64) -> Deadline {
        let ticks = quiesce::ticks(milliseconds, self.counter_khz).unwrap_or(0);
        if ticks == 0 {
            return Deadline::NONE;
        }
        // The NMI has to come after the deadline, by a counter whose rate is known less well.
        let late = milliseconds.saturating_add(milliseconds / 256).saturating_add(1);
        Deadline {
            ticks,
            timer: self.timer,
            counter: self.counter,
            timer_ticks: quiesce::ticks(late, self.khz).unwrap_or(0),
            timer_on: self.configuration,
            ..Deadline::NONE
        }
    }
}

/// Whether the image's time has run out while it runs. Notes then that an NMI is sent, unless the
/// image has ended meanwhile: its CPU writes the status, then looks for the note.
///
/// # Safety
/// The control page is that of an image that is not freed.
pub unsafe fn is_overdue(page: *mut ControlPage, now: u64) -> bool {
    // SAFETY: the caller's promise. Another CPU writes to the page: all accesses are volatile.
    unsafe {
        let table: *mut ControlTable = &raw mut (*page).table;
        let status = &raw const (*table).status;
        let sent = &raw mut (*table).deadline.sent;
        let expires = (&raw const (*table).deadline.expires).read_volatile();
        let has_ended = || status.read_volatile() != status::NOT_CALLED;
        if expires == 0 || now < expires || has_ended() {
            return false;
        }
        sent.write_volatile(1);
        fence(Ordering::SeqCst);
        if has_ended() {
            sent.write_volatile(0);
            return false;
        }
    }
    true
}
