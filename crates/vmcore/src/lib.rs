//! Memory images: the formats of crash dumps, which of their pages to keep, and how to write them.
//!
//! An [`Image`] is read from whatever is [`ReadAt`]; [`select()`] decides which of its pages are kept; [`mod@write`] lays them
//! out and writes them to whatever is [`WriteAt`]. Nothing here opens a file or asks for the time.
#![forbid(unsafe_code)]

pub mod btf;
pub mod codec;
mod elf;
mod error;
mod field;
mod flattened;
mod frames;
mod image;
pub mod kallsyms;
mod kdump;
pub mod log_buffer;
pub mod manifest;
pub mod notes;
pub mod paging;
pub mod printk;
pub mod select;
mod set;
mod source;
mod vmcoreinfo;
mod vmlinux;
pub mod write;

pub use error::{DecodeError, Error, Result};
pub use flattened::{Flattened, Flattener, rearrange};
pub use frames::{CHUNK_FRAMES, FrameSet};
pub use image::{Format, Image};
pub use kdump::Header;
pub use select::select;
pub use source::{PhysRead, ReadAt, WriteAt};
pub use vmcoreinfo::Vmcoreinfo;
pub use vmlinux::Vmlinux;
