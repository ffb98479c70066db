//! An image over memory in use.

use std::fs;

use abi::device::{Load, mode};
use anyhow::{Context as _, Result, ensure};
use phys::{PAGE_SIZE, Pfn};
use sys::Device;
use sys::device::{Destination, LoadRequest};

use instruments::physical::Page;

/// Page 0 is code; the next pages are tables with the addresses of all others, which contain known
/// words.
pub(crate) struct Overlay {
    frames: Vec<Pfn>,
    pages: Vec<Vec<u8>>,
    /// The number of pages with code and tables.
    fixed: usize,
}

/// The number of addresses in a table.
const TABLE: usize = 511;

impl Overlay {
    /// An image over these frames, filled by a function of the page's number.
    pub(crate) fn new(frames: Vec<Pfn>, fill: impl Fn(u64) -> Page) -> Result<Self> {
        // Each table has the addresses of 511 pages, and is a page itself.
        let tables = frames.len().saturating_sub(1).div_ceil(TABLE + 1);
        let fixed = 1 + tables;
        ensure!(frames.len() > fixed, "{} pages are not enough for an image", frames.len());
        let mut pages = vec![code()?];
        let named: Vec<u64> = frames[fixed..].iter().map(|frame| frame.address().get()).collect();
        for (number, part) in named.chunks(TABLE).enumerate() {
            let next = (number + 1 < tables).then(|| frames[number + 2].address().get());
            let words = [next.unwrap_or(0)].into_iter().chain(part.iter().copied());
            pages.push(words.flat_map(u64::to_le_bytes).collect());
        }
        pages.extend((fixed..frames.len()).map(|number| bytes(&fill(number as u64))));
        Ok(Self { frames, pages, fixed })
    }

    /// Loads it with a segment for every page, and without claiming pages.
    pub(crate) fn load(&self, device: &Device) -> Result<Load> {
        let segment = |(frame, bytes): (&Pfn, _)| {
            let address = frame.address().get();
            Destination { bytes, address, size: PAGE_SIZE }
        };
        let pages = self.pages.iter().map(Vec::as_slice);
        let segments: Vec<Destination<'_>> = self.frames.iter().zip(pages).map(segment).collect();
        let entry = self.frames.first().context("no pages")?.address().get();
        let request = LoadRequest { segments: &segments, vouched: &[], entry, mode: mode::LONG, flags: 0 };
        Ok(device.load(&request)?)
    }

    /// Address of the first table.
    pub(crate) fn table(&self) -> u64 {
        self.frames[1].address().get()
    }

    /// The words in the pages that the tables name.
    pub(crate) fn words(&self) -> impl Iterator<Item = u64> {
        let pages = self.pages[self.fixed..].iter();
        pages.flat_map(|page| page.as_chunks().0).map(|word| u64::from_le_bytes(*word))
    }
}

/// A position-independent payload.
fn code() -> Result<Vec<u8>> {
    const PATH: &str = "/lib/kjump/payloads/pages64";
    let file = fs::read(PATH).context(PATH)?;
    let program = kernel_file::parse(&file).context(PATH)?;
    match program.segments.as_slice() {
        [code] if code.size == PAGE_SIZE && code.address == program.entry => Ok(code.bytes.to_vec()),
        _ => anyhow::bail!("{PATH} has more than a page of code"),
    }
}

fn bytes(page: &Page) -> Vec<u8> {
    page.0.iter().flat_map(|word| word.to_le_bytes()).collect()
}
