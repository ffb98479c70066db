#![allow(
    clippy::cast_possible_truncation,
    reason = "nanoseconds and bytes of a test are small whole numbers"
)]

use super::*;

/// A destination that needs some nanoseconds for a byte, and works on in the background.
#[derive(Clone, Copy, Debug)]
struct Destination {
    byte: f64,
    /// Writers do not wait while at most this many bytes are pending.
    buffer: f64,
    /// It is given this many bytes at a time.
    burst: f64,
    held: f64,
    done_at: f64,
}

impl Destination {
    fn new(byte: f64, (buffer, burst): (f64, f64)) -> Self {
        Self { byte, buffer, burst, held: 0.0, done_at: 0.0 }
    }

    /// When a writer may continue that writes these bytes now.
    fn write(&mut self, now: f64, bytes: f64) -> f64 {
        self.held += bytes;
        if self.held < self.burst {
            return now;
        }
        let bytes = std::mem::take(&mut self.held);
        self.done_at = self.done_at.max(now) + bytes * self.byte;
        now.max(self.done_at - self.buffer * self.byte)
    }
}

/// Unbuffered; a pipe; a disk; a file, whose writer waits after every 4 MiB for the previous 4.
const BUFFERS: [(f64, f64); 4] = [(0.0, 0.0), (65_536.0, 0.0), (3e6, 1e6), (4e6, 4e6)];

/// Nanoseconds and bytes of 64 pages at each step, as measured on a machine's memory.
const PRICES: [(f64, f64); LADDER.len()] = [
    (2_000.0, 262_144.0),
    (205_000.0, 147_600.0),
    (525_000.0, 120_900.0),
    (812_000.0, 108_500.0),
    (927_000.0, 106_700.0),
    (2_930_000.0, 104_400.0),
];
/// Nanoseconds to read 64 pages.
const READING: u64 = 20_000;

