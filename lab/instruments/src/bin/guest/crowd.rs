//! Several processes, several images, several calls at once.

use std::fs;
use std::io::{self, Read as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use abi::device::{Call, quiesce, reason};
use anyhow::{Context as _, Result, bail, ensure};
use instruments::physical::{Page, frames_of};
use rustix::io::Errno;
use sys::{Device, ImageName, Refusal};

use crate::image::{Image, Plan, level, refused};
use crate::memory::Before;
use crate::numbers::{Numbers, argument};

/// The address of the first of several images, 64 KiB apart.
const PLACES: u64 = 0x30_0000;

/// This program in another process, as [`caller`].
fn start_caller(place: u64, count: u64, level: &str) -> Result<Child> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["caller", &place.to_string(), &count.to_string(), level]);
    Ok(command.stdin(Stdio::piped()).spawn()?)
}

/// `caller PLACE COUNT LEVEL`: loads its own image, waits for the end of its input, and calls the
/// image. Expects right results, and tries again while the system is suspended otherwise.
pub(crate) fn caller(arguments: &[String]) -> Result<()> {
    let (place, count) = (argument(arguments, 0, "PLACE")?, argument(arguments, 1, "COUNT")?);
    let level = level(arguments.get(2).context("LEVEL is missing")?)?;
    let image = Plan::payload("sum64")?.moved_to(PLACES + place * 0x1_0000).load()?;
    io::stdin().read_to_end(&mut Vec::new())?;
    let mut waited = 0_u64;
    for turn in 1..=count {
        let call = loop {
            match image.device.call([turn, place, 0, 0, 0, 0], level) {
                Ok(call) => break call,
                Err(refusal) if is_suspending(&refusal) => waited += 1,
                Err(refusal) => return Err(refusal.into()),
            }
            thread::yield_now();
        };
        ensure!(call.value == turn + 2 * place + 1000 * turn, "turn {turn}: {call:x?}");
    }
    println!("place {place}: {count} calls, {waited} retries during other suspends");
    Ok(())
}

/// Another suspend is under way.
fn is_suspending(refusal: &Refusal) -> bool {
    let busy = u64::from(Errno::BUSY.raw_os_error().unsigned_abs());
    (refusal.diagnosis.reason, refusal.diagnosis.numbers[0]) == (reason::SUSPEND_FAILED, busy)
}

/// `several PROCESSES COUNT LEVEL...`: each calls its own image; each gets its own results.
pub(crate) fn several(arguments: &[String]) -> Result<()> {
    let (processes, count) = (argument(arguments, 0, "PROCESSES")?, argument(arguments, 1, "COUNT")?);
    let device = Device::open()?;
    let before = Before::now(&device)?;
    let levels = arguments[2..].iter().cycle();
    let children = (0..processes).zip(levels).map(|(place, level)| start_caller(place, count, level));
    let mut children = children.collect::<Result<Vec<_>>>()?;
    wait_until("all images are loaded", || Ok(device.info()?.images == processes))?;
    for child in &mut children {
        drop(child.stdin.take());
    }
    for child in &mut children {
        ensure!(child.wait()?.success(), "a process failed");
    }
    before.check(&device, 16 * processes)
}

fn wait_until(what: &str, mut done: impl FnMut() -> Result<bool>) -> Result<()> {
    let end = Instant::now() + Duration::from_secs(30);
    while !done()? {
        ensure!(Instant::now() < end, "not in 30 s: {what}");
        sleep(Duration::from_millis(5));
    }
    Ok(())
}

/// `spinning`: during a call, requests that would disturb it are refused, and all others work.
pub(crate) fn spinning(_: &[String]) -> Result<()> {
    let name: ImageName = "spinner".parse()?;
    let spinner = Plan::payload("await64")?.load()?;
    spinner.device.keep(&name)?;
    let attached = Device::open()?;
    attached.attach(&name)?;
    let other = Plan::payload("sum64")?.load()?;
    for device in [&spinner.device, &attached, &other.device] {
        device.set_no_wait()?;
    }
    let mut latch = Latch::new()?;
    let address = latch.address;
    // The CPU that runs the image handles no interrupts: stay off it.
    stay_on_cpu(0)?;
    let mut earlier = 0;
    let call = thread::scope(|scope| {
        let call = scope.spawn(|| {
            stay_on_cpu(1)?;
            loop {
                // The other image may be in a call at this moment.
                match spinner.device.call([address, u64::MAX, 0, 0, 0, 0], quiesce::NONE) {
                    Err(refusal) if refusal.diagnosis.reason == reason::UNDER_WAY => {}
                    result => break Ok(result?),
                }
            }
        });
        // No timer: it could belong to the CPU that runs the image.
        let checked = (|| {
            while other.device.call([0; 6], quiesce::NONE).is_ok() {
                earlier += 1;
                ensure!(!call.is_finished(), "the call ended too early");
            }
            meanwhile(&[&spinner.device, &attached], &other, spinner.load.control_page)?;
            ensure!(!call.is_finished(), "the call ended during the checks");
            Ok(())
        })();
        // Also after a failure: nothing else ends the call.
        latch.open();
        let call: Result<Call> = call.join().ok().context("the caller panicked")?;
        checked.and(call)
    })?;
    ensure!(call.value == 1, "{call:x?}");
    attached.unload()?;
    other.gives(1000 * (earlier + 1), &[], quiesce::NONE)?;
    println!("nothing disturbed the call");
    Ok(())
}

