//! `struct setup_data`: a chain of further facts for the kernel, each with this header and its
//! bytes after it.
//!
//! Source: `Documentation/arch/x86/boot.rst` (`setup_data`),
//! `arch/x86/include/uapi/asm/setup_data.h`.

use crate::field::{Field, are_apart};

/// Size of the header.
pub const HEADER_SIZE: usize = 16;
/// Address of the next, 0 for none.
pub const NEXT: Field<u64> = Field::at(0);
/// One of [`kind`], perhaps with [`INDIRECT`].
pub const KIND: Field<u32> = Field::at(8);
/// Bytes after the header.
pub const LENGTH: Field<u32> = Field::at(12);
/// Bit of [`KIND`]: the address of the bytes stands after the header.
pub const INDIRECT: u32 = 1 << 31;

/// What the bytes are.
pub mod kind {
    /// Nothing.
    pub const NONE: u32 = 0;
    /// More entries of the memory map.
    pub const E820_EXT: u32 = 1;
    /// A device tree.
    pub const DTB: u32 = 2;
    /// A PCI option ROM.
    pub const PCI: u32 = 3;
    /// EFI tables at their virtual addresses, for a kernel started by kexec.
    pub const EFI: u32 = 4;
    /// Properties of Apple devices.
    pub const APPLE_PROPERTIES: u32 = 5;
    /// The Jailhouse hypervisor's.
    pub const JAILHOUSE: u32 = 6;
    /// The Confidential Computing blob of SEV-SNP.
    pub const CC_BLOB: u32 = 7;
    /// Where the measurements of IMA are.
    pub const IMA: u32 = 8;
    /// Bytes for the random number generator.
    pub const RNG_SEED: u32 = 9;
}

const _: () = assert!(are_apart(&[NEXT.span(), KIND.span(), LENGTH.span()], HEADER_SIZE));
