//! `kjump map`: physical memory as a picture, in the terminal or as SVG.

mod displaced;
mod strips;
mod svg;
mod text;

use std::path::Path;

use abi::device::{ImageInfo, Range};
use anyhow::{Context, anyhow};
use machine::Machine;
use sys::{Device, ImageName};

use crate::call::kept;
use crate::device;
use crate::inspect::args::MapArgs;
use crate::terminal::Terminal;
use crate::terminal::report::{self, Outcome};

use displaced::Displaced;
use strips::{Strip, strips};

pub(crate) fn run(args: MapArgs) -> anyhow::Result<Outcome> {
    let machine = Machine::probe(Path::new("/"));
    let memory = machine.visible_memory().map_err(|error| anyhow!("{error}"))?;
    let images = device::open_if_loaded()?.map_or_else(|| Ok(Vec::new()), |device| placed_images(&device))?;
    let picture = Picture::new(memory, images, machine.release.as_ref().ok().cloned());
    match args.svg {
        Some(path) => {
            std::fs::write(&path, svg::draw(&picture)).with_context(|| path.display().to_string())?;
        }
        None => report::print(&text::draw(&picture, Terminal::of_stdout()))?,
    }
    Ok(Outcome::Done)
}

/// The images with their destinations.
fn placed_images(device: &Device) -> anyhow::Result<Vec<PlacedImage>> {
    let mut placed = Vec::new();
    for image in device.images()? {
        let places = || Ok((device.ranges(image.id)?, Displaced::of(&device.slots(image.id)?)));
        match places() {
            Ok((ranges, displaced)) => placed.push(PlacedImage { image, ranges, displaced }),
            // It was unloaded a moment ago.
            Err(refusal) if kept::is_missing(&refusal) => {}
            Err(refusal) => return Err(refusal.into()),
        }
    }
    Ok(placed)
}

/// An image and its destinations.
#[derive(Clone, Debug)]
struct PlacedImage {
    image: ImageInfo,
    ranges: Vec<Range>,
    displaced: Displaced,
}

impl PlacedImage {
    /// Its name, or else its number.
    fn title(&self) -> String {
        match ImageName::from_words(self.image.name) {
            Some(name) => name.to_string(),
            None => format!("image {}", self.image.id),
        }
    }
}

/// The picture of memory with an image that is to be loaded, for the terminal.
pub(crate) fn with_load(
    machine: &Machine,
    name: &str,
    ranges: Vec<Range>,
    terminal: Terminal,
) -> Option<String> {
    let memory = machine.visible_memory().ok()?;
    let words = name.parse::<ImageName>().ok()?.words();
    let pages = ranges.iter().map(|range| (range.end - range.start) / abi::page_list::PAGE_SIZE).sum();
    let image = ImageInfo { name: words, pages, mode: 64, ..ImageInfo::default() };
    let picture =
        Picture::new(memory, vec![PlacedImage { image, ranges, displaced: Displaced::default() }], None);
    Some(text::strips_of(&picture, terminal))
}

/// The contents of a picture.
#[derive(Clone, Debug)]
struct Picture {
    strips: Vec<Strip>,
    images: Vec<PlacedImage>,
    /// Bytes of System RAM.
    ram: u64,
    release: Option<String>,
}

impl Picture {
    fn new(memory: &machine::iomem::MemoryMap, images: Vec<PlacedImage>, release: Option<String>) -> Self {
        let ram = memory.resources().iter().filter(|resource| resource.is_system_ram());
        let ram = ram.fold(0_u64, |sum, ram| sum.saturating_add(ram.size()));
        let destinations: Vec<&[Range]> = images.iter().map(|image| image.ranges.as_slice()).collect();
        Self { strips: strips(memory.resources(), &destinations), ram, images, release }
    }

    /// The logarithm of a size, which lengths are drawn by: the number of times that a page is
    /// doubled.
    fn doublings(size: u64) -> u32 {
        (size / abi::page_list::PAGE_SIZE).max(1).ilog2()
    }

    /// The number of hexadecimal digits of the longest address.
    fn digits(&self) -> usize {
        let last = self.strips.last().map_or(0, |strip| strip.last);
        format!("{last:x}").len().max(8)
    }
}

#[cfg(test)]
mod examples {
    //! Pictures that several tests draw.

    use super::*;

    fn range(start: u64, end: u64) -> Range {
        Range { start, end }
    }

    /// The cloud machine of the test data with three images.
    pub(super) fn cloud() -> Picture {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/machines/debian-6.1-cloud");
        let machine = Machine::probe(&root);
        let counter = ImageInfo {
            id: 1,
            name: "counter".parse::<ImageName>().unwrap().words(),
            mode: 64,
            entry: 0x20_0000,
            pages: 2,
            claimed: 2,
            calls: 1000,
            ..ImageInfo::default()
        };
        let boot_sector = ImageInfo {
            id: 2,
            mode: 32,
            entry: 0x7c00,
            pages: 1,
            in_use: 1,
            faults: 1,
            calls: 1,
            ..ImageInfo::default()
        };
        let kernel = ImageInfo {
            id: 3,
            name: "peer".parse::<ImageName>().unwrap().words(),
            mode: 64,
            entry: 0x2000_0000,
            pages: 0x1_1000,
            claimed: 0x1000,
            in_use: 0x1_0000,
            ..ImageInfo::default()
        };
        let images = vec![
            PlacedImage {
                image: counter,
                ranges: vec![range(0x20_0000, 0x20_1000), range(0x30_0000, 0x30_1000)],
                displaced: Displaced::default(),
            },
            PlacedImage {
                image: boot_sector,
                ranges: vec![range(0x7000, 0x8000)],
                displaced: Displaced { pages: 1, pieces: 1, first: 0x1234_5000, last: 0x1234_5fff },
            },
            PlacedImage {
                image: kernel,
                ranges: vec![range(0x2000_0000, 0x3000_0000), range(0x4000_0000, 0x4100_0000)],
                displaced: Displaced { pages: 0x1_0000, pieces: 29, first: 0x5000_0000, last: 0x60ff_ffff },
            },
        ];
        Picture::new(&machine.memory.unwrap(), images, machine.release.ok())
    }
}
