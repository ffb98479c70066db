//! Any files as a split set: an error, or an image whose pages can be read. Each file is preceded
//! by its length in 4 bytes.
#![no_main]

use vmcore::{MemoryImage, PhysRead};

/// Files at most.
const FILES: usize = 4;
/// Pages to read at most: an image may claim to have any number.
const MOST: usize = 200;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let (mut files, mut rest) = (Vec::new(), bytes);
    while let Some((length, after)) = rest.split_first_chunk::<4>()
        && files.len() < FILES
    {
        let length = usize::try_from(u32::from_le_bytes(*length)).unwrap_or(usize::MAX);
        let (file, others) = after.split_at(length.min(after.len()));
        files.push(file);
        rest = others;
    }
    let Ok(image) = MemoryImage::open_set(files) else { return };
    assert!(image.present().without(image.ram()).count() <= image.present().count());
    let mut page = [0; 4096];
    for number in image.present().iter().take(MOST) {
        let _ = image.read_phys(number.address().get(), &mut page);
    }
});
