//! Any bytes as a kernel file: an error, or valid segments that do not copy more than the file
//! contains.
#![no_main]

use kernel_file::{Mode, Program};

const PAGE: u64 = 4096;

libfuzzer_sys::fuzz_target!(|file: &[u8]| {
    if let Ok(program) = kernel_file::parse(file) {
        check(&program, file);
    }
    let address = file.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
    if let Ok(program) = kernel_file::flat::parse(file, address, Mode::Protected) {
        check(&program, file);
    }
});

fn check(program: &Program<'_>, file: &[u8]) {
    assert!(!program.segments.is_empty());
    let mut end = 0;
    let mut copied = 0;
    for segment in &program.segments {
        assert!(
            segment.address.is_multiple_of(PAGE) && segment.size.is_multiple_of(PAGE) && segment.size > 0
        );
        assert!(segment.address >= end);
        end = segment.address.checked_add(segment.size).expect("the segment ends in the address space");
        assert!(segment.bytes.len() as u64 <= segment.size);
        copied += segment.bytes.len();
    }
    // Each load header is at least 32 bytes of the file, and costs at most two pages of padding.
    assert!(copied <= file.len() + (file.len() / 32 + 1) * 2 * 4096);
}
