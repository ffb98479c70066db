//! Any bytes as an initrd: left alone, or at most LIMIT bytes of plain archives.
#![no_main]

use kernel_file::archive;

const LIMIT: u64 = 1 << 20;

libfuzzer_sys::fuzz_target!(|initrd: &[u8]| {
    if let Some(plain) = archive::without_compression(initrd, LIMIT) {
        assert!(plain.len() as u64 <= LIMIT + 4);
        assert_eq!(archive::without_compression(&plain, LIMIT), None);
    }
});
