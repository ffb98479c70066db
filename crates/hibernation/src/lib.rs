//! The hibernation file: the memory of a kernel at rest, from which another boot of the machine
//! resumes it.
//!
//! ```text
//! page 0    state: 512 bytes that are written at once     (state)
//! page 1    header, 16 KiB: key slots, facts, the manifest's place; authenticated   (header)
//! 1 MiB     blocks of at most 256 pages, compressed, then encrypted one by one      (block)
//! the end   manifest: place, tag and page frames of each block; encrypted           (manifest)
//! ```
//!
//! `docs/hibernation-file.md` describes every field. The file may be a whole disk, a partition, or
//! the extents of a file: whatever is a [`Disk`]. Nothing here opens a file, reads a clock or makes
//! random numbers.
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate self as hibernation;

mod block;
mod cipher;
mod disk;
mod error;
mod facts;
mod field;
mod header;
mod key;
mod load;
mod manifest;
mod save;
pub mod state;
#[cfg(any(test, feature = "testing"))]
pub mod testing;

pub use block::{BLOCK_PAGES, Codec};
pub use cipher::CipherKind;
pub use disk::{Disk, MemoryDisk};
pub use error::{Error, Result};
pub use facts::{Facts, FileSystem, Mismatch};
pub use header::{Header, erase_keys};
pub use key::{Cost, Key, Secret, Slot, SlotKind};
pub use load::{BlockReader, Image, load_header};
pub use manifest::{Block, Run};
pub use save::{BlockWriter, Plan, Saved, Saving};
pub use state::{State, StateKind};

/// Bytes of a page, and of the unit in which a [`Disk`] is read and written.
pub const PAGE: usize = 4096;
/// The identifier of one hibernation.
pub type Id = [u8; 16];

/// A digest of bytes in hexadecimal, for comparisons.
#[must_use]
pub fn digest(bytes: &[u8]) -> String {
    use blake2::{Blake2b, Digest, digest::consts::U16};
    Blake2b::<U16>::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
