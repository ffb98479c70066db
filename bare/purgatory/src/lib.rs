//! Purgatory runs between two kernels: it verifies that everything loaded is unchanged, reports
//! damage on a console, and hands over.
//!
//! ```text
//! kexec_load or /dev/kjump ──► image/start.S ──► image/mod.rs ──► image/start.S ──► the next kernel
//!                              own GDT, stack    check, copy,      64-bit, 32-bit
//!                                                command line      or real mode
//! ```
//!
//! This library contains purgatory's decisions and is tested on the host. `build.rs` compiles it
//! again, with `image/`, as a program for a machine without an operating system:
//! position-independent bytes, [`IMAGE`]. [`abi::purgatory`] defines the layout of its parameters.
#![cfg_attr(not(test), no_std)]
#![cfg_attr(purgatory_image, no_main)]

mod block;
mod command_line;
mod console;
pub mod digest;
mod sha256;
#[cfg(all(target_arch = "x86_64", any(test, purgatory_image)))]
mod sha_ni;
mod verify;

#[cfg(purgatory_image)]
#[path = "../image/mod.rs"]
mod image;

pub use block::{Block, Region};
pub use command_line::write_jump_back;
pub use console::{Console, Ports, Screen};
pub use sha256::Sha256;
pub use verify::{Damage, verify};

/// Purgatory's memory from its first byte on, as far as it is not zero. The block at its start is.
#[cfg(not(purgatory_image))]
pub static IMAGE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/purgatory.bin"));

#[cfg(all(test, not(purgatory_image)))]
mod tests {
    use super::IMAGE;
    use abi::purgatory::{ENTRY, VARIABLES};

    #[test]
    fn the_image_is_a_block_of_zeros_and_code() {
        assert!(IMAGE.len() > ENTRY && IMAGE.len() <= VARIABLES, "{:#x}", IMAGE.len());
        assert!(IMAGE[..ENTRY].iter().all(|&byte| byte == 0));
        // cli; cld
        assert_eq!(IMAGE[ENTRY..ENTRY + 2], [0xfa, 0xfc]);
    }
}
