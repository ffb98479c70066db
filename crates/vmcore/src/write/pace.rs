//! How hard to compress, by what it takes and by what the destination takes.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

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
/// Where to begin: the effort that is usual where nothing is known.
const FIRST: usize = 3;
/// One unit in so many is tried with the effort above or below.
const EVERY: u64 = 16;
/// As long as less is written by an effort, in bytes, not enough is known to leave it.
const LEAST: u64 = 8 << 20;
/// Of what was written, only so many bytes are remembered, about: what a destination takes changes.
const REMEMBERED: u64 = 4 * LEAST;

/// The effort that all threads share. They follow it, and one now and then makes it a step greater or less, without waiting
/// for each other: what is read is an effort of the ladder, whatever two of them write at the same time.
pub(super) struct Pace {
    clock: fn() -> u64,
    step: AtomicUsize,
    /// What was done by this effort of late, by all threads.
    bytes: AtomicU64,
    reading: AtomicU64,
    compressing: AtomicU64,
    writing: AtomicU64,
}

/// What some pages took, in nanoseconds.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Times {
    pub(super) reading: u64,
    pub(super) compressing: u64,
    pub(super) writing: u64,
}

/// What compressing the same pages takes by one effort or another, in nanoseconds, and makes of them, in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Price {
    pub(super) compressing: u64,
    pub(super) size: u64,
}

/// An effort that is to be compared with the one that is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Trial {
    from: usize,
    to: usize,
}

impl Trial {
    pub(super) const fn efforts(self) -> [Effort; 2] {
        [LADDER[self.from], LADDER[self.to]]
    }
}

