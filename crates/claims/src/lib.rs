//! What the kernel module decides without touching the kernel: its rules and algorithms, as functions of their
//! arguments, so that they are tested on the host.
//!
//! The crate allocates nothing and has no reachable panic: it is linked into a kernel module.
#![no_std]
#![forbid(unsafe_code)]

pub mod clock;
pub mod madt;
pub mod name;
pub mod note;
pub mod panic;
pub mod structure;
pub mod trial;
