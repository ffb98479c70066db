//! Any text as each of the smaller files of `/proc`, `/sys` and `/boot`: no parser panics.
#![no_main]

use machine::process::Capability;
use machine::{
    amounts, boot_data, config, cpu, crash_notes, efi, firmware_map, kernel, module, page_flags, process, xen,
};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    let _ = amounts::parse(&text);
    let _ = boot_data::parse(bytes);
    let _ = efi::smbios_of_systab(&text);
    let _ = kernel::parse_limit(&text);
    let _ = cpu::parse(&text).map(|cpu| cpu.has("fpu"));
    let _ = crash_notes::parse_place(&text);
    let _ = crash_notes::parse_address(&text);
    let _ = crash_notes::parse_size(&text);
    let _ = firmware_map::parse_address(&text);
    let _ = kernel::parse_lockdown(&text);
    let _ = kernel::parse_switch(&text);
    if let Ok(release) = kernel::parse_release(&text) {
        assert!(!release.is_empty() && !release.contains('/'));
    }
    let _ = process::parse_status(&text).map(|capabilities| capabilities.has(Capability::SysBoot));
    let _ = process::parse_uid_map(&text);
    let _ = xen::parse_guest_type(&text);
    let _ = module::names_module(&text);
    if let Some(path) = module::listed_path(&text) {
        assert!(path.contains("kjump.ko"));
    }
    assert!(page_flags::parse(bytes).is_sorted_by(|range, next| range.end() < next.start().get()));
    let _ = config::Config::new("config", &text).get("CONFIG_KEXEC");
});
