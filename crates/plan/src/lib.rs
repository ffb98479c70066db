//! Turns a request and a machine into a [`LoadPlan`]: everything that is loaded, as a value.
//!
//! ```text
//! Request ─┐
//!          ├─► demands ──► place ──────────► render ─► LoadPlan::new ─► LoadPlan
//! Machine ─┘   sizes and    all addresses    bytes      checks what      printed, compared,
//!              limits       at once                     a kernel checks  or carried out
//! ```
//!
//! No step looks back: sizes come first, addresses are assigned once, bytes are made when all
//! addresses are known. Nothing here reads a file, a clock or randomness: the same request on the
//! same machine gives the same plan on every host.
//!
//! Supported are Linux for x86 by each of its entry points ([`linux`]), in place of the running
//! kernel or alongside it in a window of physical memory; other ELF files ([`elf`]); and multiboot
//! kernels ([`multiboot`]). [`purgatory`] runs in between. An [`elfcorehdr`] describes the memory
//! of one kernel to another.
#![forbid(unsafe_code)]

mod amount;
mod demand;
mod display;
mod draft;
pub mod elf;
pub mod elfcorehdr;
mod entry;
mod error;
pub mod linux;
mod load_plan;
mod machine;
mod memory_map;
pub mod multiboot;
mod place;
pub mod purgatory;
mod segment;
#[cfg(test)]
mod testing;
mod view;

pub use amount::Amount;
pub use demand::{Demand, Search};
pub use entry::{CpuMode, Entry, register};
pub use error::Error;
pub use load_plan::{Interface, LoadPlan};
pub use machine::{Efi, Machine, SetupData};
pub use memory_map::{MemoryKind, MemoryRange};
pub use place::place;
pub use segment::{Part, Segment};
pub use view::{View, ViewPlace};
