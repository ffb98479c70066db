//! The pages of the kernel at rest that hold the pages which its displaced memory made room for.
//!
//! The ELF core header that this kernel was given describes both sides of each exchange. Once the
//! memory is restored in place, nothing waits: these pages are left out of the image.

use abi::Field;
use anyhow::Context;
use phys::{PAGE_SHIFT, PAGE_SIZE};
use sys::window::Window;
use vmcore::FrameSet;

use super::view;

/// Size of the file header, and of a program header.
const HEADER: usize = 64;
const ENTRY: usize = 56;
const LOAD: u32 = 1;

/// The waiting pages, by the command line of this kernel.
pub(super) fn find(line: &[u8]) -> anyhow::Result<FrameSet> {
    let address = view::header(line)?;
    let head = memory_at(address, HEADER)?;
    let count = Field::<u16>::at(56).read(&head).unwrap_or(0);
    let entries = memory_at(address + HEADER as u64, usize::from(count) * ENTRY)?;
    Ok(waiting(&entries))
}

/// Reads memory that is not this kernel's RAM.
fn memory_at(address: u64, length: usize) -> anyhow::Result<Vec<u8>> {
    let within = usize::try_from(address % PAGE_SIZE)?;
    let window = Window::of_memory(address - address % PAGE_SIZE, within + length)
        .with_context(|| format!("the ELF core header at {address:#x} in /dev/mem"))?;
    let mut bytes = vec![0; length];
    window.copy(within, &mut bytes);
    Ok(bytes)
}

/// The places of everything that is not where it belongs.
fn waiting(entries: &[u8]) -> FrameSet {
    let mut set = FrameSet::new();
    for entry in entries.chunks_exact(ENTRY) {
        let word = |at| Field::<u64>::at(at).read(entry).unwrap_or(0);
        let (kind, offset, phys, size) = (Field::<u32>::at(0).read(entry), word(8), word(24), word(32));
        if kind == Some(LOAD) && offset != phys {
            let end = offset.saturating_add(size).saturating_add(PAGE_SIZE - 1);
            set.insert(offset >> PAGE_SHIFT, end >> PAGE_SHIFT);
        }
    }
    set
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_places_of_displaced_memory_are_waiting_pages() {
        let entry = |kind: u32, offset: u64, phys: u64, size: u64| {
            let mut entry = vec![0; ENTRY];
            entry[..4].copy_from_slice(&kind.to_le_bytes());
            for (at, value) in [(8, offset), (24, phys), (32, size)] {
                entry[at..at + 8].copy_from_slice(&value.to_le_bytes());
            }
            entry
        };
        let entries = [
            entry(LOAD, 0x1000, 0x1000, 0x9000),
            entry(LOAD, 0x7_0000, 0x20_0000, 0x2000),
            entry(4, 0x9_0000, 0, 0x1000),
        ];
        assert!(waiting(&entries.concat()).iter().map(phys::Pfn::number).eq([0x70, 0x71]));
    }
}
