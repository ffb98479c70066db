//! The fields of a plan's `boot_params`, printed.

use std::fmt::Write;

use abi::boot_params as params;
use abi::boot_params::{efi_info, screen_info};
use abi::{Field, setup_header as header};
use plan::LoadPlan;

/// The fields that are not zero; empty if the plan has no `boot_params`.
pub(super) fn text(plan: &LoadPlan<'_>) -> String {
    plan.boot_params().map(fields).unwrap_or_default()
}

fn fields(bytes: &[u8]) -> String {
    let byte = |field: Field<u8>| u64::from(field.read(bytes).unwrap_or(0));
    let half = |field: Field<u16>| u64::from(field.read(bytes).unwrap_or(0));
    let word = |field: Field<u32>| u64::from(field.read(bytes).unwrap_or(0));
    let long = |field: Field<u64>| field.read(bytes).unwrap_or(0);
    let wide = |low: Field<u32>, high: Field<u32>| word(low) | word(high) << 32;
    let fields = [
        ("protocol", half(header::VERSION)),
        ("type_of_loader", byte(header::TYPE_OF_LOADER)),
        ("loadflags", byte(header::LOADFLAGS)),
        ("xloadflags", half(header::XLOADFLAGS)),
        ("code32_start", word(header::CODE32_START)),
        ("cmd_line_ptr", wide(header::CMD_LINE_PTR, params::EXT_CMD_LINE_PTR)),
        ("ramdisk_image", wide(header::RAMDISK_IMAGE, params::EXT_RAMDISK_IMAGE)),
        ("ramdisk_size", wide(header::RAMDISK_SIZE, params::EXT_RAMDISK_SIZE)),
        ("setup_data", long(header::SETUP_DATA)),
        ("acpi_rsdp_addr", long(params::ACPI_RSDP_ADDR)),
        ("e820_entries", byte(params::E820_ENTRIES)),
        ("eddbuf_entries", byte(params::EDDBUF_ENTRIES)),
        ("secure_boot", byte(params::SECURE_BOOT)),
        ("efi systab", wide(efi_info::SYSTAB, efi_info::SYSTAB_HI)),
        ("efi memmap", wide(efi_info::MEMMAP, efi_info::MEMMAP_HI)),
        ("efi memmap_size", word(efi_info::MEMMAP_SIZE)),
        ("screen type", byte(screen_info::ORIG_VIDEO_IS_VGA)),
        ("framebuffer", wide(screen_info::LFB_BASE, screen_info::EXT_LFB_BASE)),
        ("framebuffer width", half(screen_info::LFB_WIDTH)),
        ("framebuffer height", half(screen_info::LFB_HEIGHT)),
    ];
    let mut text = "boot_params, where not 0:\n".to_owned();
    for (name, number) in fields.into_iter().filter(|&(_, number)| number != 0) {
        let _ = writeln!(text, "  {name:<20}{number:#x}");
    }
    text
}
