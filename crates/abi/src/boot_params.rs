//! `struct boot_params` of Linux on x86, the page that a loader hands to the kernel; zero where
//! a field is not set.
//!
//! ```text
//! 0x000  screen_info
//! 0x070  acpi_rsdp_addr, ext_* (upper halves of addresses)
//! 0x1c0  efi_info
//! 0x1e8  counts
//! 0x1f1  setup_header, as in the kernel file
//! 0x290  edd_mbr_sig_buffer
//! 0x2d0  e820_table
//! 0xd00  eddbuf
//! ```
//!
//! Source: `Documentation/arch/x86/zero-page.rst`, `arch/x86/include/uapi/asm/bootparam.h`.

use crate::field::{Field, are_apart};
use crate::setup_header;

/// Size in bytes.
pub const SIZE: usize = 4096;

/// Offset of `screen_info`, [`SCREEN_INFO_SIZE`] bytes (`include/uapi/linux/screen_info.h`).
pub const SCREEN_INFO: usize = 0;
/// Size of `screen_info`.
pub const SCREEN_INFO_SIZE: usize = 0x40;
/// Address of the shared page of Intel's Trusted Boot.
pub const TBOOT_ADDR: Field<u64> = Field::at(0x58);
/// Address of the ACPI root pointer, 0 where the kernel shall search for it.
pub const ACPI_RSDP_ADDR: Field<u64> = Field::at(0x70);
/// Upper 32 bits of [`setup_header::RAMDISK_IMAGE`].
pub const EXT_RAMDISK_IMAGE: Field<u32> = Field::at(0xc0);
/// Upper 32 bits of [`setup_header::RAMDISK_SIZE`].
pub const EXT_RAMDISK_SIZE: Field<u32> = Field::at(0xc4);
/// Upper 32 bits of [`setup_header::CMD_LINE_PTR`].
pub const EXT_CMD_LINE_PTR: Field<u32> = Field::at(0xc8);
/// Address of the Confidential Computing blob of SEV-SNP.
pub const CC_BLOB_ADDRESS: Field<u32> = Field::at(0x13c);
/// Offset of `edid_info`, [`EDID_INFO_SIZE`] bytes.
pub const EDID_INFO: usize = 0x140;
/// Size of `edid_info`.
pub const EDID_INFO_SIZE: usize = 0x80;
/// Offset of `efi_info`, [`EFI_INFO_SIZE`] bytes.
pub const EFI_INFO: usize = 0x1c0;
/// Size of `efi_info`.
pub const EFI_INFO_SIZE: usize = 0x20;
/// Memory above 1 MiB in KiB, from an older interface.
pub const ALT_MEM_K: Field<u32> = Field::at(0x1e0);
/// Entries in the e820 table.
pub const E820_ENTRIES: Field<u8> = Field::at(0x1e8);
/// Entries in [`EDDBUF`].
pub const EDDBUF_ENTRIES: Field<u8> = Field::at(0x1e9);
/// Entries in [`EDD_MBR_SIG_BUFFER`].
pub const EDD_MBR_SIG_BUF_ENTRIES: Field<u8> = Field::at(0x1ea);
/// One of [`secure_boot`].
pub const SECURE_BOOT: Field<u8> = Field::at(0x1ec);
/// 0xff if a loader copied more of the kernel file than the setup header: much of this page then
/// counts as garbage.
pub const SENTINEL: Field<u8> = Field::at(0x1ef);
/// Offset of the signatures of BIOS disks.
pub const EDD_MBR_SIG_BUFFER: usize = 0x290;
/// Offset of the memory map: entries as in [`e820`](crate::e820).
pub const E820_TABLE: usize = 0x2d0;
/// Entries there is room for; more go into a [`setup_data`](crate::setup_data) of type
/// [`E820_EXT`](crate::setup_data::kind::E820_EXT).
pub const E820_ENTRIES_MAX: usize = 128;
/// Offset of the BIOS's description of disks (Enhanced Disk Drive Services).
pub const EDDBUF: usize = 0xd00;

/// Fields of `screen_info`, by their offset in `boot_params`.
pub mod screen_info {
    use crate::field::Field;

