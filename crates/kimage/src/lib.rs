//! From segments to a page list that can be exchanged and exchanged back.
#![no_std]
#![forbid(unsafe_code)]

mod census;
mod check;
mod error;
mod frames;
mod holding;
mod image;
mod ledger;
pub mod list;
pub mod model;
pub mod paging;
mod segment;
mod stack;
mod tree;

pub use error::{Error, ListFault, Purpose};
pub use frames::{Frames, Zone};
pub use image::{Image, SealedImage, Slot};
pub use segment::{Rules, Segment};
