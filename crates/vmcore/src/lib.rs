//! Memory images: the formats of crash dumps, which of their pages to keep, and how to write them.
//!
//! A [`MemoryImage`] is read through [`ReadAt`]; [`select()`] decides which of its pages are kept;
//! [`mod@write`] lays them out and writes them through [`WriteAt`]. Nothing here opens a file or
//! reads a clock.
#![forbid(unsafe_code)]

pub mod codec;
pub mod erase;
mod error;
mod format;
mod frames;
mod kernel;
mod read;
pub mod select;
mod source;
#[cfg(test)]
mod test_memory;
mod threads;
pub mod write;

pub use error::{DecodeError, Error, Result};
pub use format::manifest;
pub use frames::{CHUNK_FRAMES, FrameSet};
pub use kernel::{Vmcoreinfo, Vmlinux, btf, kallsyms, log_buffer, notes, paging, printk};
pub use read::{Flattened, ImageFormat, KdumpHeader, MemoryImage};
pub use select::select;
pub use source::{DumpSource, Origin, PhysRead, ReadAt, WriteAt};
pub use threads::is_available;
pub use write::{Flattener, Rearranged, rearrange};
