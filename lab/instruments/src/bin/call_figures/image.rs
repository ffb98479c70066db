use std::fs;

use abi::device::{Call, Load, status};
use anyhow::{Context as _, Result, ensure};
use sys::Device;
use sys::device::{Destination, LoadRequest};

/// A loaded payload.
pub(crate) struct Image {
    pub(crate) device: Device,
    pub(crate) load: Load,
    /// Ticks of the time stamp counter per second.
    frequency: f64,
    /// One of [`abi::control::mover`].
    pub(crate) mover: u64,
}

impl Image {
    /// Loads a payload with these [`abi::device::load_flag`]s.
    pub(crate) fn load(payload: &str, flags: u64) -> Result<Self> {
        let path = format!("/lib/kjump/payloads/{payload}");
        let file = fs::read(&path).context(path)?;
        let program = kernel_file::parse(&file)?;
        let segments: Vec<Destination<'_>> = program
            .segments
            .iter()
            .map(|part| Destination { bytes: &part.bytes, address: part.address, size: part.size })
            .collect();
        let (entry, mode) = (program.entry, program.mode.number());
        let request = LoadRequest { segments: &segments, vouched: &[], entry, mode, flags };
        let device = Device::open()?;
        let load = device.load(&request)?;
        let info = device.info()?;
        let khz = u32::try_from(info.tsc_khz)?;
        ensure!(khz != 0, "the kernel does not know the rate of the time stamp counter");
        Ok(Self { device, load, frequency: f64::from(khz) * 1e3, mover: info.mover })
    }

    /// Calls it at a level of [`abi::device::quiesce`], and expects it to return.
    pub(crate) fn call(&self, arguments: [u64; 6], quiesce: u64) -> Result<Call> {
        let call = self.device.call(arguments, quiesce)?;
        ensure!(call.status == status::RETURNED, "the image ended in exception {}", call.fault.vector);
        Ok(call)
    }

    /// Converts ticks to seconds.
    #[expect(clippy::cast_precision_loss, reason = "53 bits of ticks are months")]
    pub(crate) fn seconds(&self, ticks: u64) -> f64 {
        ticks as f64 / self.frequency
    }
}
