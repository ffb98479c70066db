//! Any bytes as a kernel's ELF file: an error, or the facts of a kernel.
#![no_main]

use vmcore::Vmlinux;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Ok(kernel) = Vmlinux::parse(bytes) else { return };
    if let Ok(info) = kernel.vmcoreinfo() {
        assert!(info.text("OSRELEASE").is_some() && info.number("SECTION_SIZE_BITS").is_ok());
    }
});
