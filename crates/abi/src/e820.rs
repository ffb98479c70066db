//! An entry of the memory map in [`boot_params`](crate::boot_params): `struct boot_e820_entry` of
//! `arch/x86/include/uapi/asm/setup_data.h`.

use crate::field::{Field, are_apart};

/// Size of an entry.
pub const SIZE: usize = 20;
/// Address of the first byte.
pub const ADDR: Field<u64> = Field::at(0);
/// Bytes.
pub const LENGTH: Field<u64> = Field::at(8);
/// One of [`kind`].
pub const KIND: Field<u32> = Field::at(16);

/// Types of memory (ACPI 6.5, table 15.4; `arch/x86/include/asm/e820/types.h`).
pub mod kind {
    /// Free for the kernel.
    pub const RAM: u32 = 1;
    /// Not to be touched, and no device either.
    pub const RESERVED: u32 = 2;
    /// ACPI tables: RAM when they are read.
    pub const ACPI: u32 = 3;
    /// ACPI non-volatile storage: saved and restored in a suspend to disk.
    pub const NVS: u32 = 4;
    /// Broken memory.
    pub const UNUSABLE: u32 = 5;
    /// Persistent memory.
    pub const PMEM: u32 = 7;
    /// Persistent memory as reported before ACPI 6.
    pub const PRAM: u32 = 12;
    /// For a special purpose, by EFI's word (of Linux's own).
    pub const SOFT_RESERVED: u32 = 0xefff_ffff;
}

const _: () = assert!(are_apart(&[ADDR.span(), LENGTH.span(), KIND.span()], SIZE));
