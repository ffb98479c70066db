//! An image with a destination in every frame of a list: code, tables of the other frames, and these.

use std::fs;

use abi::device::{Call, mode, status};
use anyhow::{Context as _, Result, ensure};
use phys::Pfn;
use sys::Device;
use sys::device::{Destination, LoadRequest};

const CODE: &str = "/lib/kjump/payloads/pages64";
/// Addresses in one page of a table; the last word leads to the next.
const IN_TABLE: usize = 511;

pub(crate) struct Image {
    device: Device,
    table: u64,
    pages: u64,
}

impl Image {
    /// The first frame is for the code, as many as are needed for the tables, the others for the image's own memory.
    pub(crate) fn load(frames: &[Pfn]) -> Result<Self> {
        let file = fs::read(CODE).context(CODE)?;
        let program = kernel_file::parse(&file)?;
        let code = &program.segments.first().context("the code has no bytes")?.bytes;
        let addresses: Vec<u64> = frames.iter().map(|frame| frame.address().get()).collect();
        let (entry, rest) = addresses.split_first().context("no memory")?;
        let (places, pages) = rest.split_at(rest.len().div_ceil(IN_TABLE + 1));
        let tables = tables(places, pages);
        let with_bytes = places.iter().zip(&tables).map(|(address, bytes)| one_page(*address, bytes));
        let empty = pages.iter().map(|address| one_page(*address, &[]));
        let segments: Vec<_> = [one_page(*entry, code)].into_iter().chain(with_bytes).chain(empty).collect();
        let request =
            LoadRequest { segments: &segments, vouched: &[], entry: *entry, mode: mode::LONG, flags: 0 };
        let device = Device::open()?;
        let load = device.load(&request)?;
        ensure!(load.in_use == frames.len() as u64, "{} pages are in use, not all", load.in_use);
        let table = *places.first().context("no memory for a table")?;
        Ok(Self { device, table, pages: pages.len() as u64 })
    }

    pub(crate) fn call(&self, quiesce: u64) -> Result<Call> {
        let call = self.device.call([self.table, 0, 0, 0, 0, 0], quiesce)?;
        ensure!(call.status == status::RETURNED, "the image ended in exception {}", call.fault.vector);
        Ok(call)
    }

    /// Words of memory it looks at.
    pub(crate) fn words(&self) -> u64 {
        self.pages * 512
    }
}

/// The bytes of each table: addresses, zeroes, and where the next one is.
fn tables(places: &[u64], pages: &[u64]) -> Vec<Vec<u8>> {
    let next = places.iter().skip(1).copied().chain([0]);
    let table = |(part, next): (&[u64], u64)| {
        let mut words = part.to_vec();
        words.resize(IN_TABLE, 0);
        words.push(next);
        words.iter().flat_map(|word| word.to_le_bytes()).collect()
    };
    pages.chunks(IN_TABLE).zip(next).map(table).collect()
}

fn one_page(address: u64, bytes: &[u8]) -> Destination<'_> {
    Destination { bytes, address, size: phys::PAGE_SIZE }
}
