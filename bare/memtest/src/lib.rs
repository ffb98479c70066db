//! Tests memory in place: each page's contents are kept in a page of the image while patterns are
//! written and read back, and put back afterwards. The kernel that uses the memory is suspended,
//! its own text and data included.
//!
//! This library contains the patterns and the walk through the ranges, over a [`Machine`], and is
//! tested on the host with memory that has stuck bits. `build.rs` compiles it again, with `image/`,
//! as a program for a machine without an operating system: position-independent bytes, [`IMAGE`].
//! [`abi::memtest`] defines the layout of its memory.
#![cfg_attr(not(test), no_std)]
#![cfg_attr(memtest_image, no_main)]

mod patterns;
mod run;
mod tables;

#[cfg(memtest_image)]
#[path = "../image/mod.rs"]
mod image;

pub use run::run;

/// Words of a page.
pub const PAGE_WORDS: usize = 512;
/// Bytes of a page.
pub const PAGE: u64 = 4096;
/// A page.
pub type Page = [u64; PAGE_WORDS];

/// The machine as far as it is used here. Addresses are physical.
pub trait Machine {
    /// First address and end of the image.
    fn own(&self) -> (u64, u64);
    /// CR3, and the addresses of the GDT and of the IDT.
    fn tables(&mut self) -> [u64; 3];
    /// Levels of page tables.
    fn levels(&mut self) -> u32;
    /// A word of memory.
    fn word(&mut self, address: u64) -> u64;
    /// Keeps the contents of a page.
    fn keep(&mut self, address: u64);
    /// Puts back what was kept.
    fn put_back(&mut self, address: u64);
    /// The page under test.
    fn page(&mut self, address: u64) -> &mut Page;
    /// Lets written words reach memory; through the caches if `flush`.
    fn settle(&mut self, address: u64, flush: bool);
    /// The time stamp counter.
    fn time(&mut self) -> u64;
}

/// The image's memory from its first byte on, as far as it is not zero. The block at its start is.
#[cfg(not(memtest_image))]
pub static IMAGE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/memtest.bin"));
