//! `struct setup_header` of Linux on x86: where the kernel file and its loader tell each other of
//! themselves.
//!
//! Its offsets are the same in the kernel file and in [`boot_params`](crate::boot_params). Source:
//! `Documentation/arch/x86/boot.rst` ("The Real-Mode Kernel Header"),
//! `arch/x86/include/uapi/asm/bootparam.h`.

use crate::field::{Field, are_apart};

/// Offset of the first field.
pub const START: usize = 0x1f1;
/// Offset of the first byte after the fields of protocol 2.15; [`END_HINT`] is where a file's
/// header ends.
pub const END: usize = 0x26c;

/// Size of the setup code in sectors of 512 bytes, the boot sector aside; 0 stands for 4.
pub const SETUP_SECTS: Field<u8> = Field::at(0x1f1);
/// Whether the root file system is mounted read-only.
pub const ROOT_FLAGS: Field<u16> = Field::at(0x1f2);
/// Size of the protected-mode code in units of 16 bytes.
pub const SYSSIZE: Field<u32> = Field::at(0x1f4);
/// Obsolete.
pub const RAM_SIZE: Field<u16> = Field::at(0x1f8);
/// Video mode that the setup code is to set, as in [`vid_mode`].
pub const VID_MODE: Field<u16> = Field::at(0x1fa);
/// Default root device.
pub const ROOT_DEV: Field<u16> = Field::at(0x1fc);
/// [`BOOT_FLAG_MAGIC`].
pub const BOOT_FLAG: Field<u16> = Field::at(0x1fe);
/// A short jump: its second byte is [`END_HINT`].
pub const JUMP: Field<u16> = Field::at(0x200);
/// The header ends this many bytes after [`HEADER`]'s offset.
pub const END_HINT: Field<u8> = Field::at(0x201);
/// [`HEADER_MAGIC`].
pub const HEADER: Field<u32> = Field::at(0x202);
/// Protocol: major version in the upper byte, minor in the lower.
pub const VERSION: Field<u16> = Field::at(0x206);
/// Real-mode hook of the loader.
pub const REALMODE_SWTCH: Field<u32> = Field::at(0x208);
/// Obsolete.
pub const START_SYS_SEG: Field<u16> = Field::at(0x20c);
/// Offset of the kernel's version as text, less 0x200; 0 if there is none.
pub const KERNEL_VERSION: Field<u16> = Field::at(0x20e);
/// Who loads, one of [`loader`] in the upper four bits.
pub const TYPE_OF_LOADER: Field<u8> = Field::at(0x210);
/// Bits of [`load_flag`].
pub const LOADFLAGS: Field<u8> = Field::at(0x211);
/// Obsolete with protocol 2.02.
pub const SETUP_MOVE_SIZE: Field<u16> = Field::at(0x212);
/// Address of the protected-mode code's 32-bit entry point.
pub const CODE32_START: Field<u32> = Field::at(0x214);
/// Lower 32 bits of the initrd's address.
pub const RAMDISK_IMAGE: Field<u32> = Field::at(0x218);
/// Lower 32 bits of the initrd's size.
pub const RAMDISK_SIZE: Field<u32> = Field::at(0x21c);
/// Obsolete.
pub const BOOTSECT_KLUDGE: Field<u32> = Field::at(0x220);
/// End of the setup code's heap, less 0x200 (2.01).
pub const HEAP_END_PTR: Field<u16> = Field::at(0x224);
/// More of the loader's version (2.02).
pub const EXT_LOADER_VER: Field<u8> = Field::at(0x226);
/// More of the loader's type (2.02).
pub const EXT_LOADER_TYPE: Field<u8> = Field::at(0x227);
/// Lower 32 bits of the command line's address (2.02).
pub const CMD_LINE_PTR: Field<u32> = Field::at(0x228);
/// Highest address of an initrd's last byte (2.03), unless [`xload_flag::CAN_BE_LOADED_ABOVE_4G`]
/// is set.
pub const INITRD_ADDR_MAX: Field<u32> = Field::at(0x22c);
/// Alignment that the kernel wants if it is relocatable (2.05).
pub const KERNEL_ALIGNMENT: Field<u32> = Field::at(0x230);
/// Whether the protected-mode code may be at any aligned address (2.05).
pub const RELOCATABLE_KERNEL: Field<u8> = Field::at(0x234);
/// Binary logarithm of the smallest sufficient alignment (2.10).
pub const MIN_ALIGNMENT: Field<u8> = Field::at(0x235);
/// Bits of [`xload_flag`] (2.12).
pub const XLOADFLAGS: Field<u16> = Field::at(0x236);
/// Most bytes of a command line, its end aside (2.06).
pub const CMDLINE_SIZE: Field<u32> = Field::at(0x238);
/// Kind of machine, 0 for a PC (2.07).
pub const HARDWARE_SUBARCH: Field<u32> = Field::at(0x23c);
/// What goes with it (2.07).
pub const HARDWARE_SUBARCH_DATA: Field<u64> = Field::at(0x240);
/// Offset of the compressed kernel in the protected-mode code (2.08).
pub const PAYLOAD_OFFSET: Field<u32> = Field::at(0x248);
/// Size of the compressed kernel (2.08).
pub const PAYLOAD_LENGTH: Field<u32> = Field::at(0x24c);
/// Address of the first [`setup_data`](crate::setup_data), 0 for none (2.09).
pub const SETUP_DATA: Field<u64> = Field::at(0x250);
/// Address that the kernel would be at (2.10).
pub const PREF_ADDRESS: Field<u64> = Field::at(0x258);
/// Memory that the kernel needs, from its run-time start, before it reads the memory map (2.10).
pub const INIT_SIZE: Field<u32> = Field::at(0x260);
/// Offset of the EFI handover entry point (2.11).
pub const HANDOVER_OFFSET: Field<u32> = Field::at(0x264);
/// Offset of `struct kernel_info` in the protected-mode code (2.15).
pub const KERNEL_INFO_OFFSET: Field<u32> = Field::at(0x268);

