//! Every byte layout that kjump shares with someone. No logic; sizes and offsets are asserted.
//!
//! | module | shared by |
//! |---|---|
//! | [`device`] | the programs and the kernel module, over `/dev/kjump` |
//! | [`control`] | the module and the relocator, in the control page |
//! | [`page_list`] | whoever builds a page list and the relocator that walks it |
#![no_std]
#![forbid(unsafe_code)]

pub mod control;
pub mod device;
pub mod page_list;
