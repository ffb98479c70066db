//! The manifest: which page frames each block holds, and where it is.
//!
//! ```text
//! number of runs of pages of zeros, runs
//! for each block: offset (u64), bytes stored (u32), codec (u16), number of runs (u16), tag, runs
//! ```
//!
//! A run is a u64: the first frame's number, shifted by 16 bits, and the number of frames.

use phys::FRAME_END;
use vmcore::FrameSet;

use crate::block::{BLOCK_PAGES, Codec};
use crate::cipher::TAG;
use crate::field::Reader;
use crate::header::Header;
use crate::{Error, PAGE, Result};

/// Consecutive page frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// Number of the first one.
    pub first: u64,
    /// How many there are: at least one.
    pub count: u64,
}

/// A block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Where its pages belong, in their order.
    pub runs: Vec<Run>,
    pub(crate) offset: u64,
    pub(crate) stored: u32,
    pub(crate) codec: Codec,
    pub(crate) tag: [u8; TAG],
}

/// All blocks, and the pages of zeros.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Manifest {
    pub(crate) zeros: Vec<Run>,
    pub(crate) blocks: Vec<Block>,
}

/// Where blocks start.
pub(crate) const PAYLOAD: u64 = 1 << 20;
/// Most frames of a run.
const MOST: u64 = u16::MAX as u64;

impl Run {
    fn pack(self) -> [u8; 8] {
        (self.first << 16 | self.count).to_le_bytes()
    }

    fn unpack(number: u64) -> Option<Self> {
        let run = Self { first: number >> 16, count: number & MOST };
        (run.count > 0 && run.first.checked_add(run.count)? <= FRAME_END).then_some(run)
    }

    fn parse(reader: &mut Reader<'_>) -> Option<Self> {
        Self::unpack(reader.u64()?)
    }
}

/// Runs of rising frames.
pub(crate) fn runs_of(frames: impl IntoIterator<Item = u64>) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for first in frames {
        match runs.last_mut() {
            Some(run) if run.first + run.count == first && run.count < MOST => run.count += 1,
            _ => runs.push(Run { first, count: 1 }),
        }
    }
    runs
}

impl Block {
    /// Number of its pages.
    #[must_use]
    pub fn pages(&self) -> u64 {
        self.runs.iter().map(|run| run.count).sum()
    }

    /// Bytes on the disk.
    pub(crate) fn room(&self) -> u64 {
        u64::from(self.stored).next_multiple_of(PAGE as u64)
    }
}

impl Manifest {
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend((self.zeros.len() as u64).to_le_bytes());
        bytes.extend(self.zeros.iter().flat_map(|run| run.pack()));
        for block in &self.blocks {
            bytes.extend(block.offset.to_le_bytes());
            bytes.extend(block.stored.to_le_bytes());
            bytes.extend(block.codec.number().to_le_bytes());
            bytes.extend(u16::try_from(block.runs.len()).unwrap_or(u16::MAX).to_le_bytes());
            bytes.extend(block.tag);
            bytes.extend(block.runs.iter().flat_map(|run| run.pack()));
        }
        bytes
    }

    /// Reads the manifest of an image whose file has `length` bytes.
    pub(crate) fn parse(bytes: &[u8], header: &Header, length: u64) -> Result<Self> {
        let bad = |block, why| Error::BadManifest { block, why };
        let mut reader = Reader(bytes);
        let mut frames = Frames::default();
        let count = reader.u64().ok_or(bad(0, "it is cut short"))?;
        // A run has 8 bytes.
        if count > bytes.len() as u64 / 8 {
            return Err(bad(0, "there are more runs of zeros than bytes"));
        }
        let mut manifest = Self::default();
        for _ in 0..count {
            let run = Run::parse(&mut reader).ok_or(bad(0, "a run of zeros is not valid"))?;
            frames.add(run).ok_or(bad(0, "a page is there twice"))?;
            manifest.zeros.push(run);
        }
        if frames.count != header.zero_pages {
            return Err(bad(0, "the header counts other pages of zeros"));
        }
        while !reader.0.is_empty() {
            let number = manifest.blocks.len() as u64;
            let block = parse_block(&mut reader, &mut frames, length).map_err(|why| bad(number, why))?;
            manifest.blocks.push(block);
        }
        let blocks = manifest.blocks.len() as u64;
        if blocks != header.blocks || frames.count != header.pages {
            return Err(bad(blocks, "the header counts other blocks or pages"));
        }
        manifest.check_places(header)?;
        Ok(manifest)
    }

    /// No two blocks share a place, and none is where the manifest is.
    fn check_places(&self, header: &Header) -> Result<()> {
        let room = header.manifest.bytes.next_multiple_of(PAGE as u64);
        let own = (header.manifest.offset, header.manifest.offset.saturating_add(room), u64::MAX);
        let blocks = self.blocks.iter().zip(0..);
        let mut places: Vec<_> = blocks
            .map(|(block, number)| (block.offset, block.offset + block.room(), number))
            .chain([own])
            .collect();
        places.sort_unstable();
        match places.windows(2).find(|pair| pair[1].0 < pair[0].1) {
            Some(pair) => {
                Err(Error::BadManifest { block: pair[0].2.min(pair[1].2), why: "its place is taken twice" })
            }
            None => Ok(()),
        }
    }
}

