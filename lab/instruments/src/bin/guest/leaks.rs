//! Loads that fail, are killed or are unloaded, and leave nothing allocated.

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

/// The address of large images: above the memory that is claimed page by page.
const LARGE: u64 = 16 << 20;

const PAGE: u64 = 4096;
/// Frames by which free memory varies on its own.
const NOISE: u64 = 64;

/// MiB by which available memory varies during a few requests.
const VARIES: u64 = 24;

/// The reason of `kimage`.
const TOO_MANY_PAGES: u64 = 7;

fn zeros(size: u64, flags: u64) -> Plan {
    Plan {
        segments: vec![(LARGE, size, Vec::new())],
        vouched: Vec::new(),
        entry: LARGE,
        mode: mode::LONG,
        flags,
    }
}

/// `rounds COUNT MIB`: after a few rounds of loading and unloading, free memory no longer changes.
pub(crate) fn rounds(arguments: &[String]) -> Result<()> {
    let (count, mebibytes) = (argument(arguments, 0, "COUNT")?, argument(arguments, 1, "MIB")?);
    let device = Device::open()?;
    let mut before = None;
    for round in 0..count {
        let flags = if round % 2 == 0 { 0 } else { load_flag::CLAIM };
        let image = zeros(mebibytes << 20, flags).load()?;
        ensure!(image.load.pages == mebibytes << 8, "{:x?}", image.load);
        ensure!(device.info()?.frames >= image.load.pages, "the image holds less than it needs");
        drop(image);
        if round == 3 {
            before = Some(Before::now(&device)?);
        }
    }
    println!("{count} rounds of {mebibytes} MiB");
    // Less than one frame per round.
    before.context("too few rounds")?.check(&device, (count - 4).saturating_sub(1))
}

/// `hold MIB`: prints `loading`, loads, prints `loaded`, and waits to be killed.
pub(crate) fn hold(arguments: &[String]) -> Result<()> {
    let plan = zeros(argument(arguments, 0, "MIB")? << 20, load_flag::CLAIM);
    let print_line = |word: &str| -> Result<()> {
        println!("{word}");
        Ok(std::io::stdout().flush()?)
    };
    print_line("loading")?;
    let _image = plan.load()?;
    print_line("loaded")?;
    loop {
        sleep(Duration::from_secs(1));
    }
}

/// `killed COUNT MIB`: kills processes during a load, each a little later than the last; nothing
/// stays allocated.
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
    ensure!(midway >= count / 2, "too few for this check");
    before.check(&device, 3 * count + NOISE)
}

/// Starts a process that loads an image, and kills it after the load or after this time. Returns
/// whether the image was loaded, and the time it took.
fn hold_for(mebibytes: u64, moment: Option<Duration>) -> Result<(bool, Duration)> {
    let mut child = start_holding(mebibytes)?;
    let mut lines = BufReader::new(child.stdout.take().context("no output")?).lines();
    lines.next().context("the process printed nothing")??;
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

/// `too-large COUNT`: images larger than all memory or than available memory are refused before
/// anything is allocated for them; if one that is only just small enough cannot be loaded, all its
/// frames are freed.
pub(crate) fn too_large(arguments: &[String]) -> Result<()> {
    let count = argument(arguments, 0, "COUNT")?;
    let device = Device::open()?;
    let (total, available) = (meminfo("MemTotal")?, meminfo("MemAvailable")?);
    println!("{} MiB, {} of them available", total >> 20, available >> 20);
    let before = Before::now(&device)?;
    for _ in 0..count {
        for flags in [0, load_flag::CLAIM] {
            for size in [total + PAGE, total, available + (VARIES << 20)] {
                let refusal = refused(zeros(size, flags).load_into(&device), Errno::NOMEM, TOO_MANY_PAGES)?;
                let limit = refusal.diagnosis.numbers[1] * PAGE;
                ensure!(limit.abs_diff(available) < VARIES << 20, "{limit:#x} of {available:#x} available");
            }
            match zeros(meminfo("MemAvailable")?, flags).load_into(&device) {
                Ok(_) => device.unload()?,
                Err(refusal) => ensure!(refusal.errno == Errno::NOMEM.raw_os_error(), "{refusal:x?}"),
            }
        }
    }
    before.check(&device, 4 * count + NOISE)
}

/// `leave MIB FILE`: allocates memory until only that much is available, creates the file, and
/// waits to be killed.
pub(crate) fn leave(arguments: &[String]) -> Result<()> {
    const STEP: u64 = 16 << 20;
    let left = argument(arguments, 0, "MIB")? << 20;
    let file = arguments.get(1).context("FILE is missing")?;
    let mut held = Vec::new();
    loop {
        let excess = meminfo("MemAvailable")?.saturating_sub(left);
        if excess < PAGE {
            break;
        }
        // Nonzero bytes: the kernel provides pages of zeros only when they are written to.
        held.push(std::hint::black_box(vec![0x4b_u8; excess.min(STEP) as usize]));
    }
    std::fs::File::create(file)?;
    loop {
        sleep(Duration::from_secs(1));
    }
}

/// A field of `/proc/meminfo`, in bytes.
fn meminfo(name: &str) -> Result<u64> {
    let text = std::fs::read_to_string("/proc/meminfo")?;
    let number =
        text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')?.trim().strip_suffix(" kB"));
    Ok(number.context("not in /proc/meminfo")?.parse::<u64>()? << 10)
}
