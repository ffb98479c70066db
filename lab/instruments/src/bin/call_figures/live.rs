//! Fills a range of physical memory with pages in use.

use std::fs;

use anyhow::{Context as _, Result};
use phys::PhysRange;

use instruments::physical::{Page, frames_of};

/// A huge page, which the kernel allocates in one piece if it can.
#[repr(C, align(0x20_0000))]
struct Chunk([Page; 512]);

/// The memory in a range that a program could allocate.
pub(crate) struct Live {
    _chunks: Vec<Vec<Chunk>>,
}

impl Live {
    /// Allocates nearly all free memory, and frees the part outside the range.
    pub(crate) fn fill(range: PhysRange) -> Result<Self> {
        const LEFT_KIBIBYTES: u64 = 64 << 10;
        let mut chunks = Vec::new();
        while free_kibibytes()? > LEFT_KIBIBYTES {
            chunks.push(vec![Chunk([Page([!0; 512]); 512])]);
        }
        let mut inside = Vec::new();
        for chunk in chunks {
            let frames = chunk.iter().map(|Chunk(pages)| frames_of(pages)).collect::<Result<Vec<_>>>()?;
            if frames.concat().iter().any(|&frame| range.contains(frame)) {
                inside.push(chunk);
            }
        }
        Ok(Self { _chunks: inside })
    }
}

fn free_kibibytes() -> Result<u64> {
    const PATH: &str = "/proc/meminfo";
    let text = fs::read_to_string(PATH).context(PATH)?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemFree:")?.strip_suffix("kB"));
    Ok(line.context("/proc/meminfo has no MemFree")?.trim().parse()?)
}
