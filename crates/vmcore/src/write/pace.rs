//! An effort of compression that adapts to the destination.
//!
//! The rule: now and then a thread compresses a sample of its pages by the current effort and by
//! the two next to it on [`LADDER`] (a trial). After [`TRIALS`] trials and [`LEAST`] bytes by one
//! effort, a step up is taken if the time saved in writing makes up for the longer compressing, and
//! a step down if it saves at least [`WORTH`] of the total time. What counts is the time of the
//! threads: a destination that works in the background, the overlap, costs only what they wait for
//! it. The overlap is estimated from how their waiting changed at the last step; while it is
//! unknown, both directions are judged by the assumption that favours them.

#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::codec::{Codec, Effort};

/// Efforts, each slower than the previous one and making pages smaller. The time for each byte
/// saved grows from step to step: otherwise some step would never be left.
const LADDER: [Effort; 6] = [
    Effort::usual(Codec::Raw),
    Effort::usual(Codec::Lzo),
    Effort { codec: Codec::Zstd, level: -1 },
    Effort { codec: Codec::Zstd, level: 1 },
    Effort { codec: Codec::Zstd, level: 3 },
    Effort { codec: Codec::Zstd, level: 7 },
];
/// The first step: a little too low for a slow destination and a little too high for a fast one.
const FIRST: usize = 1;
/// Units from a step to the next trial, and then between trials: twice as many each time, up to the
/// most.
const EVERY: u64 = 4;
const EVERY_AT_MOST: u64 = 64;
/// Trials before a step.
const TRIALS: u32 = 2;
/// Bytes written by an effort before a step: files and disks are written in bursts of megabytes,
/// and waited for as rarely.
const LEAST: f64 = 12e6;
/// About this many bytes are remembered: the speed of a destination changes.
const REMEMBERED: f64 = 4.0 * LEAST;
/// For this many bytes an estimate of the overlap is used.
const BELIEVED: f64 = 128e6;
/// The share of time that a step down, to a larger dump, must save.
const WORTH: f64 = 1.0 / 16.0;
/// The share of time that a step up must save while the overlap is unknown.
const WORTH_TRYING: f64 = 1.0 / 32.0;

/// The effort that all threads share.
pub(super) struct Pace {
    clock: fn() -> u64,
    step: AtomicUsize,
    known: Mutex<Knowledge>,
}

/// Times of some pages, in nanoseconds.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Times {
    pub(super) reading: u64,
    pub(super) compressing: u64,
    pub(super) writing: u64,
}

/// The cost of compressing a sample by one effort: nanoseconds, and the size in bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Price {
    pub(super) compressing: u64,
    pub(super) size: u64,
}

/// A comparison of an effort with the two next to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Trial {
    step: usize,
}

impl Trial {
    /// The effort below, the current one and the one above, if they exist.
    pub(super) fn efforts(self) -> [Option<Effort>; 3] {
        [self.step.checked_sub(1), Some(self.step), Some(self.step + 1)]
            .map(|step| LADDER.get(step?).copied())
    }
}

impl Pace {
    pub(super) fn new(clock: fn() -> u64) -> Self {
        let known = Knowledge { next: EVERY, every: EVERY, ..Knowledge::default() };
        Self { clock, step: AtomicUsize::new(FIRST), known: Mutex::new(known) }
    }

    pub(super) fn effort(&self) -> Effort {
        LADDER[self.step.load(Ordering::Relaxed)]
    }

    pub(super) fn now(&self) -> u64 {
        (self.clock)()
    }

    /// The time since `start`, which is set to now.
    pub(super) fn lap(&self, start: &mut u64) -> u64 {
        let now = self.now();
        now.saturating_sub(std::mem::replace(start, now))
    }

    fn known(&self) -> MutexGuard<'_, Knowledge> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The trial to make with this unit, if one is due.
    pub(super) fn trial(&self, unit: u64) -> Option<Trial> {
        let mut known = self.known();
        (unit >= known.next).then(|| {
            known.next = unit + known.every;
            known.every = EVERY_AT_MOST.min(known.every * 2);
            Trial { step: self.step.load(Ordering::Relaxed) }
        })
    }

    /// Records the times of a unit of which this many bytes were written.
    pub(super) fn remember(&self, bytes: u64, times: Times) {
        self.known().remember(bytes, times);
    }

    /// Takes a step if it pays, by this trial and the earlier ones.
    pub(super) fn judge(&self, trial: Trial, prices: [Option<Price>; 3]) {
        let mut known = self.known();
        // If another thread took a step meanwhile, the trial was of another effort.
        if trial.step == self.step.load(Ordering::Relaxed)
            && let Some(step) = known.judge(trial.step, prices)
        {
            self.step.store(step, Ordering::Relaxed);
            known.leave();
        }
    }
}

/// Measurements of the current effort and of the destination.
#[derive(Debug, Default)]
struct Knowledge {
    done: Work,
    /// The costs of the effort below, the current one and the one above, on the same samples.
    prices: [Option<Cost>; 3],
    trials: u32,
    /// The unit of the next trial, and the distance to the one after it.
    next: u64,
    every: u64,
    overlap: Overlap,
    /// The work by the previous effort, until it is compared with the current one's.
    before: Option<Work>,
}

impl Knowledge {
    fn remember(&mut self, bytes: u64, times: Times) {
        let done = &mut self.done;
        done.reading += times.reading as f64;
        done.compressing += times.compressing as f64;
        done.writing += times.writing as f64;
        done.bytes += bytes as f64;
        if done.bytes > REMEMBERED {
            *done = done.half();
        }
        self.overlap.age(bytes as f64);
    }

