//! How hard to compress, by what it takes and by what the destination takes.

#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::codec::{Codec, Effort};

/// Efforts, each of which takes longer than the one before and makes pages smaller. What a byte less costs in time grows from
/// step to step: else there would be steps that nobody goes beyond.
const LADDER: [Effort; 6] = [
    Effort::usual(Codec::Raw),
    Effort::usual(Codec::Lzo),
    Effort { codec: Codec::Zstd, level: -1 },
    Effort { codec: Codec::Zstd, level: 1 },
    Effort { codec: Codec::Zstd, level: 3 },
    Effort { codec: Codec::Zstd, level: 7 },
];
/// Where to begin: too little for a slow destination and too much for a fast one, but neither by far.
const FIRST: usize = 1;
/// After a step, the number of the trial's unit grows by so many, then by twice as many, up to the most.
const EVERY: u64 = 4;
const EVERY_AT_MOST: u64 = 64;
/// Trials, without which an effort is not left.
const TRIALS: u32 = 2;
/// As long as less is written by an effort, in bytes, not enough is known to leave it: files and disks are written in bursts
/// of megabytes, and are waited for as rarely.
const LEAST: f64 = 12e6;
/// Of what was written, only so many bytes are remembered, about: what a destination takes changes.
const REMEMBERED: f64 = 4.0 * LEAST;
/// For so many bytes it is believed how far the destination works while nobody waits for it.
const BELIEVED: f64 = 128e6;
/// What a larger dump must be worth, as a part of the time.
const WORTH: f64 = 1.0 / 16.0;
/// What a smaller one must be worth where it is not known whether it takes longer.
const WORTH_TRYING: f64 = 1.0 / 32.0;

/// The effort that all threads share. They follow it, and one now and then makes it a step greater or less.
pub(super) struct Pace {
    clock: fn() -> u64,
    step: AtomicUsize,
    known: Mutex<Knowledge>,
}

/// What some pages took, in nanoseconds.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Times {
    pub(super) reading: u64,
    pub(super) compressing: u64,
    pub(super) writing: u64,
}

/// What compressing the same pages takes by one effort or another, in nanoseconds, and makes of them, in bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Price {
    pub(super) compressing: u64,
    pub(super) size: u64,
}

/// Pages are to be compressed by an effort and by its neighbours, to compare these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Trial {
    step: usize,
}

impl Trial {
    /// The effort below, the one that is followed and the one above, as far as there are such.
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

    /// How long ago `start` was, which is now then.
    pub(super) fn lap(&self, start: &mut u64) -> u64 {
        let now = self.now();
        now.saturating_sub(std::mem::replace(start, now))
    }

    fn known(&self) -> MutexGuard<'_, Knowledge> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is to be tried with this unit, if anything.
    pub(super) fn trial(&self, unit: u64) -> Option<Trial> {
        let mut known = self.known();
        (unit >= known.next).then(|| {
            known.next = unit + known.every;
            known.every = EVERY_AT_MOST.min(known.every * 2);
            Trial { step: self.step.load(Ordering::Relaxed) }
        })
    }

    /// Remembers what a unit took of which so many bytes were written.
    pub(super) fn remember(&self, bytes: u64, times: Times) {
        self.known().remember(bytes, times);
    }

    /// Takes a step if it pays, by this trial and those before it.
    pub(super) fn judge(&self, trial: Trial, prices: [Option<Price>; 3]) {
        let mut known = self.known();
        // If somebody else took a step meanwhile, this was about another one.
        if trial.step == self.step.load(Ordering::Relaxed)
            && let Some(step) = known.judge(trial.step, prices)
        {
            self.step.store(step, Ordering::Relaxed);
            known.leave();
        }
    }
}

/// What is known of the effort that is followed, and of the destination.
#[derive(Debug, Default)]
struct Knowledge {
    done: Work,
    /// What the effort below, this one and the one above made of the same pages.
    prices: [Option<Cost>; 3],
    trials: u32,
    /// The unit to be tried next, and how many units lie between it and the one after.
    next: u64,
    every: u64,
    overlap: Overlap,
    /// What the effort did that was left last, until it is compared with this one.
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

    /// Where to go from this step, if anywhere.
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