/// Value of [`BOOT_FLAG`].
pub const BOOT_FLAG_MAGIC: u16 = 0xaa55;
/// Value of [`HEADER`]: `HdrS`.
pub const HEADER_MAGIC: u32 = u32::from_le_bytes(*b"HdrS");
/// Size of a sector.
pub const SECTOR: usize = 512;
/// Offset of the 64-bit entry point from the load address (boot.rst, "64-bit Boot Protocol").
pub const ENTRY_64: u64 = 0x200;
/// Value of [`INITRD_ADDR_MAX`] before protocol 2.03.
pub const INITRD_ADDR_MAX_BEFORE_2_03: u32 = 0x37ff_ffff;
/// Value of [`CMDLINE_SIZE`] before protocol 2.06.
pub const CMDLINE_SIZE_BEFORE_2_06: u32 = 255;

/// Values of [`VID_MODE`].
pub mod vid_mode {
    /// The mode that is set already, or 80x25.
    pub const NORMAL: u16 = 0xffff;
}

/// Values of the upper four bits of [`TYPE_OF_LOADER`].
pub mod loader {
    /// kexec.
    pub const KEXEC: u8 = 0xd;
}

/// Bits of [`LOADFLAGS`].
pub mod load_flag {
    /// The protected-mode code is loaded at 1 MiB, not at 64 KiB.
    pub const LOADED_HIGH: u8 = 1 << 0;
    /// Of the kernel's own: its address is random.
    pub const KASLR: u8 = 1 << 1;
    /// No early messages.
    pub const QUIET: u8 = 1 << 5;
    /// Segment registers are not reloaded at the 32-bit entry point (obsolete).
    pub const KEEP_SEGMENTS: u8 = 1 << 6;
    /// [`HEAP_END_PTR`](super::HEAP_END_PTR) is set.
    pub const CAN_USE_HEAP: u8 = 1 << 7;
}

/// Bits of [`XLOADFLAGS`].
pub mod xload_flag {
    /// There is a 64-bit entry point, [`ENTRY_64`](super::ENTRY_64) after the load address.
    pub const KERNEL_64: u16 = 1 << 0;
    /// Kernel, boot_params, command line and initrd may lie above 4 GiB.
    pub const CAN_BE_LOADED_ABOVE_4G: u16 = 1 << 1;
    /// There is a 32-bit EFI handover entry point.
    pub const EFI_HANDOVER_32: u16 = 1 << 2;
    /// There is a 64-bit EFI handover entry point.
    pub const EFI_HANDOVER_64: u16 = 1 << 3;
    /// EFI runtime services survive kexec.
    pub const EFI_KEXEC: u16 = 1 << 4;
    /// The kernel can use five page-table levels.
    pub const LEVELS_5: u16 = 1 << 5;
    /// The kernel uses five page-table levels if the CPU has them.
    pub const LEVELS_5_ENABLED: u16 = 1 << 6;
    /// The kernel can run with encrypted memory.
    pub const MEM_ENCRYPTION: u16 = 1 << 7;
}

const _: () = {
    let spans = [
        SETUP_SECTS.span(),
        ROOT_FLAGS.span(),
        SYSSIZE.span(),
        RAM_SIZE.span(),
        VID_MODE.span(),
        ROOT_DEV.span(),
        BOOT_FLAG.span(),
        JUMP.span(),
        HEADER.span(),
        VERSION.span(),
        REALMODE_SWTCH.span(),
        START_SYS_SEG.span(),
        KERNEL_VERSION.span(),
        TYPE_OF_LOADER.span(),
        LOADFLAGS.span(),
        SETUP_MOVE_SIZE.span(),
        CODE32_START.span(),
        RAMDISK_IMAGE.span(),
        RAMDISK_SIZE.span(),
        BOOTSECT_KLUDGE.span(),
        HEAP_END_PTR.span(),
        EXT_LOADER_VER.span(),
        EXT_LOADER_TYPE.span(),
        CMD_LINE_PTR.span(),
        INITRD_ADDR_MAX.span(),
        KERNEL_ALIGNMENT.span(),
        RELOCATABLE_KERNEL.span(),
        MIN_ALIGNMENT.span(),
        XLOADFLAGS.span(),
        CMDLINE_SIZE.span(),
        HARDWARE_SUBARCH.span(),
        HARDWARE_SUBARCH_DATA.span(),
        PAYLOAD_OFFSET.span(),
        PAYLOAD_LENGTH.span(),
        SETUP_DATA.span(),
        PREF_ADDRESS.span(),
        INIT_SIZE.span(),
        HANDOVER_OFFSET.span(),
        KERNEL_INFO_OFFSET.span(),
    ];
    assert!(are_apart(&spans, END));
    assert!(SETUP_SECTS.offset() == START && KERNEL_INFO_OFFSET.end() == END);
};
