//! The elfcorehdr: what a kernel is told of the memory that another left, so that its `/proc/vmcore` has it.
//!
//! ```text
//! in place            what the resting kernel calls its memory
//!   └─ with changes   some of it waits elsewhere, some is nobody's   ─► stretches ─┐
//! notes               VMCOREINFO, the CPUs' registers: where they are             ─┴─► ELF header, program headers
//! ```
//!
//! A stretch says which bytes of the resting kernel's memory are where while the other runs. The size of the header
//! follows from the number of notes and stretches, so that it can have a place before any address is known.

mod render;
mod resting;

use std::ops::Range;

pub use render::{MOST_HEADERS, header_count, render, size};
pub use resting::{Change, RestingMemory, Stretch};

/// Where the resting kernel has its memory at virtual addresses: some readers look for it in the headers, and cannot read
/// the page tables without.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VirtualMap {
    /// Virtual address at which all memory is mapped (`PAGE_OFFSET`).
    pub direct: Option<u64>,
    /// The kernel's code and data, which are mapped a second time.
    pub image: Option<KernelImage>,
}

/// Where the kernel's code and data are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelImage {
    /// Physical addresses.
    pub phys: Range<u64>,
    /// Virtual address of the first byte.
    pub virt: u64,
}

/// A note, or several behind each other, as they are in memory: an ELF note with its header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoteAt {
    /// Physical address of the first byte.
    pub address: u64,
    /// Bytes there is room for; behind the last note are zeroes.
    pub size: u64,
}