/// `latch FILE`: writes the address of a latch to the file, opens the latch when the file is
/// removed, and keeps it until it is killed.
pub(crate) fn latch(arguments: &[String]) -> Result<()> {
    let file = Path::new(arguments.first().context("FILE is missing")?);
    let mut latch = Latch::new()?;
    let whole = file.with_extension("new");
    fs::write(&whole, format!("{:#x}", latch.address))?;
    fs::rename(whole, file)?;
    while file.exists() {
        sleep(Duration::from_millis(5));
    }
    latch.open();
    thread::park();
    Ok(())
}

/// A byte of memory for which the image `await64` waits.
struct Latch {
    page: Box<[Page; 1]>,
    /// The physical address of the byte.
    address: u64,
}

impl Latch {
    fn new() -> Result<Self> {
        let page = Box::new([Page([0; 512])]);
        let frames = frames_of(&*page)?;
        let frame = frames.first().context("no frame")?;
        Ok(Self { page, address: frame.address().get() })
    }

    fn open(&mut self) {
        self.page[0].0[0] = 1;
        // The image reads it.
        std::hint::black_box(&mut self.page);
    }
}

fn meanwhile(spinners: &[&Device], other: &Image, address: u64) -> Result<()> {
    let mut byte = [0];
    for device in spinners {
        busy(device.call([1, 0, 0, 0, 0, 0], quiesce::NONE), 1)?;
    }
    let [own, attached] = spinners else { bail!("two files have the image") };
    busy(attached.read(address, &mut byte), 1)?;
    busy(attached.write(address, &byte), 1)?;
    busy(own.keep(&"another".parse()?), 1)?;
    refused(own.unload(), Errno::BUSY, reason::NONE)?;
    busy(other.device.call([0; 6], quiesce::NONE), 2)?;
    // Claiming pages would need an answer of every CPU.
    Plan::payload("sum32")?.unclaimed().load().context("a load meanwhile")?;
    ensure!(attached.images()?.len() == 2, "the images cannot be listed meanwhile");
    Ok(())
}

fn stay_on_cpu(cpu: usize) -> Result<()> {
    let mut only = rustix::thread::CpuSet::new();
    only.set(cpu);
    Ok(rustix::thread::sched_setaffinity(None, &only)?)
}

/// Expects a refusal because of a call in progress: 1 of this image, 2 of another.
fn busy<T: std::fmt::Debug>(result: Result<T, Refusal>, whose: u64) -> Result<()> {
    let refusal = refused(result, Errno::BUSY, reason::UNDER_WAY)?;
    ensure!(refusal.diagnosis.numbers[0] == whose, "{refusal:x?}");
    Ok(())
}

