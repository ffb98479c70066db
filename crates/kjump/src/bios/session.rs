//! The image loaded, and calls made through it.

use std::path::Path;

use abi::bios::{
    BUFFER, BUFFER_ROOM, EBDA_AFTER, EBDA_BEFORE, EBDA_ROOM, ENTRY, MEMORY, PAGE_0_AFTER, PAGE_0_BEFORE,
};
use abi::device::{Range, load_flag, mode, quiesce, status};
use anyhow::{Context, anyhow, bail};
use firmware::block::{self, Results};
use firmware::need::{self, Facts, Level};
use firmware::{Call, Registers, edd};
use machine::{Machine, bios as facts};
use sys::Device;
use sys::device::{Destination, LoadRequest};

use super::place;
use crate::call::FaultReport;
use crate::call::args::Quiesce;
use crate::device;
use crate::device::suspend_failure::Watch;

/// The image, loaded and ready.
pub(crate) struct Session {
    device: Device,
    at: u64,
    pub(crate) machine: Machine,
    pub(crate) facts: Facts,
    pub(crate) tsc_khz: u64,
    allow_writes: bool,
}

/// What came back.
pub(crate) struct Answer {
    pub(crate) results: Results,
    pub(crate) buffer: Vec<u8>,
    /// One of [`quiesce`].
    pub(crate) level: u64,
    /// Ticks of the time stamp counter of the whole call.
    pub(crate) ticks: u64,
}

/// What the image keeps of low memory.
pub(crate) struct LowMemory {
    pub(crate) page_0: Vec<u8>,
    /// The first bytes of the extended BIOS data area, 0 beyond its end.
    pub(crate) extended: Vec<u8>,
}

impl Session {
    /// Checks the machine, and loads the image where the kernel gives up memory for it.
    pub(crate) fn open(allow_writes: bool) -> anyhow::Result<Self> {
        let machine = Machine::probe(Path::new("/"));
        let facts = facts::facts(Path::new("/"), &machine);
        // What concerns the machine as a whole is reported before anything is loaded.
        need::check(&facts, &[], Level::Suspend, allow_writes)?;
        let device = device::open()?;
        let tsc_khz = device.info()?.tsc_khz;
        // Interrupts of the 8259s are wired to the first CPU.
        sys::system::run_on_first_cpu().context("the BIOS must run on CPU 0")?;
        let at = load(&device, &machine, &facts)?;
        Ok(Self { device, at, machine, facts, tsc_khz, allow_writes })
    }

    /// Makes calls with this buffer, of which as many bytes come back. At the level `auto` that is
    /// the highest that one of them needs.
    pub(crate) fn call(&self, calls: &[Call], buffer: &[u8], wish: Quiesce) -> anyhow::Result<Answer> {
        let level = level(calls, wish);
        need::check(&self.facts_for(calls)?, calls, level, self.allow_writes)?;
        if buffer.len() > BUFFER_ROOM {
            bail!("a buffer of {} bytes, and there is room for {BUFFER_ROOM}", buffer.len());
        }
        let setup = need::setup(&self.facts, calls).at(level);
        let length = u32::try_from(buffer.len()).unwrap_or(0);
        self.device.write(self.at, &block::render(&setup, calls, length))?;
        self.device.write(self.at + BUFFER as u64, buffer)?;
        self.enter(level, buffer.len())
    }

    /// The facts, with the controllers of the disks that the calls drive, which the BIOS is asked
    /// for.
    fn facts_for(&self, calls: &[Call]) -> anyhow::Result<Facts> {
        let mut paths = Vec::new();
        for disk in need::disks(calls) {
            let registers = Registers { eax: 0x4800, edx: disk.into(), ..Registers::default() };
            let mut buffer = vec![0; 128];
            buffer[..2].copy_from_slice(&edd::SIZE.to_le_bytes());
            let call = Call::interrupt(0x13, registers);
            let answer = self.call(&[call], &buffer, Quiesce::None)?;
            let failed = answer.results.calls.first().is_none_or(|call| call.registers.carry());
            let drive = edd::drive(&answer.buffer).filter(|_| !failed);
            paths.push((disk, drive.and_then(|drive| drive.pci)));
        }
        Ok(self.facts.with_disks(&paths))
    }

    /// Makes the same calls once more: the block's arguments are as they were.
    pub(crate) fn again(&self, calls: &[Call], buffer: &[u8], wish: Quiesce) -> anyhow::Result<Answer> {
        self.device.write(self.at + BUFFER as u64, buffer)?;
        self.enter(level(calls, wish), buffer.len())
    }