    /// Whether to compress harder. As long as it is not known how far the destination works at the same time, it is tried
    /// what comes of it if it always does.
    fn is_up(&self, from: Cost, to: Cost) -> bool {
        to.size < from.size
            && match self.overlap.part() {
                Some(overlap) => self.done.gain(from, to, overlap) >= 0.0,
                None => self.done.gain(from, to, 1.0) > WORTH_TRYING,
            }
    }

    /// Whether to compress less; as long as that is not known, as if the destination only worked while it is waited for.
    fn is_down(&self, from: Cost, to: Cost) -> bool {
        self.done.gain(from, to, self.overlap.part().unwrap_or(0.0)) > WORTH
    }

    /// Forgets what was true of this effort only.
    fn leave(&mut self) {
        self.before = Some(std::mem::take(&mut self.done));
        self.prices = [None; 3];
        self.trials = 0;
        self.next = self.next.saturating_sub(self.every) + EVERY;
        self.every = EVERY;
    }
}

/// What was done by an effort of late, by all threads: nanoseconds and bytes.
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

    /// What threads did themselves.
    fn own(&self) -> f64 {
        self.reading + self.compressing
    }

    /// What part of the time is spared by compressing the other way, below zero if it takes longer.
    ///
    /// What the destination has to do changes as the size of the pages that were tried both ways. It does that while threads
    /// wait for it, and during a part of the time, `overlap`, in which they do not: so nothing is spared by compressing less
    /// if they wait the longer then. It may be another thread that they wait for, which comes to the same.
    fn gain(&self, from: Cost, to: Cost, overlap: f64) -> f64 {
        let all = self.own() + self.writing;
        let own = self.own() + self.longer(from, to);
        let busy = (self.writing + overlap * self.own()) * ratio(to.size, from.size);
        let then = own + (busy - overlap * own).max(0.0);
        1.0 - ratio(then, all)
    }

    /// How much longer compressing would take. The difference of the prices counts, since each of them has a part that has
    /// nothing to do with the effort: for pages that are but copied it is most of the price. On a machine that does other
    /// things too, what was done took longer than trials, of which only those count that nobody disturbed.
    fn longer(&self, from: Cost, to: Cost) -> f64 {
        let whole = ratio(self.bytes, from.size).max(ratio(self.compressing, from.compressing));
        ((to.compressing - from.compressing) * whole).max(-self.compressing)
    }
}

/// A price, of pages of several trials.
#[derive(Clone, Copy, Debug, Default)]
struct Cost {
    compressing: f64,
    size: f64,
}

impl Price {
    /// With what is remembered of earlier trials, of which each counts a little less than the one after it.
    fn added_to(self, earlier: Option<Cost>) -> Cost {
        const LESS: f64 = 7.0 / 8.0;
        let earlier = earlier.unwrap_or_default();
        Cost {
            compressing: earlier.compressing * LESS + self.compressing as f64,
            size: earlier.size * LESS + self.size as f64,
        }
    }
}

/// How far the destination works while nobody waits for it: a pipe, the page cache or a disk's own thread takes some bytes,
/// and who compresses longer waits the less for what is done meanwhile. That is seen when the effort changes.
#[derive(Debug, Default)]
struct Overlap {
    /// Of some changes: how much longer a byte was worked on, squared, and by that, how much less it was waited for.
    squares: f64,
    products: f64,
    /// How many bytes ago that was found.
    age: f64,
}

impl Overlap {
    /// For how much of the time of their own threads need not wait afterwards, 0 to 1, if that is known.
    fn part(&self) -> Option<f64> {
        (self.squares > 0.0).then(|| (self.products / self.squares).clamp(0.0, 1.0))
    }

    fn compare(&mut self, before: &Work, after: &Work) {
        let longer = ratio(after.own(), after.bytes) - ratio(before.own(), before.bytes);
        let spared = ratio(before.writing, before.bytes) - ratio(after.writing, after.bytes);
        // What was found earlier, of other pages, counts half.
        self.squares = self.squares / 2.0 + longer * longer;
        self.products = self.products / 2.0 + longer * spared;
        self.age = 0.0;
    }

    /// Forgets what is too old.
    fn age(&mut self, bytes: f64) {
        self.age += bytes;
        if self.age > BELIEVED {
            *self = Self::default();
        }
    }
}

/// Of nothing, nothing.
fn ratio(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}
