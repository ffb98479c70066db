//! EFI's memory descriptors, and the EFI data that one kernel passes to the next.
//!
//! Source: UEFI specification 2.10, 7.2 (`EFI_MEMORY_DESCRIPTOR`); `arch/x86/include/asm/efi.h`
//! (`struct efi_setup_data`).

use crate::field::{Field, are_apart};

/// Size of a memory descriptor, version 1.
pub const DESCRIPTOR_SIZE: usize = 40;
/// Version of these descriptors.
pub const DESCRIPTOR_VERSION: u32 = 1;
/// [`DESCRIPTOR_SIZE`] as it is passed to a kernel.
pub const DESCRIPTOR_SIZE_TOLD: u32 = 40;
/// Type of memory.
pub const TYPE: Field<u32> = Field::at(0);
/// Physical address.
pub const PHYSICAL: Field<u64> = Field::at(8);
/// Virtual address.
pub const VIRTUAL: Field<u64> = Field::at(16);
/// Pages.
pub const PAGES: Field<u64> = Field::at(24);
/// Attributes.
pub const ATTRIBUTES: Field<u64> = Field::at(32);

/// `struct efi_setup_data`: the bytes of a [`setup_data`](crate::setup_data) of type
/// [`EFI`](crate::setup_data::kind::EFI).
pub mod setup {
    use crate::field::Field;

    /// Its size.
    pub const SIZE: usize = 96;
    /// Address of the firmware vendor's name.
    pub const VENDOR: Field<u64> = Field::at(0);
    /// Address of the runtime services' table; not read since 5.7.
    pub const RUNTIME: Field<u64> = Field::at(8);
    /// Address of the table of tables.
    pub const TABLES: Field<u64> = Field::at(16);
    /// Address of the SMBIOS tables.
    pub const SMBIOS: Field<u64> = Field::at(24);
}

const _: () = {
    assert!(DESCRIPTOR_SIZE_TOLD as usize == DESCRIPTOR_SIZE);
    let spans = [TYPE.span(), PHYSICAL.span(), VIRTUAL.span(), PAGES.span(), ATTRIBUTES.span()];
    assert!(are_apart(&spans, DESCRIPTOR_SIZE));
    let spans = [setup::VENDOR.span(), setup::RUNTIME.span(), setup::TABLES.span(), setup::SMBIOS.span()];
    assert!(are_apart(&spans, setup::SIZE));
};
