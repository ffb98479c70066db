// SPDX-License-Identifier: GPL-2.0-only
//! What works here, and how fast: tried once, by calls.
//!
//! Which mover is the fastest is measured in the environment in which pages are moved.
//! Real CPUs are fastest with their widest registers, emulators with the plainest; only a trial
//! shows which. The trial is an image without segments, whose entry point is the page mover in its
//! own control page.

use abi::control::mover;
use abi::device::{Call, Load, mode, quiesce, status};
use abi::page_list::{DESTINATION, DONE, SOURCE};
use core::sync::atomic::{AtomicU64, Ordering};
use kimage::{Error, Zone};
use phys::{PAGE_SIZE, Pfn};
use relocator::{Direction, entry_offset};

use crate::cpu;
use crate::image::Image;

/// Scratch pages are exchanged in pairs: more than fit the first-level cache.
const ORDER: u32 = 6;
const PAIRS: u64 = 1 << (ORDER - 1);

static BEST: AtomicU64 = AtomicU64::new(mover::SSE2);
static BEST_TICKS: AtomicU64 = AtomicU64::new(u64::MAX);

/// The mover that images use.
pub fn best() -> u64 {
    BEST.load(Ordering::Relaxed)
}

/// Takes scratch pages for the trial and writes their page list.
pub fn prepare(image: &mut Image) -> Result<u64, Error> {
    let list = image.support(0, Zone::Any)?;
    let scratch = image.support(ORDER, Zone::Any)?.address().get();
    let words = kimage::Frames::words(image.frames_mut(), list);
    let sources = (0..PAIRS).map(|pair| scratch + (PAIRS + pair) * PAGE_SIZE | SOURCE);
    let content = [scratch | DESTINATION].into_iter().chain(sources).chain([DONE]);
    for (word, value) in words.iter_mut().zip(content) {
        *word = value;
    }
    Ok(list.address().get() | abi::page_list::INDIRECTION)
}

/// The request that loads the trial: see [`crate::image::Loaded::load_trial`].
pub fn request(control: Pfn) -> Load {
    let entry = control.address().get() + entry_offset::move_pages() as u64;
    Load { mode: mode::LONG, entry, ..Load::default() }
}

/// The movers that every CPU has.
const COMMON: [u64; 2] = [mover::WORD, mover::SSE2];
const ALL: [u64; mover::COUNT as usize] = [mover::WORD, mover::SSE2, mover::AVX];

/// The call for attempt number `attempt`, or `None` after the last one.
pub fn call(head: u64, attempt: usize) -> Option<Call> {
    let movers = if cpu::has_avx() { ALL.as_slice() } else { COMMON.as_slice() };
    let number = claims::trial::mover(movers, attempt)?;
    Some(Call { arguments: [head, number, Direction::Exchange as u64, 0, 0, 0], ..Call::default() })
}

/// Keeps the fastest.
pub fn note(call: &Call) {
    let [_, number, ..] = call.arguments;
    if call.status == status::RETURNED && call.ticks.run < BEST_TICKS.load(Ordering::Relaxed) {
        BEST_TICKS.store(call.ticks.run, Ordering::Relaxed);
        BEST.store(number, Ordering::Relaxed);
    }
}

/// Waits until the time stamp counter has advanced by its argument:
///
/// ```text
///     rdtsc; shl $32, %rdx; or %rax, %rdx; mov %rdx, %rcx
/// 1:  pause
///     rdtsc; shl $32, %rdx; or %rdx, %rax; sub %rcx, %rax; cmp %rdi, %rax; jb 1b
///     ret
/// ```
const WAIT: [u64; 4] =
    [0x0948_20e2_c148_310f, 0x310f_90f3_d189_48c2, 0x48d0_0948_20e2_c148, 0xc3ed_72f8_3948_c829];

/// Takes a page for the code that waits, and returns its address.
pub fn prepare_timer(image: &mut Image) -> Result<u64, Error> {
    let page = image.support(0, Zone::Any)?;
    let words = kimage::Frames::words(image.frames_mut(), page);
    for (word, value) in words.iter_mut().zip(WAIT) {
        *word = value;
    }
    Ok(page.address().get())
}

/// The request that loads it.
pub fn timer_request(code: u64) -> Load {
    Load { mode: mode::LONG, entry: code, ..Load::default() }
}

/// A call that ends after 50 ms, or by the timer at its deadline after one.
pub fn timer_call(counter_khz: u64) -> Call {
    let ticks = counter_khz.saturating_mul(50);
    Call { arguments: [ticks, 0, 0, 0, 0, 0], deadline: 1, quiesced: quiesce::SUSPEND, ..Call::default() }
}
