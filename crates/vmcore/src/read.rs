//! Readers of memory images, one for each format, and [`Image`], which is any of them.

mod body;
mod checksums;
mod elf;
mod flattened;
mod header;
mod image;
mod kdump;
mod pieces;
mod set;

pub use flattened::Flattened;
pub use header::KdumpHeader;
pub use image::{Format, Image};
