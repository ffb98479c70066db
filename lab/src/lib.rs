//! Boots stock distribution kernels under QEMU or Bochs and runs commands in them.
//!
//! A [`Vm`] is described, then run with one command as root; the result is an [`Outcome`].
//! Everything in a guest comes from an initramfs made for the run ([`cpio`]): busybox, the built
//! product, the drivers of the virtual machine, and the agent, which is the guest's first process
//! and sends output to the host in frames ([`wire`]).
//!
//! The lab runs built programs and uses none of the workspace's other crates.
#![forbid(unsafe_code)]

pub mod cpio;
pub mod stage;
pub mod story;
pub mod wire;

mod bochs;
mod drivers;
mod error;
mod initramfs;
mod job;
mod kernel;
mod kit;
mod log;
mod outcome;
mod qemu;
mod scratch;
mod vm;
mod write_log;

pub use error::{Error, Result};
pub use initramfs::{NEXT_INITRD, NEXT_KERNEL};
pub use job::Job;
pub use kernel::Kernel;
pub use kit::{Kit, Product};
pub use log::complaints;
pub use outcome::{Ended, Listener, Outcome};
pub use qemu::POWER_CUT;
pub use scratch::Scratch;
pub use vm::{Machine, Vm};
pub use write_log::WriteLog;
