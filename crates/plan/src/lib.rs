//! From a request and a machine to everything that is loaded, as a value: a [`LoadPlan`].
//!
//! ```text
//! Request ─┐
//!          ├─► demands ──► place ──────────► render ─► LoadPlan::new ─► LoadPlan
//! Machine ─┘   what must    all addresses    bytes      checks what      printed, compared,
//!              exist        at once                     a kernel checks  or carried out
//! ```
//!
//! No step looks back: sizes come first, addresses are given once, bytes are made when every address is known. Nothing
//! here reads a file, a clock or randomness, and the same request on the same machine is always the same plan, on
//! whatever host it is made.
//!
//! What is planned: Linux for x86 by each of its entry points ([`linux`]), to take the place of the running kernel or to
//! live beside it in a window of physical memory; other ELF files ([`elf`]); multiboot kernels ([`multiboot`]).
//! What leads there from the running kernel is [`purgatory`]. Memory that one kernel shows of another is described by an
//! [`elfcorehdr`].
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
