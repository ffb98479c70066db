//! Physical memory, read through `/proc/kcore`.

use std::fs::File;
use std::os::unix::fs::FileExt as _;

use anyhow::{Context as _, Result};
use phys::{PAGE_SIZE, Pfn};

const PATH: &str = "/proc/kcore";

/// `/proc/kcore`: an ELF core file, whose load headers map physical addresses to offsets.
pub(crate) struct Kcore {
    file: File,
    headers: Vec<Header>,
}

/// A range of physical memory and its offset in the file.
struct Header {
    offset: u64,
    address: u64,
    size: u64,
}

impl Kcore {
    pub(crate) fn open() -> Result<Self> {
        let file = File::open(PATH).context(PATH)?;
        let headers = headers(&file).context(PATH)?;
        Ok(Self { file, headers })
    }

    /// The bytes of page frames, one after the other.
    pub(crate) fn read(&self, frames: &[Pfn]) -> Result<Vec<u8>> {
        let mut bytes = vec![0; frames.len() * usize::try_from(PAGE_SIZE)?];
        for (frame, page) in frames.iter().zip(bytes.chunks_exact_mut(usize::try_from(PAGE_SIZE)?)) {
            let offset = self.offset_of(frame.address().get());
            let offset =
                offset.with_context(|| format!("{PATH} does not contain {:#x}", frame.address().get()))?;
            self.file.read_exact_at(page, offset).context(PATH)?;
        }
        Ok(bytes)
    }

    fn offset_of(&self, address: u64) -> Option<u64> {
        self.headers.iter().find_map(|header| {
            let within = address.checked_sub(header.address)?;
            (within < header.size).then(|| header.offset.checked_add(within))?
        })
    }
}

/// Reads the load headers: System V ABI, chapters 4 and 5. The kernel's other virtual mappings have
/// a physical address of all ones.
fn headers(file: &File) -> Result<Vec<Header>> {
    const LOAD: u64 = 1;
    let at = |offset: u64, size: usize| {
        let mut bytes = [0; 8];
        file.read_exact_at(&mut bytes[..size], offset)?;
        anyhow::Ok(u64::from_le_bytes(bytes))
    };
    let (first, size, count) = (at(32, 8)?, at(54, 2)?, at(56, 2)?);
    let mut headers = Vec::new();
    for header in (0..count).map(|number| first.saturating_add(number * size)) {
        if at(header, 4)? == LOAD {
            let [offset, address, size] = [at(header + 8, 8)?, at(header + 24, 8)?, at(header + 32, 8)?];
            headers.push(Header { offset, address, size });
        }
    }
    Ok(headers)
}
