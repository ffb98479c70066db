// SPDX-License-Identifier: GPL-2.0-only
//! A loaded image, and calls of it.

use abi::control::Deadline;
use abi::device::{Call, Diagnosis, ImageInfo, Range, Ticks, mode, quiesce, reason, status};
use claims::hpet;
use claims::quiesce::{Facts, Level, Refusal, Wish, decide};
use core::mem::offset_of;
use kimage::paging::Levels;
use kimage::{SealedImage, Segment};
use phys::Pfn;
use relocator::{ControlPage, gate};

use crate::array::Array;
use crate::cpu;
use crate::deadline::Alarm;
use crate::failure::Failure;
use crate::frames::KernelFrames;
use crate::kernel;

use guard::Guard;
use unwritten::Unwritten;

mod build;
mod contents;
mod guard;
mod unwritten;

/// A loaded image.
pub struct Loaded {
    sealed: Sealed,
    control: Pfn,
    guard: Option<Guard>,
    /// The last call ended so that the image cannot be called again.
    dead: bool,
    /// What is left to write of an image that was loaded unfilled.
    unwritten: Option<Unwritten>,
    mode: u64,
    entry: u64,
    in_use: u64,
    first_in_use: u64,
    /// Where the CPU's state is kept during a call.
    state: Option<cpu::State>,
}

/// An image under construction.
pub type Image = kimage::Image<Array<Segment>, KernelFrames>;
type Sealed = SealedImage<Array<Segment>, KernelFrames>;

impl Loaded {
    /// Decides the level of quiescing for a call.
    pub fn quiesce(&self, call: &Call) -> Result<u64, Failure> {
        self.check_written()?;
        let deadline = kernel::deadline_facts();
        let facts = Facts {
            watch_khz: Some(deadline.watch_khz).filter(|&khz| khz != 0),
            timer_limit: hpet::longest(deadline.timer_khz),
            dead: self.dead,
            guard_khz: self.guard.as_ref().map(Guard::khz),
            in_use: self.in_use != 0,
            virtualization_in_the_way: self.mode == mode::PROTECTED && cpu::runs_virtual_machines(),
        };
        match decide(&facts, wish(call.quiesce), call.deadline) {
            Ok(Level::None) => Ok(quiesce::NONE),
            Ok(Level::Stop) => Ok(quiesce::STOP),
            Ok(Level::Suspend) => Ok(quiesce::SUSPEND),
            Err(refusal) => Err(self.refused(refusal, call)),
        }
    }

    /// Checks that the image has all its contents.
    fn check_written(&self) -> Result<(), Failure> {
        match self.unwritten.as_ref().map_or(0, Unwritten::left) {
            0 => Ok(()),
            left => Err(Failure::new(reason::NOT_WRITTEN, [left, self.sealed.pages(), 0])),
        }
    }

    fn refused(&self, refusal: Refusal, call: &Call) -> Failure {
        match refusal {
            Refusal::Dead => Failure::new(reason::DEAD, [0; 3]),
            Refusal::Deadline => Failure::bad_field(offset_of!(Call, deadline), call.deadline),
            Refusal::NoDeadline(longest) => Failure::new(reason::NO_DEADLINE, [call.deadline, longest, 0]),
            Refusal::Level => Failure::bad_field(offset_of!(Call, quiesce), call.quiesce),
            Refusal::InUse => {
                Failure::new(reason::PAGE_IN_USE, [self.first_in_use, self.in_use, self.sealed.pages()])
            }
            Refusal::Virtualization => Failure::new(reason::VIRTUALIZATION_ON, [0; 3]),
        }
    }

    /// Calls the image.
    ///
    /// # Safety
    /// Interrupts are off, the FPU's state is saved, the GDT is the writable one, and only the
    /// image uses its destinations until this returns.
    pub unsafe fn enter(&mut self, call: &mut Call, alarm: Option<&Alarm>) {
        let page = self.control_page();
        let deadline = match (&self.guard, alarm) {
            (None, Some(alarm)) => alarm.deadline(call.deadline),
            _ => Deadline::NONE,
        };
        // SAFETY: the control page is the image's own.
        unsafe { (*page).prepare(call.arguments, deadline) };
        if let Some(guard) = &self.guard {
            guard.prepare(call.deadline);
        }
        let before = now();
        let state = self.state.insert(cpu::State::save());
        // SAFETY: `build` installed the page with an identity map; the rest is the caller's
        // promise. The state is restored before anything else happens.
        unsafe {
            gate::enter(page, self.control.address().get());
            state.restore();
        }
        // SAFETY: the control page is the image's own again.
        let table = unsafe { &(*page).table };
        call.value = table.value;
        call.value_high = table.value_high;
        call.status = table.status;
        call.fault = table.fault;
        call.ticks = ticks(before, table.stamps, now());
        self.dead = self.guard.is_some() && matches!(table.status, status::FAULT | status::DEADLINE);
        if table.status == status::RETURNED && self.mode == mode::LONG {
            self.entry = table.next_entry;
            // SAFETY: as above.
            unsafe { (*page).table.entry = self.entry };
        }
    }

    /// The control page, in the kernel's memory.
    pub fn control_page(&self) -> *mut ControlPage {
        kernel::virtual_address(self.control).cast()
    }

    /// Fills in the description of the image.
    pub fn describe(&self, info: &mut ImageInfo) {
        info.mode = self.mode;
        info.entry = self.entry;
        info.ranges = self.sealed.segments().len() as u64;
        info.pages = self.sealed.pages();
        info.claimed = self.sealed.claimed();
        info.in_use = self.in_use;
        info.support_frames = self.sealed.support_frames();
    }

    /// A destination range, by its number in rising order.
    pub fn range(&self, number: u64) -> Option<Range> {
        let segment = self.sealed.segments().get(usize::try_from(number).ok()?)?;
        Some(Range { start: segment.mem, end: segment.mem + segment.memsz })
    }
}

const fn wish(number: u64) -> Option<Wish> {
    match number {
        quiesce::AUTO => Some(Wish::Auto),
        quiesce::NONE => Some(Wish::Exactly(Level::None)),
        quiesce::STOP => Some(Wish::Exactly(Level::Stop)),
        quiesce::SUSPEND => Some(Wish::Exactly(Level::Suspend)),
        _ => None,
    }
}

const CR4_LA57: u64 = 1 << 12;

/// The levels of page tables that the kernel runs with.
pub fn levels() -> Levels {
    if cpu::read_cr4() & CR4_LA57 != 0 { Levels::Five } else { Levels::Four }
}

/// The time stamp counter.
fn now() -> u64 {
    // SAFETY: reads a counter that every 64-bit CPU has.
    unsafe { core::arch::x86_64::_rdtsc() }
}

/// The phases that are measured here; the caller measures the others.
fn ticks(before: u64, stamps: [u64; 4], after: u64) -> Ticks {
    let [exchange, call, returned, exchanged] = stamps;
    Ticks {
        quiesce: 0,
        enter: call.wrapping_sub(before),
        run: returned.wrapping_sub(call),
        leave: after.wrapping_sub(returned),
        resume: 0,
        exchange: call.wrapping_sub(exchange).wrapping_add(exchanged.wrapping_sub(returned)),
    }
}

/// The outcome as 0 or -errno, with the diagnosis stored.
pub fn report(result: Result<(), Failure>, diagnosis: &mut Diagnosis) -> i32 {
    match result {
        Ok(()) => 0,
        Err(failure) => failure.report(diagnosis),
    }
}
