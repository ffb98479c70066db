//! Any bytes as the kernel inside a bzImage: an error, or a kernel that can be moved.
#![no_main]

use kernel_file::Unpacked;

libfuzzer_sys::fuzz_target!(|payload: &[u8]| {
    if let Ok(mut kernel) = Unpacked::parse(payload) {
        assert!(kernel.bytes.len() as u64 <= kernel.memory && kernel.entry < kernel.memory);
        kernel.relocate(0x20_0000);
    }
});
