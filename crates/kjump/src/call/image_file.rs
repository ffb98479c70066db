//! A file that is loaded as an image.

use std::path::{Path, PathBuf};

use abi::device::Load;
use anyhow::Context;
use kernel_file::{Program, Segment};
use sys::Device;
use sys::device::{Destination, LoadRequest};

use crate::call::placing::Placing;
use crate::device;
use crate::input::{self, Name};
use crate::terminal::progress::Progress;
use crate::terminal::quantity;

/// The bytes of a file, and how it is placed.
#[derive(Debug)]
pub(crate) struct ImageFile {
    pub(crate) path: PathBuf,
    bytes: Vec<u8>,
    pub(crate) placing: Placing,
}

impl ImageFile {
    pub(crate) fn read(path: &Path, placing: Placing) -> anyhow::Result<Self> {
        let bytes = input::read_any(path, u64::MAX).with_context(|| Name(path).to_string())?;
        Ok(Self { path: path.into(), bytes, placing })
    }

    /// The program in the file, placed.
    pub(crate) fn program(&self) -> anyhow::Result<Program<'_>> {
        self.placing.program(&self.bytes).with_context(|| Name(&self.path).to_string())
    }

    /// Loads a program that [`program`](Self::program) returned.
    pub(crate) fn load(&self, program: &Program<'_>, device: &Device) -> anyhow::Result<Load> {
        let segments: Vec<Destination<'_>> = program.segments.iter().map(destination).collect();
        let request = LoadRequest {
            segments: &segments,
            vouched: &self.placing.vouched,
            entry: program.entry,
            mode: program.mode.number(),
            flags: self.placing.flags(),
        };
        let size = segments.iter().fold(0_u64, |sum, segment| sum.saturating_add(segment.size));
        let name = format!("loading {} ({})", Name(&self.path), quantity::bytes(size));
        let _progress = Progress::start(name, 1);
        device.load(&request).map_err(|refusal| {
            let names: Vec<String> = program.segments.iter().map(|segment| segment.name.clone()).collect();
            device::refused(refusal, &names).context(Name(&self.path).to_string())
        })
    }
}

fn destination<'a>(segment: &'a Segment<'_>) -> Destination<'a> {
    Destination { bytes: &segment.bytes, address: segment.address, size: segment.size }
}
