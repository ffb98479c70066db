//! The page mover and the CPU mode switches, as position-independent code for the control page.
//!
//! A call of an image goes through four pieces, in this order:
//!
//! ```text
//!  kernel page tables │ gate::kjump_enter     save registers, load the identity map, go to the control page
//!  ───────────────────┼────────────────────────────────────────────────────────────────────────────────────
//!  identity map       │ arrive                plain CR0 and CR4, own GDT, IDT and exception stacks
//!                     │ move_pages            exchange sources and destinations: the image is in place
//!                     │ enter_64 / enter_32   call the image by the C ABI of its mode
//!                     │ leave                 back to the state of `arrive`, from whatever the image left
//!                     │ move_pages            exchange again: the kernel's pages are in place
//!  ───────────────────┼────────────────────────────────────────────────────────────────────────────────────
//!  kernel page tables │ gate::kjump_resume    load the kernel's page tables and registers
//! ```
//!
//! An exception in the image ends it: its handler writes down where it was and goes to `leave`.
//!
//! A guarded image runs on another CPU. The one that came from the kernel goes from `move_pages`
//! into the guard's pages, starts the other one there, and watches the control page; that one goes
//! through `begin` to `enter_64`, and when the image comes back, on whatever CPU, it writes down
//! what it has to say and waits. The guard then takes all other CPUs away and goes on at `leave`:
//!
//! ```text
//!  guard's CPU   arrive, move_pages ─ start … watch ………………………………… stop the others ─ leave, move_pages, gate
//!  image's CPU                           └ trampoline ─ begin ─ enter_64 … image … back ─ halt
//! ```
//!
//! Nothing here decides anything. What is moved stands in the page list, what is called and how in
//! the [`ControlTable`](abi::control::ControlTable); both were checked before.
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
