//! Calls while the system is suspended: memory, clocks, CPUs and devices are as before.

use std::fs::{self, File};
use std::hash::{DefaultHasher, Hasher as _};
use std::os::unix::fs::FileExt as _;

use abi::device::{Range, quiesce};
use anyhow::{Context as _, Result, ensure};
use rustix::time::{ClockId, clock_gettime};
use sys::Device;

use crate::busy::system_ram;
use crate::image::{Image, Plan};
use crate::memory::Before;
use crate::numbers::{Numbers, argument};

/// `asleep COUNT PAYLOAD OWN`: calls an image that lies where the kernel's memory is. The image finds its own memory as
/// it left it, the system finds everything as it was; `OWN` MiB of this program's memory are looked at too.
pub(crate) fn asleep(arguments: &[String]) -> Result<()> {
    let (count, own) = (argument(arguments, 0, "COUNT")?, argument(arguments, 2, "OWN")?);
    let plan = Plan::payload(arguments.get(1).context("PAYLOAD is missing")?)?.unclaimed();
    let memory = Memory::new(own << 20);
    let (kernel, settings) = (kernel_text_hash()?, settings()?);
    let image = plan.load()?;
    ensure!(image.load.in_use > 0, "nothing would be exchanged: {:x?}", image.load);
    let destinations = image.device.ranges(image.load.id)?;
    let covered = memory.covered_by(&destinations)?;
    let watcher = Device::open()?;
    let before = Before::now(&watcher)?;
    calls(&image, count)?;
    before.check(&watcher, 256)?;
    memory.check()?;
    ensure!(kernel_text_hash()? == kernel, "the kernel's text is not what it was");
    ensure!(settings == self::settings()?, "settings changed: {settings:?} to {:?}", self::settings());
    println!("{count} calls; {} pages were exchanged, {covered} of them this program's", image.load.in_use);
    ensure!(own == 0 || covered > 0, "none of this program's pages were among them");
    Ok(())
}

/// `away SECONDS`: an image takes its time while the system is suspended. The clocks that count the time asleep count
/// it, the monotonic clock does not.
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
struct Memory {
    words: Vec<u64>,
    seed: u64,
}

impl Memory {
    fn new(bytes: u64) -> Self {
        let mut numbers = Numbers(bytes);
        Self { words: (0..bytes / 8).map(|_| numbers.next()).collect(), seed: bytes }
    }

    fn check(&self) -> Result<()> {
        let mut numbers = Numbers(self.seed);
        let wrong = self.words.iter().filter(|&&word| word != numbers.next()).count();
        ensure!(wrong == 0, "{wrong} words of this program's memory changed");
        Ok(())
    }

    /// How many of its pages lie in these ranges: `Documentation/admin-guide/mm/pagemap.rst`.
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

/// A hash of the kernel's text and read-only data, as `/proc/kcore` shows them.
fn kernel_text_hash() -> Result<u64> {
    let (code, rodata) = (system_ram("Kernel code")?, system_ram("Kernel rodata")?);
    let core = File::open("/proc/kcore")?;
    let mut hasher = DefaultHasher::new();
    let offset = kernel_image_offset(&core)?;
    for range in [&code, &rodata] {
        let mut bytes = vec![0; usize::try_from(range.end - range.start)?];
        core.read_exact_at(&mut bytes, offset + range.start - code.start).context("/proc/kcore")?;
        hasher.write(&bytes);
    }
    Ok(hasher.finish())
}

/// Where in `/proc/kcore` the kernel's image starts: the load header of the highest addresses below the modules'.
fn kernel_image_offset(core: &File) -> Result<u64> {
    let mut header = [0; 4096];
    core.read_exact_at(&mut header, 0)?;
    let word = |at: usize| {
        let mut word = [0; 8];
        word.copy_from_slice(&header[at..at + 8]);
        u64::from_le_bytes(word)
    };
    let count = usize::from(u16::from_le_bytes([header[56], header[57]]));
    let headers = (0..count).map(|index| 64 + 56 * index).filter(|at| *at + 56 <= header.len());
    // Virtual address at 16, offset at 8. The image is mapped between -2 GiB and -1 GiB.
    let image = headers.filter(|&at| (0xffff_ffff_8000_0000..0xffff_ffff_c000_0000).contains(&word(at + 16)));
    image.map(|at| word(at + 8)).next().context("/proc/kcore does not show the kernel's image")
}

/// What a suspend may not change.
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

/// Seconds of three clocks, of the battery-backed one, and the time stamp counter.
struct Clocks {
    monotonic: f64,
    boot: f64,
    real: f64,
    battery: f64,
    ticks: u64,
}

impl Clocks {
    fn now() -> Self {
        let battery = fs::read_to_string("/sys/class/rtc/rtc0/since_epoch");
        Self {
            monotonic: time(ClockId::Monotonic),
            boot: time(ClockId::Boottime),
            real: time(ClockId::Realtime),
            battery: battery.ok().and_then(|text| text.trim().parse().ok()).unwrap_or(f64::NAN),
            ticks: ticks(),
        }
    }

    fn check_not_backwards(&self) -> Result<()> {
        let now = Self::now();
        let forwards = now.monotonic > self.monotonic && now.boot > self.boot && now.real > self.real;
        ensure!(forwards, "a clock went backwards");
        Ok(())
    }

    /// The time stamp counter runs on; so must the clocks that count the time asleep. The kernel learns how long it
    /// slept from the battery-backed clock, which counts seconds. Answers with how far the monotonic clock came.
    fn check(&self, khz: u64) -> Result<f64> {
        let now = Self::now();
        let passed = (now.ticks - self.ticks) as f64 / (khz as f64 * 1e3);
        let (boot, real, monotonic) =
            (now.boot - self.boot, now.real - self.real, now.monotonic - self.monotonic);
        let ahead = now.real - now.battery;
        println!(
            "{passed:.2} s passed; boot time {boot:.2} s, real time {real:.2} s, monotonic {monotonic:.2} s"
        );
        println!("real time is {ahead:.2} s ahead of the battery's whole seconds");
        for clock in [boot, real] {
            ensure!((clock - passed).abs() < SECOND, "a clock came {clock:.2} s far in {passed:.2} s");
        }
        ensure!((1.0 - SECOND..1.0 + SECOND).contains(&ahead), "real time and the battery's differ");
        Ok(monotonic)
    }
}

/// And what passes while clocks are read.
const SECOND: f64 = 1.1;

fn ticks() -> u64 {
    crate::cpu::ticks()
}
