//! The page mover and the CPU mode switches, as position-independent code for the control page.
//!
//! A call of an image goes through these steps:
//!
//! ```text
//!  kernel page tables │ gate::kjump_enter     save registers, load the identity map, go to the control page
//!  ───────────────────┼────────────────────────────────────────────────────────────────────────────────────
//!  identity map       │ arrive                plain CR0 and CR4, own GDT, IDT and exception stacks
//!                     │ move_pages            exchange sources and destinations: the image is in place
//!                     │ enter_64 / enter_32   call the image by the C ABI of its mode
//!                     │ leave                 back to the state of `arrive`, whatever state the image left
//!                     │ move_pages            exchange again: the kernel's pages are in place
//!  ───────────────────┼────────────────────────────────────────────────────────────────────────────────────
//!  kernel page tables │ gate::kjump_resume    load the kernel's page tables and registers
//! ```
//!
//! An exception in the image ends it: its handler records the registers and goes to `leave`.
//!
//! A guarded image runs on another CPU. The CPU that came from the kernel continues from
//! `move_pages` in the guard's pages, starts the other CPU there, and watches the control page. The
//! other CPU goes through `begin` to `enter_64`. When the image returns, on any CPU, that CPU
//! records the result and halts. The guard then stops all other CPUs and continues at `leave`:
//!
//! ```text
//!  guard's CPU   arrive, move_pages ─ start … watch ………………………………… stop the others ─ leave, move_pages, gate
//!  image's CPU                           └ trampoline ─ begin ─ enter_64 … image … back ─ halt
//! ```
//!
//! This code makes no decisions. The page list names the pages to move, and the
//! [`ControlTable`](abi::control::ControlTable) the entry point and mode; both were checked
//! earlier.
#![no_std]

mod code;
mod control_page;
#[cfg(feature = "kernel")]
pub mod gate;
mod guard;
mod shared;

pub use code::{Direction, code, entry_offset};
pub use control_page::{ControlPage, Setup};
pub use guard::{GuardPages, GuardSetup};
