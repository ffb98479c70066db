//! Any bytes as a kernel file of every format except ELF: an error, or parts that lie in the file.
#![no_main]

use kernel_file::multiboot::Multiboot;
use kernel_file::{BzImage, Format, Uki, Zboot, multiboot};

libfuzzer_sys::fuzz_target!(|file: &[u8]| {
    let _ = Format::recognise(file);
    if let Some(header) = multiboot::find(file) {
        assert!(header.offset + header.size <= file.len());
    }
    let _ = kernel_file::is_signed(file);
    for version in [Multiboot::One, Multiboot::Two] {
        let Ok(image) = multiboot::load(file, version) else { continue };
        assert!(!image.program.segments.is_empty());
        for segment in &image.program.segments {
            assert!(segment.bytes.len() as u64 <= segment.size);
            assert!(segment.address.checked_add(segment.size).is_some());
        }
    }
    if let Ok(kernel) = BzImage::parse(file) {
        assert_eq!(kernel.setup.len() + kernel.kernel.len(), file.len());
        assert!(kernel.header.len() <= 0x290 - 0x1f1);
        assert!(!kernel.kernel.is_empty() && kernel.memory >= kernel.kernel.len() as u64);
        assert!(kernel.alignment.is_none_or(u64::is_power_of_two));
        within(file, kernel.payload);
        within(file, kernel.version);
    }
    if let Ok(uki) = Uki::parse(file) {
        assert!(!uki.linux.is_empty());
        let others = [uki.initrd, uki.microcode, uki.command_line, uki.release, uki.os_release];
        others.into_iter().chain([Some(uki.linux)]).for_each(|part| within(file, part));
    }
    if let Ok(zboot) = Zboot::parse(file) {
        within(file, Some(zboot.payload));
    }
});

fn within(file: &[u8], part: Option<&[u8]>) {
    let Some(part) = part.filter(|part| !part.is_empty()) else { return };
    let (whole, part) = (file.as_ptr_range(), part.as_ptr_range());
    assert!(whole.start <= part.start && part.end <= whole.end);
}
