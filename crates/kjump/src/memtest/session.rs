//! The image that tests memory, and its calls.

use abi::Field;
use abi::device::{load_flag, mode, quiesce, status};
use abi::memtest::{
    BAD, BAD_COUNT, BAD_MAX, ENTRY, FLUSH, INJECT, LEFT_OUT, LEFT_OUT_COUNT, LEFT_OUT_MAX, MAGIC,
    MAGIC_NUMBER, MEMORY, PATTERNS, RANGE_COUNT, RANGES, RANGES_MAX, SEED, TESTED, TIMES, WRONG_COUNT,
    WRONGS, WRONGS_MAX, bad, pattern, verdict, wrong,
};
use anyhow::{Context, bail};
use machine::iomem::Resource;
use sys::Device;
use sys::device::{Destination, LoadRequest};

use super::args::MemtestArgs;
use super::ranges::{self, Span};
use crate::call::FaultReport;
use crate::device;
use crate::device::suspend_failure::Watch;

/// Most ranges of one block.
pub(super) const MOST_RANGES: usize = RANGES_MAX;

/// The image, loaded.
pub(super) struct Session {
    device: Device,
    at: u64,
    tsc_khz: u64,
}

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Pages.
    pub(super) tested: u64,
    /// Pages that the test itself used.
    pub(super) left_out: Vec<u64>,
    pub(super) wrong_count: u64,
    pub(super) wrongs: Vec<Wrong>,
    /// Pages with wrong words, those beyond the room for them too.
    pub(super) bad_count: u64,
    pub(super) bad: Vec<BadPage>,
    /// Seconds that each pattern took.
    pub(super) seconds: [f64; pattern::COUNT as usize],
    /// Calls, each with a suspend.
    pub(super) slices: u64,
    /// Longest time in an image, in seconds.
    pub(super) longest: f64,
    pub(super) complete: bool,
}

/// A wrong word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    pub(super) address: u64,
    pub(super) written: u64,
    pub(super) read: u64,
    pub(super) pattern: u64,
}

/// A page with wrong words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BadPage {
    pub(super) address: u64,
    /// The bits that were wrong in any of its words.
    pub(super) bits: u64,
}

impl Session {
    /// Loads the image apart from these spans, at an address that the kernel gives up: what was
    /// there before need not be exchanged then, and is tested like all other memory.
    pub(super) fn open(resources: &[Resource], apart: &[Span]) -> anyhow::Result<Self> {
        let device = device::open()?;
        let tsc_khz = device.info()?.tsc_khz;
        for at in ranges::places(resources, MEMORY as u64, apart) {
            let segments = [Destination { bytes: ::memtest::IMAGE, address: at, size: MEMORY as u64 }];
            let entry = at + ENTRY as u64;
            let flags = load_flag::CLAIM;
            let mode = mode::LONG;
            let request = LoadRequest { segments: &segments, vouched: &[], entry, mode, flags };
            let load = device
                .load(&request)
                .map_err(|refusal| device::refused(refusal, &["the image that tests memory".into()]))?;
            if load.in_use == 0 {
                return Ok(Self { device, at, tsc_khz });
            }
            device.unload()?;
        }
        bail!(
            "the kernel gives up none of the places for the image that tests memory ({MEMORY:#x} bytes); \
             free memory and try again"
        )
    }

    /// Writes a block that tests these spans.
    pub(super) fn prepare(&self, args: &MemtestArgs, spans: &[Span], pass: u64) -> anyhow::Result<()> {
        let mut block = vec![0; ENTRY];
        let budget = args.slice.saturating_mul(self.tsc_khz);
        for (field, value) in [
            (MAGIC, MAGIC_NUMBER),
            (RANGE_COUNT, spans.len() as u64),
            (abi::memtest::BUDGET, budget),
            (PATTERNS, (1 << pattern::COUNT) - 1),
            (SEED, pass.wrapping_mul(0x9e37_79b9_7f4a_7c15)),
            (FLUSH, u64::from(!args.no_flush)),
            (INJECT, args.inject.unwrap_or(0) & !7),
        ] {
            put(&mut block, field, value);
        }
        for (number, span) in spans.iter().enumerate() {
            put(&mut block, Field::at(RANGES + number * 16), span.first);
            put(&mut block, Field::at(RANGES + number * 16 + 8), span.end);
        }
        Ok(self.device.write(self.at, &block)?)
    }