impl Pace {
    pub(super) fn new(clock: fn() -> u64) -> Self {
        Self {
            clock,
            step: AtomicUsize::new(FIRST),
            bytes: AtomicU64::new(0),
            reading: AtomicU64::new(0),
            compressing: AtomicU64::new(0),
            writing: AtomicU64::new(0),
        }
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

    /// What is to be tried with this unit, if anything: in turns what is above and what is below.
    pub(super) fn trial(&self, unit: u64) -> Option<Trial> {
        if unit % EVERY != EVERY - 1 || self.bytes.load(Ordering::Relaxed) < LEAST {
            return None;
        }
        let from = self.step.load(Ordering::Relaxed);
        let to = if (unit / EVERY).is_multiple_of(2) { from.checked_sub(1)? } else { from + 1 };
        (to < LADDER.len()).then_some(Trial { from, to })
    }

    /// Remembers what a unit took of which so many bytes were written.
    pub(super) fn remember(&self, bytes: u64, times: Times) {
        for (all, one) in self.times().into_iter().zip([times.reading, times.compressing, times.writing]) {
            all.fetch_add(one, Ordering::Relaxed);
        }
        if self.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes > REMEMBERED {
            self.forget(2);
        }
    }

    /// Keeps one part in so many of what is remembered, or nothing. What others add at this moment is forgotten: it is little.
    fn forget(&self, parts: u64) {
        for number in self.times().into_iter().chain([&self.bytes]) {
            number.store(number.load(Ordering::Relaxed) / parts, Ordering::Relaxed);
        }
    }

    const fn times(&self) -> [&AtomicU64; 3] {
        [&self.reading, &self.compressing, &self.writing]
    }

    /// Takes the step that was tried, if it pays.
    pub(super) fn judge(&self, trial: Trial, from: Price, to: Price) {
        let [reading, compressing, writing] = self.times().map(|number| number.load(Ordering::Relaxed));
        let times = Times { reading, compressing, writing };
        let step = || {
            let (from, to) = (trial.from, trial.to);
            // If somebody else took a step meanwhile, this was about another one.
            self.step.compare_exchange(from, to, Ordering::Relaxed, Ordering::Relaxed).is_ok()
        };
        if pays(times, from, to) && step() {
            self.forget(u64::MAX);
        }
    }
}

/// Whether to compress the other way, by what all threads together took of late.
///
/// What a thread takes for a page is reading, compressing and waiting until it is written. Compressing changes as it did for
/// the pages that were tried both ways, and writing as their size did. Where threads wait for each other, a little more
/// could be had by compressing harder still; but waiting may also be for a processor, and then it would be in vain. A
/// smaller dump is worth something by itself, a larger one must be worth an eighth of the time.
fn pays(times: Times, from: Price, to: Price) -> bool {
    let all = times.reading.saturating_add(times.compressing).saturating_add(times.writing);
    let compressing = scaled(times.compressing, to.compressing, from.compressing);
    let writing = scaled(times.writing, to.size, from.size);
    let then = times.reading.saturating_add(compressing).saturating_add(writing);
    if to.size < from.size { then <= all } else { then < all - all / 8 }
}

/// `number` times `part` by `whole`; of nothing, nothing.
fn scaled(number: u64, part: u64, whole: u64) -> u64 {
    let scaled = u128::from(number) * u128::from(part) / u128::from(whole.max(1));
    u64::try_from(scaled).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether it pays where pages take so long to read and to write.
    fn pays_with(reading: u64, writing: u64, from: Price, to: Price) -> bool {
        pays(Times { reading, compressing: from.compressing, writing }, from, to)
    }

    const SMALLER: Price = Price { compressing: 300, size: 600 };
    const LARGER: Price = Price { compressing: 100, size: 1000 };

    #[test]
    fn where_writing_takes_no_time_less_is_compressed() {
        assert!(pays_with(0, 0, SMALLER, LARGER));
        assert!(!pays_with(0, 0, LARGER, SMALLER));
    }

    #[test]
    fn harder_is_compressed_where_that_takes_no_longer_than_it_spares() {
        // 40 % less to write for 200 more of compressing.
        assert!(!pays_with(0, 490, LARGER, SMALLER));
        assert!(pays_with(0, 500, LARGER, SMALLER));
    }

    #[test]
    fn a_larger_dump_must_be_worth_an_eighth_of_the_time() {
        assert!(pays_with(0, 150, SMALLER, LARGER));
        assert!(!pays_with(0, 300, SMALLER, LARGER));
        assert!(!pays_with(100_000, 0, SMALLER, LARGER));
    }

    #[test]
    fn what_is_no_smaller_is_not_worth_the_time() {
        let in_vain = Price { compressing: 200, ..LARGER };
        assert!(!pays_with(0, 10_000, LARGER, in_vain));
    }

    #[test]
    fn no_number_is_too_large() {
        let most = Price { compressing: u64::MAX, size: u64::MAX };
        let _ = pays_with(u64::MAX, u64::MAX, most, most);
        let nothing = Price { compressing: 0, size: 0 };
        assert!(!pays_with(0, 0, nothing, most));
        assert!(!pays_with(0, 0, nothing, nothing));
    }

    /// Follows the rule through so many units, with a destination that takes a byte in so many nanoseconds.
    fn follow(pace: &Pace, units: u64, byte: u64) -> Effort {
        // Of 64 pages: nanoseconds and bytes at each step, as measured of libraries, text and noise.
        const PRICES: [(u64, u64); LADDER.len()] = [
            (20_000, 262_144),
            (200_000, 170_000),
            (500_000, 147_000),
            (750_000, 135_000),
            (900_000, 132_000),
            (3_000_000, 129_000),
        ];
        let price = |step: usize| Price { compressing: PRICES[step].0, size: PRICES[step].1 };
        for unit in 0..units {
            let Price { compressing, size } = price(pace.step.load(Ordering::Relaxed));
            if let Some(trial) = pace.trial(unit) {
                pace.judge(trial, price(trial.from), price(trial.to));
            }
            pace.remember(size, Times { reading: 20_000, compressing, writing: size * byte });
        }
        pace.effort()
    }

    #[test]
    fn the_effort_goes_where_it_pays_and_stays_there() {
        for (byte, expected) in [(0, 0), (4, 1), (30, 3), (100, 4), (5000, 5)] {
            let pace = Pace::new(|| 0);
            for units in [2000, 16, 16] {
                assert_eq!(follow(&pace, units, byte), LADDER[expected], "{byte} ns a byte");
            }
        }
    }

    #[test]
    fn a_destination_that_becomes_slow_is_noticed() {
        let pace = Pace::new(|| 0);
        assert_eq!(follow(&pace, 1000, 0).codec, Codec::Raw);
        assert_eq!(follow(&pace, 4000, 10_000), LADDER[LADDER.len() - 1]);
        assert_eq!(follow(&pace, 4000, 0).codec, Codec::Raw);
    }

    #[test]
    fn nothing_changes_before_something_is_known() {
        let pace = Pace::new(|| 0);
        assert_eq!(follow(&pace, LEAST / 262_144, 0), Effort::usual(Codec::Zstd));
    }
}
