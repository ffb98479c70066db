//! Calls the BIOS out of a running kernel: INT n with registers and a buffer, in a loop if needed,
//! and far calls. Also runs the program on a disk that is in memory.
//!
//! ```text
//! kjump ──► image/start.S ──► image/mod.rs ──► run: state read, low memory kept, interrupts to the BIOS
//!                                              for each call: registers, real mode, registers
//!           image/start.S ◄── image/mod.rs ◄── run: interrupts to Linux, low memory put back, state read
//! ```
//!
//! This library contains the order of these steps and every decision in them, over a
//! [`Hardware`], and is tested on the host with a machine of memory and a few registers. `build.rs`
//! compiles it again, with `image/`, as a program for a machine without an operating system:
//! position-independent bytes, [`IMAGE`]. [`abi::bios`] defines the layout of its memory.
//!
//! What must hold while the BIOS runs, and why:
//!
//! - The local APIC's task priority is the highest. The BIOS enables interrupts, and Linux's own,
//!   the timer's above all, would go through the BIOS's vectors and never be acknowledged.
//! - Interrupts of the 8259s arrive (LINT0 is ExtINT, the 8259s have the BIOS's vectors), since the
//!   BIOS waits for IRQ 0 and 8, and since IRQ 0 is also the deadline.
//! - Results never become arguments: a loop passes on EBX alone.
#![cfg_attr(not(test), no_std)]
#![cfg_attr(bios_image, no_main)]

mod block;
mod disk;
mod guest;
mod hardware;
mod interrupts;
mod local_apic;
mod memory;
mod program;
mod run;
mod state;
#[cfg(test)]
mod testing;

#[cfg(bios_image)]
#[path = "../image/mod.rs"]
mod image;

pub use block::Block;
pub use hardware::{Handlers, Hardware, Services};
pub use run::run;

/// The image's memory from its first byte on, as far as it is not zero. The block at its start is.
#[cfg(not(bios_image))]
pub static IMAGE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/bios.bin"));

#[cfg(all(test, not(bios_image)))]
mod tests {
    use super::IMAGE;
    use abi::bios::{ENTRY, VARIABLES};

    #[test]
    fn the_image_is_a_block_of_zeros_and_code() {
        assert!(IMAGE.len() > ENTRY && IMAGE.len() <= VARIABLES, "{:#x}", IMAGE.len());
        assert!(IMAGE[..ENTRY].iter().all(|&byte| byte == 0));
        // cli; cld
        assert_eq!(IMAGE[ENTRY..ENTRY + 2], [0xfa, 0xfc]);
    }
}
