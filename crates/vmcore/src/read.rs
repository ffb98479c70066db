//! Readers of memory images, one for each format.

pub(crate) mod elf;
pub(crate) mod flattened;
pub(crate) mod image;
pub(crate) mod kdump;
mod set;

pub use flattened::{Flattened, Flattener, rearrange};
pub use image::{Format, Image};
pub use kdump::Header;
