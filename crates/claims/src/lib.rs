//! What the kernel module decides without touching the kernel: its rules and algorithms, tested on
//! the host.
//!
//! Most are functions of their arguments. The frames of an image come from a [`Supply`], which
//! takes them from the kernel through [`Memory`]: it [claims](Claims) the destinations, in whole
//! [blocks](Blocks), and fills up with free memory. Whatever fails on the way, every frame is given
//! back exactly once.
//!
//! The crate depends on nothing but `core` and `phys`, allocates only through [`Memory`] and has no
//! reachable panic: it is linked into a kernel module.
#![no_std]
#![forbid(unsafe_code)]

mod blocks;
pub mod clock;
pub mod guard;
pub mod hpet;
pub mod interrupt;
pub mod madt;
mod memory;
pub mod name;
pub mod note;
pub mod panic;
pub mod quiesce;
pub mod ranges;
pub mod runs;
pub mod structure;
mod supply;
pub mod trial;

pub use blocks::Blocks;
pub use memory::Memory;
pub use supply::{Claims, Supply};
