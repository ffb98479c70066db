//! Every byte layout that kjump shares with someone. No logic; sizes and offsets are asserted.
//!
//! | module | shared by |
//! |---|---|
//! | [`device`] | the programs and the kernel module, over `/dev/kjump` |
//! | [`control`] | the module and the relocator, in the control page |
//! | [`guard`] | the module and the relocator, in the pages of a CPU that guards an image |
//! | [`bios`] | the program that wants the BIOS called, and the image that calls it |
//! | [`memtest`] | the program that wants memory tested, and the image that tests it |
//! | [`purgatory`] | the planner of a load and the purgatory that runs in it |
//! | [`page_list`] | the builder of a page list and the relocator that walks it |
//! | [`elf`] | kernels, core files, crash kernels and the programs that make or read them |
//! | [`errno`] | the kernel and its callers |
//! | [`setup_header`], [`boot_params`], [`e820`], [`setup_data`], [`efi`] | an x86 kernel and its loader |
//! | [`kexec`] | the running kernel and the callers of its kexec |
#![no_std]
#![forbid(unsafe_code)]

pub mod bios;
pub mod boot_params;
pub mod control;
pub mod device;
pub mod e820;
pub mod efi;
pub mod elf;
pub mod errno;
mod field;
pub mod guard;
pub mod kexec;
pub mod memtest;
pub mod page_list;
pub mod purgatory;
pub mod setup_data;
pub mod setup_header;

pub use field::{Field, Number};
