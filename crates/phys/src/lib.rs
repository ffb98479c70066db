//! Page frames, physical ranges and sets of ranges. Nothing else.
//!
//! A physical address is at most 52 bits wide, the widest x86-64 page tables can name (Intel SDM
//! volume 3, 4.1.4: MAXPHYADDR is at most 52). Numbers are checked once, where they enter: a
//! [`PhysAddr`], a [`Pfn`] and a [`PhysRange`] that exist are within that space, so arithmetic on
//! them cannot overflow afterwards.
//!
//! The crate depends on nothing but `core`, allocates nothing and has no reachable panic: it is
//! linked into a kernel module.
#![no_std]
#![forbid(unsafe_code)]

mod address;
mod range;
mod set;
pub mod sort;

pub use address::{Pfn, PhysAddr};
pub use range::{PhysRange, RangeError};
pub use set::RangeSet;

/// Binary logarithm of [`PAGE_SIZE`].
pub const PAGE_SHIFT: u32 = 12;

/// Bytes in a page frame.
pub const PAGE_SIZE: u64 = 1 << PAGE_SHIFT;

/// Bits in a physical address, at most (Intel SDM volume 3, 4.1.4).
pub const ADDRESS_BITS: u32 = 52;

/// The first byte address beyond every physical address.
pub const ADDRESS_END: u64 = 1 << ADDRESS_BITS;

/// The number of page frames below [`ADDRESS_END`].
pub const FRAME_END: u64 = ADDRESS_END >> PAGE_SHIFT;