    /// Low memory as it was before the last calls, and as they left it.
    pub(crate) fn low_memory(&self) -> anyhow::Result<[LowMemory; 2]> {
        let part = |offset: usize, bytes: usize| {
            let mut part = vec![0; bytes];
            self.device.read(self.at + offset as u64, &mut part)?;
            anyhow::Ok(part)
        };
        let both = |page_0, extended| {
            anyhow::Ok(LowMemory { page_0: part(page_0, 0x1000)?, extended: part(extended, EBDA_ROOM)? })
        };
        Ok([both(PAGE_0_BEFORE, EBDA_BEFORE)?, both(PAGE_0_AFTER, EBDA_AFTER)?])
    }

    fn enter(&self, level: Level, length: usize) -> anyhow::Result<Answer> {
        let call = enter(&self.device, level)?;
        let mut bytes = vec![0; ENTRY];
        self.device.read(self.at, &mut bytes)?;
        let mut buffer = vec![0; length];
        self.device.read(self.at + BUFFER as u64, &mut buffer)?;
        let results = Results::read(&bytes).context("the image left no results; this is a bug in kjump")?;
        let ticks = call.ticks;
        let ticks = ticks.quiesce + ticks.enter + ticks.run + ticks.leave + ticks.resume;
        Ok(Answer { results, buffer, level: call.quiesced, ticks })
    }
}

/// Calls the image.
pub(super) fn enter(device: &Device, level: Level) -> anyhow::Result<abi::device::Call> {
    let watch = Watch::start();
    let number = match level {
        Level::None => quiesce::NONE,
        Level::Stop => quiesce::STOP,
        Level::Suspend => quiesce::SUSPEND,
    };
    let call = device.call([0; 6], number).map_err(|refusal| watch.explain(refusal))?;
    if call.status != status::RETURNED {
        let fault = FaultReport::new(&call.fault, mode::LONG);
        bail!("an exception outside of real mode, which is a bug in kjump:\n{}", fault.text());
    }
    Ok(call)
}

impl Answer {
    /// An error if the calls did not come to their end.
    pub(crate) fn finished(self) -> anyhow::Result<Self> {
        let place = self.results.calls.last().map_or(0, |call| call.place);
        match block::explain(self.results.why, place) {
            Some(why) => Err(anyhow!("call {}: {why}", self.results.done)),
            None => Ok(self),
        }
    }
}

fn level(calls: &[Call], wish: Quiesce) -> Level {
    match wish {
        Quiesce::Auto => calls.iter().map(need::level).max().unwrap_or_default(),
        Quiesce::None => Level::None,
        Quiesce::Stop => Level::Stop,
        Quiesce::Suspend => Level::Suspend,
    }
}

/// Loads the image at the first candidate that the kernel gives up, or else where memory is in use,
/// so that calls need a suspend. Returns its address.
fn load(device: &Device, machine: &Machine, facts: &Facts) -> anyhow::Result<u64> {
    let memory = machine.memory.as_ref().map_err(|error| anyhow!("{error}"))?;
    if memory.is_hidden() {
        bail!("the kernel shows no addresses in /proc/iomem; run as root, with CAP_SYS_ADMIN");
    }
    let vouched = registers(machine, facts);
    let places = place::candidates(memory.resources(), MEMORY as u64);
    let mut in_use = None;
    for &at in &places {
        let segments = [Destination { bytes: ::bios::IMAGE, address: at, size: MEMORY as u64 }];
        let request = LoadRequest {
            segments: &segments,
            vouched: &vouched,
            entry: at + ENTRY as u64,
            mode: mode::LONG,
            flags: load_flag::CLAIM,
        };
        let load = device
            .load(&request)
            .map_err(|refusal| device::refused(refusal, &["the image that calls the BIOS".into()]))?;
        if load.in_use == 0 || Some(&at) == places.last() {
            return Ok(at);
        }
        in_use = Some(at);
        device.unload()?;
    }
    match in_use {
        Some(at) => bail!("no room for the image at {at:#x}"),
        None => bail!(
            "no System RAM below 4 GiB has room for the image, {MEMORY:#x} bytes at a multiple of 2 MiB"
        ),
    }
}

/// The pages of the devices that the image uses: they are not memory, and are mapped for it.
pub(super) fn registers(machine: &Machine, facts: &Facts) -> Vec<Range> {
    const PAGE: u64 = 0x1000;
    let mut pages: Vec<u64> = [facts::local_apic(machine), facts.hpet, facts.io_apic]
        .into_iter()
        .filter(|&address| address != 0)
        .map(|address| address & !(PAGE - 1))
        .collect();
    pages.sort_unstable();
    pages.dedup();
    pages.into_iter().map(|start| Range { start, end: start + PAGE }).collect()
}
