//! Calls while the system is suspended: memory, clocks, CPUs and devices are as before.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;

use abi::device::{Range, quiesce};
use anyhow::{Context as _, Result, ensure};
use rustix::time::{ClockId, clock_gettime};
use sys::Device;

use crate::image::{Image, Plan};
use crate::kernel_text::KernelText;
use crate::memory::Before;
use crate::numbers::{Numbers, argument};

/// `asleep COUNT PAYLOAD OWN`: calls an image over memory that is in use. Neither the image's
/// memory nor the system's changes between calls, nor do `OWN` MiB of this program's memory.
pub(crate) fn asleep(arguments: &[String]) -> Result<()> {
    let (count, own) = (argument(arguments, 0, "COUNT")?, argument(arguments, 2, "OWN")?);
    let plan = Plan::payload(arguments.get(1).context("PAYLOAD is missing")?)?.unclaimed();
    let memory = Memory::new(own << 20);
    let (kernel, settings) = (KernelText::now()?, settings()?);
    let image = plan.load()?;
    ensure!(image.load.in_use > 0, "nothing would be exchanged: {:x?}", image.load);
    let destinations = image.device.ranges(image.load.id)?;
    let covered = memory.covered_by(&destinations)?;
    let watcher = Device::open()?;
    let before = Before::now(&watcher)?;
    calls(&image, count)?;
    before.check(&watcher, 256)?;
    memory.check()?;
    kernel.check()?;
    ensure!(settings == self::settings()?, "settings changed: {settings:?} to {:?}", self::settings());
    println!("{count} calls; {} pages were exchanged, {covered} of them this program's", image.load.in_use);
    ensure!(own == 0 || covered > 0, "none of this program's pages were among them");
    Ok(())
}

/// `away SECONDS`: an image runs for that time while the system is suspended. The clocks that count
/// suspended time count it; the monotonic clock does not.
pub(crate) fn away(arguments: &[String]) -> Result<()> {
    let seconds = argument(arguments, 0, "SECONDS")?;
    let image = Plan::payload("spin64")?.load()?;
    let khz = image.device.info()?.tsc_khz;
    let clocks = Clocks::now();
    image.call(&[seconds * khz * 1000], quiesce::SUSPEND)?;
    let monotonic = clocks.check(khz)?;
    ensure!(monotonic < seconds as f64, "the monotonic clock ran on: {monotonic:.2} s");
    Ok(())
}

fn calls(image: &Image, count: u64) -> Result<()> {
    let mut times = Vec::new();
    let clocks = Clocks::now();
    let start = time(ClockId::Monotonic);
    for seed in 1..=count {
        let earlier = Clocks::now();
        let call = image.call(&[seed | 1 << 40], quiesce::SUSPEND)?;
        ensure!(call.value == 0, "call {seed}: {} words of the image's memory changed", call.value);
        earlier.check_not_backwards()?;
        times.push(
            call.ticks.quiesce + call.ticks.enter + call.ticks.run + call.ticks.leave + call.ticks.resume,
        );
    }
    clocks.check(image.device.info()?.tsc_khz)?;
    times.sort_unstable();
    let khz = image.device.info()?.tsc_khz;
    let milliseconds = |ticks: u64| ticks / khz.max(1);
    println!(
        "median {} ms, longest {} ms; monotonic clock {:.1} s",
        milliseconds(times[times.len() / 2]),
        milliseconds(times[times.len() - 1]),
        time(ClockId::Monotonic) - start
    );
    Ok(())
}

/// This program's own memory, without a pattern.
pub(crate) struct Memory {
    words: Vec<u64>,
    seed: u64,
}

impl Memory {
    pub(crate) fn new(bytes: u64) -> Self {
        let mut numbers = Numbers(bytes);
        Self { words: (0..bytes / 8).map(|_| numbers.next()).collect(), seed: bytes }
    }

    pub(crate) fn check(&self) -> Result<()> {
        let mut numbers = Numbers(self.seed);
        let wrong = self.words.iter().filter(|&&word| word != numbers.next()).count();
        ensure!(wrong == 0, "{wrong} words of this program's memory changed");
        Ok(())
    }

