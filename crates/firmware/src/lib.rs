//! Calls of the BIOS as values: what a call needs and whether it is refused, the block that makes
//! it, and what it returned, decoded.
//!
//! ```text
//! arguments ─► Call ─► need: level, interrupts, refusals ─► block::render ─► the image in bare/bios
//!                                                           block::Results ◄─┘
//!                                    e820, vbe, edid, edd ◄─┘
//! ```
//!
//! A [`program`] on a [`disk`] takes the place of the calls.
//!
//! Nothing here reads a file or calls anything. Every byte that a BIOS returned is untrusted.
#![forbid(unsafe_code)]

pub mod block;
mod call;
pub mod disk;
pub mod e820;
pub mod edd;
pub mod edid;
pub mod examination;
pub mod need;
pub mod program;
pub mod rom;
pub mod state;
pub mod vbe;

pub use call::{Call, Kind, Registers};
