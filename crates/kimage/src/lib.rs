//! From segments to a page list that can be exchanged and exchanged back.
//!
//! A **segment** names bytes and the physical pages where they must end, its **destinations**.
//! Until then they wait in **source** pages. A destination with its source is a **slot**, and the
//! [page list](list) is all slots in order, in the words that the relocator walks. It
//! [copies](model::copy) the sources over the destinations for a one-way kexec, or
//! [exchanges](model::exchange) the two for a call: then the old contents of the destinations wait
//! in the source pages, and a second exchange brings them back.
//!
//! Two invariants make that right in any order of slots:
//!
//! 1. no two slots share a source;
//! 2. a source is its own destination, or not a destination at all.
//!
//! Then every page takes part in at most one exchange, and the whole is its own inverse. A slot
//! that is its own source costs nothing: its destination was free memory, so there are no contents
//! to save. Everything else that must survive the move, the **support frames** (list, control
//! pages, stacks, page tables), is never a destination either.
//!
//! # How a slot gets its source
//!
//! Frames are taken from the allocator as it hands them out. One that happens to be a destination
//! is *claimed*: it becomes the source of its own slot, and the slot's previous source serves the
//! request instead.
//!
//! ```text
//!   frame        0    1    2    3    4    5    6    7
//!                        [ segment ]   ^    ^
//!                                      |    page list
//!                                      ledger
//!
//!   handed out   slot 2      slot 3
//!   7            7           -          7 is not a destination
//!   2            2           7          slot 2 claims 2 and passes 7 on to slot 3
//!
//!   page list    2|DESTINATION  2|SOURCE  7|SOURCE  DONE        (addresses 0x2000, 0x2000, 0x7000)
//!   to exchange                 -         3 <-> 7
//! ```
//!
//! So each page takes one frame, whatever the order. The position of a slot in the list is known
//! before its source is: the page list is the only table of slots, at 8 bytes a page, and finding
//! the slot of a frame is a binary search among the segments. The work is O(n log s) for n pages in
//! s segments.
//!
//! # Use
//!
//! [`Image::new`] checks the segments and takes the list, [`Image::support`] hands out support
//! frames, [`Image::seal`] takes the sources and checks the result by walking it, independently of
//! how it was built. Only a [`SealedImage`] may be passed to a relocator. Dropping either gives
//! every frame back, and so does any error. Memory comes through [`Frames`], the only thing to
//! implement.
//!
//! The crate depends on nothing but `core` and `phys`, allocates nothing and has no reachable
//! panic: it is linked into a kernel module, and tested on the host.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

mod census;
mod check;
mod claim;
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