/// The cost of a part of a unit. Pages within a region are alike, and differ from the next
/// region's.
fn price(step: usize, unit: u64, part: f64) -> Price {
    let mixed = (unit / 5 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ mixed >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 40;
    let much = 0.3 + 1.4 * mixed as f64 / f64::from(1 << 24);
    let (compressing, size) = PRICES[step];
    let size = if step == 0 { size } else { (size * much).min(262_144.0) };
    Price { compressing: (compressing * (0.5 + much / 2.0) * part) as u64, size: (size * part) as u64 }
}

/// Threads that share a destination, each with its own clock.
struct Machine {
    pace: Pace,
    threads: Vec<f64>,
    destination: Destination,
    units: u64,
}

impl Machine {
    fn new(threads: usize, destination: Destination) -> Self {
        Self { pace: Pace::new(|| 0), threads: vec![0.0; threads], destination, units: 0 }
    }

    /// Compresses units, always by this step or adaptively; returns the total time.
    fn run(&mut self, units: u64, always: Option<usize>) -> f64 {
        for unit in self.units..self.units + units {
            let thread = self.threads.iter_mut().min_by(|one, other| one.total_cmp(other)).unwrap();
            *thread += READING as f64;
            if always.is_none() {
                *thread += attempt(&self.pace, unit);
            }
            let step = always.unwrap_or_else(|| self.pace.step.load(Ordering::Relaxed));
            let Price { compressing, size } = price(step, unit, 1.0);
            let now = *thread + compressing as f64;
            *thread = self.destination.write(now, size as f64);
            let writing = (*thread - now) as u64;
            self.pace.remember(size, Times { reading: READING, compressing, writing });
        }
        self.units += units;
        self.threads.iter().fold(self.destination.done_at, |all, thread| all.max(*thread))
    }
}

/// Makes a trial if one is due; returns how long it took.
fn attempt(pace: &Pace, unit: u64) -> f64 {
    let Some(trial) = pace.trial(unit) else { return 0.0 };
    // At any effort, copying a page once more takes some time.
    let copying = 5_000;
    let prices = trial.efforts().map(|effort| {
        let step = LADDER.iter().position(|other| Some(*other) == effort)?;
        let price = price(step, unit, 0.125);
        Some(Price { compressing: price.compressing + copying, ..price })
    });
    pace.judge(trial, prices);
    prices.iter().flatten().map(|price| price.compressing as f64).sum()
}

/// The units of a gigabyte.
const UNITS: u64 = 4096;

#[test]
fn adapting_takes_about_as_long_as_the_best_effort() {
    for megabytes_a_second in [30.0, 100.0, 300.0, 1000.0, 1e6] {
        for buffer in BUFFERS {
            for threads in [1, 2] {
                let destination = Destination::new(1000.0 / megabytes_a_second, buffer);
                let machine = || Machine::new(threads, destination);
                let fixed = (0..LADDER.len()).map(|step| machine().run(UNITS, Some(step)));
                let least = fixed.fold(f64::MAX, f64::min);
                let ratio = machine().run(UNITS, None) / least;
                // Where nothing takes long, the first effort matters; writers wait for files so
                // rarely that more is guessed.
                let bound = match (megabytes_a_second, buffer.1) {
                    (1e6, _) => 1.25,
                    (_, 4e6) => 1.12,
                    _ => 1.1,
                };
                assert!(ratio < bound, "{ratio:.3} times, {threads} threads, {destination:?}");
            }
        }
    }
}

#[test]
fn a_pipe_of_100_megabytes_a_second_is_worth_more_than_lzo() {
    let mut machine = Machine::new(1, Destination::new(10.0, (1e6, 0.0)));
    machine.run(UNITS / 2, None);
    assert_eq!(machine.pace.effort().codec, Codec::Zstd);
}

#[test]
fn a_destination_that_becomes_slow_or_fast_is_noticed() {
    for buffer in BUFFERS {
        let mut machine = Machine::new(1, Destination::new(0.0, buffer));
        machine.run(UNITS, None);
        assert_eq!(machine.pace.effort().codec, Codec::Raw);
        machine.destination.byte = 10_000.0;
        machine.run(UNITS, None);
        assert!(machine.pace.step.load(Ordering::Relaxed) >= 4, "{:?}", machine.pace.effort());
        machine.destination.byte = 0.0;
        machine.run(2 * UNITS, None);
        assert_eq!(machine.pace.effort().codec, Codec::Raw);
    }
}

#[test]
fn no_step_is_taken_before_enough_is_known() {
    let mut machine = Machine::new(1, Destination::new(0.0, (0.0, 0.0)));
    machine.run(LEAST as u64 / 262_144, None);
    assert_eq!(machine.pace.effort(), Effort::usual(Codec::Lzo));
}

const LESS: Cost = Cost { compressing: 100.0, size: 1000.0 };
const HARDER: Cost = Cost { compressing: 300.0, size: 600.0 };

fn known(compressing: f64, writing: f64, overlap: Option<f64>) -> Knowledge {
    let done = Work { reading: 0.0, compressing, writing, bytes: 0.0 };
    let overlap = overlap.map(|part| Overlap { squares: 1.0, products: part, age: 0.0 });
    Knowledge { done, overlap: overlap.unwrap_or_default(), ..Knowledge::default() }
}

#[test]
fn a_step_up_is_taken_if_it_saves_as_much_time_as_it_takes() {
    // 40 % less to write for 200 more of compressing, if nothing is written in the background.
    assert!(!known(100.0, 490.0, Some(0.0)).is_up(LESS, HARDER));
    assert!(known(100.0, 510.0, Some(0.0)).is_up(LESS, HARDER));
    // All of it is written in the background once writing takes no longer than compressing.
    assert!(!known(100.0, 190.0, Some(1.0)).is_up(LESS, HARDER));
    assert!(known(100.0, 210.0, Some(1.0)).is_up(LESS, HARDER));
}

#[test]
fn a_larger_dump_must_be_worth_a_sixteenth_of_the_time() {
    assert!(known(300.0, 240.0, Some(0.0)).is_down(HARDER, LESS));
    assert!(!known(300.0, 250.0, Some(0.0)).is_down(HARDER, LESS));
    assert!(!known(300.0, 0.0, Some(1.0)).is_down(HARDER, LESS));
}

#[test]
fn unknown_efforts_are_tried() {
    assert!(known(300.0, 0.0, None).is_down(HARDER, LESS));
    assert!(known(100.0, 300.0, None).is_up(LESS, HARDER));
    assert!(!known(100.0, 0.0, None).is_up(LESS, HARDER));
}

#[test]
fn pages_that_get_no_smaller_are_not_worth_the_time() {
    let in_vain = Cost { compressing: 200.0, ..LESS };
    assert!(!known(100.0, 10_000.0, Some(0.0)).is_up(LESS, in_vain));
}

#[test]
fn no_number_is_too_large() {
    let mut known = Knowledge::default();
    let most = Price { compressing: u64::MAX, size: u64::MAX };
    let times = Times { reading: u64::MAX, compressing: u64::MAX, writing: u64::MAX };
    for (price, times) in [(most, times), (Price::default(), Times::default())] {
        for _ in 0..4 {
            known.remember(u64::MAX, times);
            known.judge(1, [Some(price), Some(most), Some(Price::default())]);
            known.leave();
        }
    }
    assert!(known.overlap.part().is_none_or(|part| (0.0..=1.0).contains(&part)));
}
