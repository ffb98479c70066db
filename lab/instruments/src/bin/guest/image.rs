//! Images to load, and checks of their calls.

use std::fmt::Debug;
use std::path::Path;

use abi::device::{Call, Load, Range, load_flag, quiesce, status};
use anyhow::{Context as _, Result, bail, ensure};
use kernel_file::{Mode, Program};
use sys::device::{Destination, LoadRequest};
use sys::{Device, Refusal};

/// The directory of the payloads.
const PAYLOADS: &str = "/lib/kjump/payloads";

/// A load: segments of (physical address, size, first bytes), entry point, mode and flags.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) segments: Vec<(u64, u64, Vec<u8>)>,
    pub(crate) vouched: Vec<Range>,
    pub(crate) entry: u64,
    pub(crate) mode: u64,
    pub(crate) flags: u64,
}

impl Plan {
    /// A payload, with its pages claimed.
    pub(crate) fn payload(name: &str) -> Result<Self> {
        let path = Path::new(PAYLOADS).join(name);
        let file = std::fs::read(&path).with_context(|| path.display().to_string())?;
        Ok(Self::program(&kernel_file::parse(&file)?))
    }

    /// Machine code at the start of a page, with the page claimed.
    pub(crate) fn code(code: &[u8], address: u64, mode: Mode) -> Result<Self> {
        Ok(Self::program(&kernel_file::flat::parse(code, address, mode)?))
    }

    fn program(program: &Program<'_>) -> Self {
        let segments = &program.segments;
        Self {
            segments: segments.iter().map(|part| (part.address, part.size, part.bytes.to_vec())).collect(),
            vouched: Vec::new(),
            entry: program.entry,
            mode: program.mode.number(),
            flags: load_flag::CLAIM,
        }
    }

    /// The same without claiming pages.
    pub(crate) fn unclaimed(mut self) -> Self {
        self.flags &= !load_flag::CLAIM;
        self
    }

    /// The same at another address, for position-independent code.
    pub(crate) fn moved_to(mut self, address: u64) -> Self {
        let from = self.segments.first().map_or(0, |(first, _, _)| *first);
        for (place, _, _) in &mut self.segments {
            *place = *place - from + address;
        }
        self.entry = self.entry - from + address;
        self
    }

    /// The same with one more segment, of zeros.
    pub(crate) fn with(mut self, address: u64, size: u64) -> Self {
        self.segments.push((address, size, Vec::new()));
        self
    }

    /// The same with a vouched range outside System RAM.
    pub(crate) fn vouching(mut self, start: u64, end: u64) -> Self {
        self.vouched.push(Range { start, end });
        self
    }

    pub(crate) fn pages(&self) -> u64 {
        self.segments.iter().map(|(_, size, _)| size / 4096).sum()
    }

    pub(crate) fn end(&self) -> u64 {
        self.segments.iter().map(|(address, size, _)| address + size).max().unwrap_or(0)
    }

    /// Opens the device and loads it.
    pub(crate) fn load(&self) -> Result<Image> {
        let device = Device::open()?;
        let load = self.load_into(&device)?;
        Ok(Image { device, load })
    }

    /// Loads it into this open file.
    pub(crate) fn load_into(&self, device: &Device) -> Result<Load, Refusal> {
        let segments: Vec<_> = self
            .segments
            .iter()
            .map(|(address, size, bytes)| Destination { bytes, address: *address, size: *size })
            .collect();
        device.load(&LoadRequest {
            segments: &segments,
            vouched: &self.vouched,
            entry: self.entry,
            mode: self.mode,
            flags: self.flags,
        })
    }
}

/// A loaded image.
pub(crate) struct Image {
    pub(crate) device: Device,
    pub(crate) load: Load,
}

impl Image {
    /// Calls it, and expects it to return.
    pub(crate) fn call(&self, arguments: &[u64], level: u64) -> Result<Call> {
        let mut six = [0; 6];
        for (place, argument) in six.iter_mut().zip(arguments) {
            *place = *argument;
        }
        let call = self.device.call(six, level)?;
        ensure!(call.status == status::RETURNED, "the image did not return: {call:x?}");
        Ok(call)
    }

    /// Calls it, and expects this value.
    pub(crate) fn gives(&self, value: u64, arguments: &[u64], level: u64) -> Result<()> {
        let call = self.call(arguments, level)?;
        ensure!(call.value == value, "returned {:#x} for {arguments:x?}, not {value:#x}", call.value);
        Ok(())
    }
}

/// A quiesce level by its name.
pub(crate) fn level(name: &str) -> Result<u64> {
    Ok(match name {
        "auto" => quiesce::AUTO,
        "none" => quiesce::NONE,
        "stop" => quiesce::STOP,
        "suspend" => quiesce::SUSPEND,
        other => bail!("no quiesce level {other}"),
    })
}

/// Expects a refusal with this errno and reason.
pub(crate) fn refused<T: Debug>(
    result: Result<T, Refusal>,
    errno: rustix::io::Errno,
    reason: u64,
) -> Result<Refusal> {
    let refusal = match result {
        Ok(answer) => bail!("not refused: {answer:x?}"),
        Err(refusal) => refusal,
    };
    let right = refusal.errno == errno.raw_os_error() && refusal.diagnosis.reason == reason;
    ensure!(right, "errno {errno:?} and reason {reason} were expected: {refusal:x?}");
    Ok(refusal)
}