    /// The step to take from this one, if any.
    fn judge(&mut self, step: usize, prices: [Option<Price>; 3]) -> Option<usize> {
        for (all, one) in self.prices.iter_mut().zip(prices) {
            *all = one.map(|one| one.added_to(*all));
        }
        self.trials += 1;
        if self.done.bytes < LEAST || self.trials < TRIALS {
            return None;
        }
        if let Some(before) = self.before.take() {
            self.overlap.compare(&before, &self.done);
        }
        let [below, here, above] = self.prices;
        let here = here?;
        if above.is_some_and(|above| self.is_up(here, above)) {
            Some(step + 1)
        } else if below.is_some_and(|below| self.is_down(here, below)) {
            step.checked_sub(1)
        } else {
            None
        }
    }

    /// Whether to compress harder. While the overlap is unknown, the best case counts: the
    /// destination always works in the background.
    fn is_up(&self, from: Cost, to: Cost) -> bool {
        to.size < from.size
            && match self.overlap.part() {
                Some(overlap) => self.done.gain(from, to, overlap) >= 0.0,
                None => self.done.gain(from, to, 1.0) > WORTH_TRYING,
            }
    }

    /// Whether to compress less. While the overlap is unknown, the best case counts: the
    /// destination never works in the background.
    fn is_down(&self, from: Cost, to: Cost) -> bool {
        self.done.gain(from, to, self.overlap.part().unwrap_or(0.0)) > WORTH
    }

    /// Discards what was measured of this effort only.
    fn leave(&mut self) {
        self.before = Some(std::mem::take(&mut self.done));
        self.prices = [None; 3];
        self.trials = 0;
        self.next = self.next.saturating_sub(self.every) + EVERY;
        self.every = EVERY;
    }
}

/// Recent work of all threads by one effort: nanoseconds and bytes.
#[derive(Clone, Copy, Debug, Default)]
struct Work {
    reading: f64,
    compressing: f64,
    writing: f64,
    bytes: f64,
}

impl Work {
    fn half(&self) -> Self {
        Self {
            reading: self.reading / 2.0,
            compressing: self.compressing / 2.0,
            writing: self.writing / 2.0,
            bytes: self.bytes / 2.0,
        }
    }

    /// Time of the threads' own work.
    fn own(&self) -> f64 {
        self.reading + self.compressing
    }

    /// The share of time that changing the effort saves, negative if it takes longer.
    ///
    /// The destination's work changes with the size of the samples. It works while threads wait for
    /// it, and for the share `overlap` of the time in which they do not; so compressing less saves
    /// nothing if they wait that much longer. They may wait for another thread, which is the same.
    fn gain(&self, from: Cost, to: Cost, overlap: f64) -> f64 {
        let all = self.own() + self.writing;
        let own = self.own() + self.longer(from, to);
        let busy = (self.writing + overlap * self.own()) * ratio(to.size, from.size);
        let then = own + (busy - overlap * own).max(0.0);
        1.0 - ratio(then, all)
    }

    /// How much longer compressing would take. The difference of the costs counts, because a part
    /// of each does not depend on the effort: it is most of the cost of pages that are only copied.
    /// On a busy machine the real work took longer than the trials, of which only undisturbed ones
    /// count.
    fn longer(&self, from: Cost, to: Cost) -> f64 {
        let whole = ratio(self.bytes, from.size).max(ratio(self.compressing, from.compressing));
        ((to.compressing - from.compressing) * whole).max(-self.compressing)
    }
}

/// The cost of an effort, from several trials.
#[derive(Clone, Copy, Debug, Default)]
struct Cost {
    compressing: f64,
    size: f64,
}

impl Price {
    /// Adds the earlier trials, each of which counts a little less than the next.
    fn added_to(self, earlier: Option<Cost>) -> Cost {
        const LESS: f64 = 7.0 / 8.0;
        let earlier = earlier.unwrap_or_default();
        Cost {
            compressing: earlier.compressing * LESS + self.compressing as f64,
            size: earlier.size * LESS + self.size as f64,
        }
    }
}

/// The share of the threads' own time in which the destination works in the background: a pipe, the
/// page cache or a disk's own thread accepts some bytes, and a thread that compresses longer waits
/// less for them. It shows when the effort changes.
#[derive(Debug, Default)]
struct Overlap {
    /// Sums over some changes of effort, per byte: the square of the additional work, and its
    /// product with the waiting that it saved.
    squares: f64,
    products: f64,
    /// Bytes since the last change.
    age: f64,
}

impl Overlap {
    /// The share, 0 to 1, if it is known.
    fn part(&self) -> Option<f64> {
        (self.squares > 0.0).then(|| (self.products / self.squares).clamp(0.0, 1.0))
    }

    fn compare(&mut self, before: &Work, after: &Work) {
        let longer = ratio(after.own(), after.bytes) - ratio(before.own(), before.bytes);
        let spared = ratio(before.writing, before.bytes) - ratio(after.writing, after.bytes);
        // Earlier results, of other pages, count half.
        self.squares = self.squares / 2.0 + longer * longer;
        self.products = self.products / 2.0 + longer * spared;
        self.age = 0.0;
    }

    /// Discards an estimate that is too old.
    fn age(&mut self, bytes: f64) {
        self.age += bytes;
        if self.age > BELIEVED {
            *self = Self::default();
        }
    }
}

/// 0 of a whole of 0.
fn ratio(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}
