//! The number of free page frames.

use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use sys::Device;

/// Free page frames, in the zones and in the lists of each CPU.
pub(crate) fn free_frames() -> Result<u64> {
    let text = fs::read_to_string("/proc/zoneinfo")?;
    let count = |line: &str| {
        let line = line.trim_start();
        let number = line.strip_prefix("pages free ").or_else(|| line.strip_prefix("count: "));
        number.and_then(|number| number.trim().parse::<u64>().ok())
    };
    Ok(text.lines().filter_map(count).sum())
}

/// The frames that were free and those that the module held, before a test that must not change
/// them.
pub(crate) struct Before {
    frames: u64,
    images: u64,
    held: u64,
}

/// The kernel frees some memory with a delay.
const PATIENCE: Duration = Duration::from_secs(3);

impl Before {
    pub(crate) fn now(device: &Device) -> Result<Self> {
        let info = device.info()?;
        Ok(Self { frames: free_frames()?, images: info.images, held: info.frames })
    }

    /// Checks that the module holds the same frames, and that at most `tolerance` free frames are
    /// missing.
    pub(crate) fn check(&self, device: &Device, tolerance: u64) -> Result<()> {
        let info = device.info()?;
        let held = (info.images, info.frames);
        ensure!(
            held == (self.images, self.held),
            "images and frames: {held:?}, before {:?}",
            (self.images, self.held)
        );
        let end = Instant::now() + PATIENCE;
        let mut free = free_frames()?;
        while free + tolerance < self.frames && Instant::now() < end {
            sleep(Duration::from_millis(50));
            free = free_frames()?;
        }
        let missing = self.frames.saturating_sub(free);
        ensure!(missing <= tolerance, "{missing} frames are missing of {} that were free", self.frames);
        println!(
            "{missing} frames of {} are missing, {} more than before; at most {tolerance} are allowed",
            self.frames,
            free.saturating_sub(self.frames)
        );
        Ok(())
    }
}