    /// The number of its pages in these ranges: `Documentation/admin-guide/mm/pagemap.rst`.
    fn covered_by(&self, ranges: &[Range]) -> Result<usize> {
        const PRESENT: u64 = 1 << 63;
        const FRAME: u64 = (1 << 55) - 1;
        let first = self.words.as_ptr().expose_provenance() as u64 / 4096;
        let mut entries = vec![0; self.words.len() / 512 * 8];
        File::open("/proc/self/pagemap")?.read_exact_at(&mut entries, first * 8)?;
        let frames = entries.chunks_exact(8).map(|entry| {
            let mut word = [0; 8];
            word.copy_from_slice(entry);
            u64::from_le_bytes(word)
        });
        let addresses = frames.filter(|entry| entry & PRESENT != 0).map(|entry| (entry & FRAME) * 4096);
        let within = |address: &u64| ranges.iter().any(|range| (range.start..range.end).contains(address));
        Ok(addresses.filter(within).count())
    }
}

/// Settings that a suspend may not change.
fn settings() -> Result<Vec<String>> {
    let files = [
        "/sys/power/mem_sleep",
        "/sys/power/state",
        "/sys/devices/system/cpu/online",
        "/sys/devices/system/clocksource/clocksource0/current_clocksource",
        "/proc/partitions",
    ];
    files.iter().map(|file| fs::read_to_string(file).with_context(|| (*file).to_owned())).collect()
}

fn time(clock: ClockId) -> f64 {
    let now = clock_gettime(clock);
    now.tv_sec as f64 + now.tv_nsec as f64 / 1e9
}

/// Seconds of three clocks and of the battery-backed one, and the time stamp counter before and
/// after reading them.
struct Clocks {
    monotonic: f64,
    boot: f64,
    real: f64,
    battery: f64,
    ticks: [u64; 2],
}

impl Clocks {
    fn now() -> Self {
        let first = ticks();
        let battery = fs::read_to_string("/sys/class/rtc/rtc0/since_epoch");
        Self {
            monotonic: time(ClockId::Monotonic),
            boot: time(ClockId::Boottime),
            real: time(ClockId::Realtime),
            battery: battery.ok().and_then(|text| text.trim().parse().ok()).unwrap_or(f64::NAN),
            ticks: [first, ticks()],
        }
    }

    fn check_not_backwards(&self) -> Result<()> {
        let now = Self::now();
        let forwards = now.monotonic > self.monotonic && now.boot > self.boot && now.real > self.real;
        ensure!(forwards, "a clock went backwards");
        Ok(())
    }

    /// The time stamp counter does not stop, and neither may the clocks that count suspended time,
    /// nor the battery-backed one, which counts whole seconds. Returns the seconds that the
    /// monotonic clock counted.
    fn check(&self, khz: u64) -> Result<f64> {
        let now = Self::now();
        let seconds = |from: u64, to: u64| to.saturating_sub(from) as f64 / (khz as f64 * 1e3);
        let (least, most) = (seconds(self.ticks[1], now.ticks[0]), seconds(self.ticks[0], now.ticks[1]));
        let (boot, real, monotonic, battery) = (
            now.boot - self.boot,
            now.real - self.real,
            now.monotonic - self.monotonic,
            now.battery - self.battery,
        );
        println!(
            "{least:.3} s passed; boot time {boot:.3} s, real time {real:.3} s, monotonic {monotonic:.3} s, \
             battery {battery} s"
        );
        let off = OFF + most * RATE;
        let within = |clock: f64, more: f64| (least - off - more..most + off + more).contains(&clock);
        for clock in [boot, real] {
            ensure!(within(clock, 0.0), "a clock advanced by {clock:.3} s in {least:.3} s to {most:.3} s");
        }
        ensure!(within(battery, 1.0), "the battery-backed clock advanced by {battery} s in {least:.3} s");
        Ok(monotonic)
    }
}

/// Tolerance in seconds: a kernel that measures a suspend by a clock of whole seconds is off by a
/// third of one on average.
const OFF: f64 = 0.03;
/// Tolerance of the kernel's rate of the time stamp counter.
const RATE: f64 = 0.002;

fn ticks() -> u64 {
    crate::cpu::ticks()
}