    /// One call. Returns whether all is tested.
    pub(super) fn slice(&mut self, found: &mut Found) -> anyhow::Result<bool> {
        let watch = Watch::start();
        let call = self.device.call([0; 6], quiesce::SUSPEND).map_err(|refusal| watch.explain(refusal))?;
        if call.status != status::RETURNED {
            let report = FaultReport::new(&call.fault, mode::LONG);
            bail!("an exception ended the test; the page that it was in may be lost:\n{}", report.text());
        }
        let mut tested = [0; 8];
        self.device.read(self.at + TESTED.offset() as u64, &mut tested)?;
        found.tested += u64::from_le_bytes(tested);
        found.slices += 1;
        found.longest = found.longest.max(self.seconds(call.ticks.run));
        match call.value {
            verdict::DONE => Ok(true),
            verdict::MORE => Ok(false),
            verdict::TOO_MANY => bail!("the module's page tables have more than {LEFT_OUT_MAX} pages"),
            _ => bail!("the block of ranges is not valid; this is a bug in kjump"),
        }
    }

    /// Reads the results of all slices.
    pub(super) fn finish(&self, found: &mut Found, complete: bool) -> anyhow::Result<()> {
        let mut block = vec![0; ENTRY];
        self.device.read(self.at, &mut block)?;
        found.complete = complete;
        let left_out = get(&block, LEFT_OUT_COUNT)?;
        if left_out > LEFT_OUT_MAX as u64 {
            bail!("{left_out} pages were left out, and there is room for {LEFT_OUT_MAX}");
        }
        for number in 0..usize::try_from(left_out)? {
            found.left_out.push(get(&block, Field::at(LEFT_OUT + number * 8))?);
        }
        found.wrong_count = get(&block, WRONG_COUNT)?;
        for number in 0..usize::try_from(found.wrong_count)?.min(WRONGS_MAX) {
            let field =
                |field: Field<u64>| get(&block, Field::at(WRONGS + number * wrong::SIZE + field.offset()));
            found.wrongs.push(Wrong {
                address: field(wrong::ADDRESS)?,
                written: field(wrong::WRITTEN)?,
                read: field(wrong::READ)?,
                pattern: field(wrong::PATTERN)?,
            });
        }
        found.bad_count = get(&block, BAD_COUNT)?;
        for number in 0..usize::try_from(found.bad_count)?.min(BAD_MAX) {
            let field = |field: Field<u64>| get(&block, Field::at(BAD + number * bad::SIZE + field.offset()));
            found.bad.push(BadPage { address: field(bad::ADDRESS)?, bits: field(bad::BITS)? });
        }
        for (number, seconds) in found.seconds.iter_mut().enumerate() {
            *seconds = self.seconds(get(&block, Field::at(TIMES + number * 8))?);
        }
        Ok(())
    }

    #[expect(clippy::cast_precision_loss, reason = "a time for people")]
    fn seconds(&self, ticks: u64) -> f64 {
        if self.tsc_khz == 0 { 0.0 } else { ticks as f64 / self.tsc_khz as f64 / 1e3 }
    }
}

fn get(block: &[u8], field: Field<u64>) -> anyhow::Result<u64> {
    field.read(block).context("the image's block is too short; this is a bug in kjump")
}

/// The block is whole.
fn put(block: &mut [u8], field: Field<u64>, value: u64) {
    let is_inside = field.write(block, value);
    debug_assert!(is_inside);
}
