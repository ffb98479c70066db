//! Loads that come to nothing, or to an end, and leave nothing behind.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use abi::device::{load_flag, mode};
use anyhow::{Context as _, Result, ensure};
use rustix::io::Errno;
use sys::Device;

use crate::image::{Plan, refused};
use crate::memory::Before;
use crate::numbers::argument;

/// Where large images go: behind what is claimed page by page.
const LARGE: u64 = 16 << 20;

const PAGE: u64 = 4096;
/// Frames that come and go by themselves.
const NOISE: u64 = 64;

/// `kimage`'s reasons.
const TOO_MANY_PAGES: u64 = 7;
const NO_MEMORY: u64 = 8;

fn zeroes(size: u64, flags: u64) -> Plan {
    Plan {
        segments: vec![(LARGE, size, Vec::new())],
        vouched: Vec::new(),
        entry: LARGE,
        mode: mode::LONG,
        flags,
    }
}

/// `rounds COUNT MIB`: after a few rounds of loading and closing, free memory stays what it is.
pub(crate) fn rounds(arguments: &[String]) -> Result<()> {
    let (count, mebibytes) = (argument(arguments, 0, "COUNT")?, argument(arguments, 1, "MIB")?);
    let device = Device::open()?;
    let mut before = None;
    for round in 0..count {
        let flags = if round % 2 == 0 { 0 } else { load_flag::CLAIM };
        let image = zeroes(mebibytes << 20, flags).load()?;
        ensure!(image.load.pages == mebibytes << 8, "{:x?}", image.load);
        ensure!(device.info()?.frames >= image.load.pages, "the image holds less than it needs");
        drop(image);
        if round == 3 {
            before = Some(Before::now(&device)?);
        }
    }
    println!("{count} rounds of {mebibytes} MiB");
    // Less than one frame a round.
    before.context("too few rounds")?.check(&device, (count - 4).saturating_sub(1))
}

/// `hold MIB`: says `loading`, loads, says `loaded`, and waits to be killed.
pub(crate) fn hold(arguments: &[String]) -> Result<()> {
    let plan = zeroes(argument(arguments, 0, "MIB")? << 20, load_flag::CLAIM);
    let say = |word: &str| -> Result<()> {
        println!("{word}");
        Ok(std::io::stdout().flush()?)
    };
    say("loading")?;
    let _image = plan.load()?;
    say("loaded")?;
    loop {
        sleep(Duration::from_secs(1));
    }
}

/// `killed COUNT MIB`: a process that is killed in the middle of a load, at ever later moments, leaves nothing behind.
pub(crate) fn killed(arguments: &[String]) -> Result<()> {
    let (count, mebibytes) = (argument(arguments, 0, "COUNT")?, argument(arguments, 1, "MIB")?);
    let device = Device::open()?;
    let (_, whole) = hold_for(mebibytes, None)?;
    let before = Before::now(&device)?;
    let mut midway = 0;
    for turn in 0..count {
        let moment = whole.mul_f64(turn as f64 / count as f64);
        let (loaded, _) = hold_for(mebibytes, Some(moment))?;
        midway += u64::from(!loaded);
    }
    println!("{midway} of {count} were killed in the middle of a load of {} ms", whole.as_millis());
    ensure!(midway >= count / 2, "too few to tell");
    before.check(&device, 3 * count + NOISE)
}

/// Lets a process hold an image until it has loaded it, or for so long. Answers whether it was loaded, and after what
/// time.
fn hold_for(mebibytes: u64, moment: Option<Duration>) -> Result<(bool, Duration)> {
    let mut child = start_holding(mebibytes)?;
    let mut lines = BufReader::new(child.stdout.take().context("no output")?).lines();
    lines.next().context("it said nothing")??;
    let start = Instant::now();
    let mut loaded = false;
    match moment {
        Some(moment) => sleep(moment),
        None => loaded = lines.next().transpose()?.is_some(),
    }
    let time = start.elapsed();
    child.kill()?;
    child.wait()?;
    loaded |= lines.next().transpose()?.is_some();
    Ok((loaded, time))
}

fn start_holding(mebibytes: u64) -> Result<Child> {
    let mut command = Command::new(std::env::current_exe()?);
    Ok(command.args(["hold", &mebibytes.to_string()]).stdout(Stdio::piped()).spawn()?)
}

/// `too-large COUNT`: images larger than the memory there is, or than what is free of it, are refused, and what was
/// taken for them is given back.
pub(crate) fn too_large(arguments: &[String]) -> Result<()> {
    let count = argument(arguments, 0, "COUNT")?;
    let device = Device::open()?;
    let (total, free) = (meminfo("MemTotal")?, meminfo("MemFree")?);
    println!("{} MiB, {} of them free", total >> 20, free >> 20);
    let before = Before::now(&device)?;
    for _ in 0..count {
        for flags in [0, load_flag::CLAIM] {
            refused(zeroes(total + PAGE, flags).load_into(&device), Errno::NOMEM, TOO_MANY_PAGES)?;
            let refusal = refused(zeroes(total, flags).load_into(&device), Errno::NOMEM, NO_MEMORY)?;
            let held = refusal.diagnosis.numbers[3];
            ensure!(held > free / PAGE / 2, "it gave up when it had {held} frames");
        }
    }
    before.check(&device, 4 * count + NOISE)
}

/// A number of `/proc/meminfo`, in bytes.
fn meminfo(name: &str) -> Result<u64> {
    let text = std::fs::read_to_string("/proc/meminfo")?;
    let number =
        text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')?.trim().strip_suffix(" kB"));
    Ok(number.context("not in /proc/meminfo")?.parse::<u64>()? << 10)
}
