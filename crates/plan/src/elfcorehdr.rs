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

pub use render::{MOST_HEADERS, render, size};
pub use resting::{Change, RestingMemory, Stretch};

/// A note, or several behind each other, as they are in memory: an ELF note with its header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoteAt {
    /// Physical address of the first byte.
    pub address: u64,
    /// Bytes there is room for; behind the last note are zeroes.
    pub size: u64,
}
