//! Readers of memory images, one for each format, and [`MemoryImage`], which is any of them.

mod body;
mod checksums;
mod elf;
mod flattened;
mod header;
mod kdump;
mod memory_image;
mod pieces;
mod raw;
mod set;

pub use flattened::Flattened;
pub use header::KdumpHeader;
pub use memory_image::{ImageFormat, MemoryImage};