fn parse_block(
    reader: &mut Reader<'_>,
    frames: &mut Frames,
    length: u64,
) -> std::result::Result<Block, &'static str> {
    const CUT: &str = "it is cut short";
    let offset = reader.u64().ok_or(CUT)?;
    let stored = reader.u32().ok_or(CUT)?;
    let codec = reader.u16().ok_or(CUT)?;
    let count = reader.u16().ok_or(CUT)?;
    let tag = reader.array().ok_or(CUT)?;
    let codec = Codec::of(codec).ok_or("its codec is unknown")?;
    let mut runs = Vec::new();
    let mut pages = 0;
    for _ in 0..count {
        let run = Run::parse(reader).ok_or("a run of its pages is not valid")?;
        frames.add(run).ok_or("a page is there twice")?;
        pages += run.count;
        runs.push(run);
    }
    if pages == 0 || pages > BLOCK_PAGES as u64 {
        return Err("its number of pages is not from 1 to 256");
    }
    if stored == 0 || u64::from(stored) > pages * PAGE as u64 {
        return Err("it has no bytes, or more than its pages");
    }
    let block = Block { runs, offset, stored, codec, tag };
    let end = offset.checked_add(block.room());
    if offset < PAYLOAD || !offset.is_multiple_of(PAGE as u64) || end.is_none_or(|end| end > length) {
        return Err("its place is not in the file");
    }
    Ok(block)
}

/// The frames seen so far.
#[derive(Default)]
struct Frames {
    set: FrameSet,
    count: u64,
}

impl Frames {
    /// `None` if one of them has been seen.
    fn add(&mut self, run: Run) -> Option<()> {
        let end = run.first + run.count;
        if self.set.next(run.first).is_some_and(|seen| seen.number() < end) {
            return None;
        }
        self.set.insert(run.first, end);
        self.count += run.count;
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_are_one_run() {
        let run = |first, count| Run { first, count };
        assert_eq!(runs_of([1, 2, 3, 5, 7, 8]), [run(1, 3), run(5, 1), run(7, 2)]);
        assert_eq!(runs_of(0..70_000), [run(0, 65_535), run(65_535, 4_465)]);
        assert_eq!(
            Run::unpack(u64::from_le_bytes(run(FRAME_END - 1, 1).pack())),
            Some(run(FRAME_END - 1, 1))
        );
        assert_eq!(Run::unpack(u64::from_le_bytes(run(FRAME_END, 1).pack())), None);
        assert_eq!(Run::unpack(1 << 16), None);
    }
}
