//! The elfcorehdr, which describes the memory of one kernel to another, for its `/proc/vmcore`.
//!
//! ```text
//! in place            the memory of the resting kernel
//!   └─ with changes   some of it is moved, some is gone      ─► stretches ─┐
//! notes               where VMCOREINFO and CPU registers are ──────────────┴─► ELF header, program headers
//! ```
//!
//! A stretch describes consecutive bytes of the resting kernel's memory, and where they are while
//! the other kernel runs. The size of the header depends only on the numbers of notes and
//! stretches, so that it can be placed first.

mod render;
mod resting;

use std::ops::Range;

pub use render::{MOST_HEADERS, header_count, render, size};
pub use resting::{Change, RestingMemory, Stretch};

/// The virtual addresses of the resting kernel's memory. Some readers take them from the program
/// headers, and need them to read the page tables.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VirtualMap {
    /// Virtual address of the direct map of all memory (`PAGE_OFFSET`).
    pub direct: Option<u64>,
    /// The second mapping of the kernel's code and data.
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

/// One or more consecutive ELF notes in memory, with their headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoteAt {
    /// Physical address of the first byte.
    pub address: u64,
    /// Bytes reserved for them; zeros follow the last note.
    pub size: u64,
}