    /// One of [`video_type`].
    pub const ORIG_VIDEO_IS_VGA: Field<u8> = Field::at(0x0f);
    /// Width of the linear framebuffer in pixels.
    pub const LFB_WIDTH: Field<u16> = Field::at(0x12);
    /// Height of the linear framebuffer in pixels.
    pub const LFB_HEIGHT: Field<u16> = Field::at(0x14);
    /// Bits a pixel.
    pub const LFB_DEPTH: Field<u16> = Field::at(0x16);
    /// Lower 32 bits of the linear framebuffer's address.
    pub const LFB_BASE: Field<u32> = Field::at(0x18);
    /// Size of the linear framebuffer, for [`video_type::VLFB`] in units of 64 KiB.
    pub const LFB_SIZE: Field<u32> = Field::at(0x1c);
    /// Bytes a line.
    pub const LFB_LINELENGTH: Field<u16> = Field::at(0x24);
    /// Bits of [`capability`].
    pub const CAPABILITIES: Field<u32> = Field::at(0x36);
    /// Upper 32 bits of the linear framebuffer's address.
    pub const EXT_LFB_BASE: Field<u32> = Field::at(0x3a);

    /// Values of [`ORIG_VIDEO_IS_VGA`].
    pub mod video_type {
        /// Text of a VGA card.
        pub const VGAC: u8 = 0x22;
        /// A linear framebuffer that the VESA BIOS set up.
        pub const VLFB: u8 = 0x23;
        /// A linear framebuffer that EFI set up.
        pub const EFI: u8 = 0x70;
    }

    /// Bits of [`CAPABILITIES`].
    pub mod capability {
        /// [`EXT_LFB_BASE`](super::EXT_LFB_BASE) counts.
        pub const BASE_64_BIT: u32 = 1 << 1;
    }
}

/// Fields of `efi_info`, by their offset in `boot_params`.
pub mod efi_info {
    use crate::field::Field;

    /// [`SIGNATURE_64`] or [`SIGNATURE_32`].
    pub const LOADER_SIGNATURE: Field<u32> = Field::at(0x1c0);
    /// Lower 32 bits of the system table's address.
    pub const SYSTAB: Field<u32> = Field::at(0x1c4);
    /// Size of an entry of the memory map.
    pub const MEMDESC_SIZE: Field<u32> = Field::at(0x1c8);
    /// Version of the memory map.
    pub const MEMDESC_VERSION: Field<u32> = Field::at(0x1cc);
    /// Lower 32 bits of the memory map's address.
    pub const MEMMAP: Field<u32> = Field::at(0x1d0);
    /// Size of the memory map.
    pub const MEMMAP_SIZE: Field<u32> = Field::at(0x1d4);
    /// Upper 32 bits of [`SYSTAB`].
    pub const SYSTAB_HI: Field<u32> = Field::at(0x1d8);
    /// Upper 32 bits of [`MEMMAP`].
    pub const MEMMAP_HI: Field<u32> = Field::at(0x1dc);

    /// Value of [`LOADER_SIGNATURE`]: 64-bit firmware.
    pub const SIGNATURE_64: u32 = u32::from_le_bytes(*b"EL64");
    /// Value of [`LOADER_SIGNATURE`]: 32-bit firmware.
    pub const SIGNATURE_32: u32 = u32::from_le_bytes(*b"EL32");
}

/// Values of [`SECURE_BOOT`] (`enum efi_secureboot_mode`, `include/linux/efi.h`).
pub mod secure_boot {
    /// Unknown.
    pub const UNSET: u8 = 0;
    /// Not determined.
    pub const UNKNOWN: u8 = 1;
    /// Off.
    pub const DISABLED: u8 = 2;
    /// On.
    pub const ENABLED: u8 = 3;
}

const _: () = {
    let spans = [
        (SCREEN_INFO, SCREEN_INFO + SCREEN_INFO_SIZE),
        TBOOT_ADDR.span(),
        ACPI_RSDP_ADDR.span(),
        EXT_RAMDISK_IMAGE.span(),
        EXT_RAMDISK_SIZE.span(),
        EXT_CMD_LINE_PTR.span(),
        CC_BLOB_ADDRESS.span(),
        (EDID_INFO, EDID_INFO + EDID_INFO_SIZE),
        (EFI_INFO, EFI_INFO + EFI_INFO_SIZE),
        ALT_MEM_K.span(),
        E820_ENTRIES.span(),
        EDDBUF_ENTRIES.span(),
        EDD_MBR_SIG_BUF_ENTRIES.span(),
        SECURE_BOOT.span(),
        SENTINEL.span(),
        (setup_header::START, setup_header::END),
        (EDD_MBR_SIG_BUFFER, E820_TABLE),
        (E820_TABLE, E820_TABLE + E820_ENTRIES_MAX * crate::e820::SIZE),
        (EDDBUF, SIZE),
    ];
    assert!(are_apart(&spans, SIZE));
    assert!(screen_info::EXT_LFB_BASE.end() <= SCREEN_INFO_SIZE);
    assert!(efi_info::LOADER_SIGNATURE.offset() == EFI_INFO);
    assert!(efi_info::MEMMAP_HI.end() == EFI_INFO + EFI_INFO_SIZE);
};