/// `kept`: a kept image outlives its file, is shared by all files attached to it, and is freed when
/// it has neither a name nor a file.
pub(crate) fn kept(_: &[String]) -> Result<()> {
    let (name, name2): (ImageName, ImageName) = ("one".parse()?, "two".parse()?);
    let watcher = Device::open()?;
    let before = Before::now(&watcher)?;
    let first = Plan::payload("sum64")?.load()?;
    first.gives(1000, &[], quiesce::AUTO)?;
    first.device.keep(&name)?;
    name_taken(first.device.keep(&name2), 1)?;
    let other = Plan::payload("sum32")?.load()?;
    name_taken(other.device.keep(&name), 2)?;
    refused(other.device.attach(&name), Errno::BUSY, reason::ALREADY_LOADED)?;
    other.device.unload()?;
    refused(other.device.call([0; 6], quiesce::AUTO), Errno::NOENT, reason::NOT_LOADED)?;
    refused(other.device.attach(&name2), Errno::NOENT, reason::NO_SUCH_IMAGE)?;
    other.device.attach(&name)?;
    other.gives(2000, &[], quiesce::AUTO)?;
    drop(first);
    other.gives(3000, &[], quiesce::AUTO)?;
    drop(other);
    let images = watcher.images()?;
    ensure!(images.len() == 1 && ImageName::from_words(images[0].name) == Some(name.clone()), "{images:x?}");
    ensure!(images[0].calls == 3 && images[0].loader == u64::from(std::process::id()), "{images:x?}");
    let (a, b) = (Device::open()?, Device::open()?);
    a.attach(&name)?;
    b.attach(&name)?;
    a.unload()?;
    refused(Device::open()?.attach(&name), Errno::NOENT, reason::NO_SUCH_IMAGE)?;
    ensure!(b.call([0; 6], quiesce::AUTO)?.value == 4000, "the image is gone although a file is attached");
    b.keep(&name2)?;
    b.unload()?;
    refused(b.unload(), Errno::NOENT, reason::NONE)?;
    before.check(&watcher, 64)?;
    println!("kept, shared, freed");
    Ok(())
}

/// Expects a refusal of a name: 1 because the image has one, 2 because another image has this one.
fn name_taken(result: Result<(), Refusal>, whose: u64) -> Result<()> {
    let refusal = refused(result, Errno::EXIST, reason::BAD_NAME)?;
    ensure!(refusal.diagnosis.numbers[0] == whose, "{refusal:x?}");
    Ok(())
}

/// `loading SECONDS`: loads and unloads images repeatedly.
pub(crate) fn loading(arguments: &[String]) -> Result<()> {
    let end = Instant::now() + Duration::from_secs(argument(arguments, 0, "SECONDS")?);
    let mut loads = 0;
    while Instant::now() < end {
        let plan = Plan::payload("window64-1")?;
        let plan = if loads % 2 == 0 { plan.unclaimed() } else { plan };
        ensure!(plan.load()?.load.pages == plan.pages(), "not all pages");
        loads += 1;
    }
    println!("{loads} loads");
    ensure!(loads > 0, "no load was done");
    Ok(())
}

/// `sleepless SECONDS`: calls an image repeatedly while another process suspends the system.
pub(crate) fn sleepless(arguments: &[String]) -> Result<()> {
    let end = Instant::now() + Duration::from_secs(argument(arguments, 0, "SECONDS")?);
    let image = Plan::payload("sum64")?.load()?;
    let (mut made, mut refusals) = (0, 0);
    for level in [quiesce::NONE, quiesce::STOP, quiesce::SUSPEND].into_iter().cycle() {
        if Instant::now() > end {
            break;
        }
        match image.device.call([5, 0, 0, 0, 0, 0], level) {
            Ok(call) => {
                made += 1;
                ensure!(call.value == 5 + 1000 * made, "{call:x?}");
            }
            Err(refusal) if is_suspending(&refusal) => refusals += 1,
            Err(refusal) => return Err(refusal.into()),
        }
    }
    println!("{made} calls, {refusals} refused because of a suspend");
    ensure!(made > 10, "too few calls");
    Ok(())
}

/// `storm SECONDS SEED`: processes that load, call and unload at all levels are killed at random
/// moments; the machine and the module keep working.
pub(crate) fn storm(arguments: &[String]) -> Result<()> {
    let end = Instant::now() + Duration::from_secs(argument(arguments, 0, "SECONDS")?);
    let mut numbers = Numbers(argument(arguments, 1, "SEED")?);
    let device = Device::open()?;
    let before = Before::now(&device)?;
    let (mut killed, mut children) = (0_u64, Vec::new());
    while Instant::now() < end {
        let level = ["none", "stop", "suspend", "auto"][(numbers.next() % 4) as usize];
        let place = killed + children.len() as u64;
        let mut child = start_caller(place % 64, u64::MAX / 2000, level)?;
        drop(child.stdin.take());
        children.push(child);
        sleep(Duration::from_millis(numbers.next() % 300));
        if children.len() > 3 {
            let mut victim = children.swap_remove((numbers.next() % children.len() as u64) as usize);
            victim.kill()?;
            victim.wait()?;
            killed += 1;
        }
    }
    for mut child in children {
        child.kill()?;
        child.wait()?;
        killed += 1;
    }
    println!("{killed} processes killed");
    before.check(&device, 4 * killed + 64)?;
    Plan::payload("sum64")?.load()?.gives(1000, &[], quiesce::NONE)?;
    let online = fs::read_to_string("/sys/devices/system/cpu/online")?;
    println!("CPUs online: {}", online.trim());
    Ok(())
}
