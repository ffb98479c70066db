//! Any bytes as a hibernation file: an error, or an image whose blocks can be read.
//!
//! The first 20 KiB are the state and the header, the rest is what is at 1 MiB. Checksums are made
//! to fit, as nothing would get past them otherwise.
#![no_main]

use hibernation::testing::reseal;
use hibernation::{Facts, Image, Key, MemoryDisk, load_header};

const HEAD: usize = 5 * 4096;
const PAYLOAD: usize = 1 << 20;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let (head, rest) = input.split_at(input.len().min(HEAD));
    let mut file = vec![0; PAYLOAD + rest.len().max(PAYLOAD)];
    file[..head.len()].copy_from_slice(head);
    file[PAYLOAD..PAYLOAD + rest.len()].copy_from_slice(rest);
    reseal(&mut file);
    let disk = MemoryDisk::new(file);
    if let Ok((_, Some(header))) = load_header(&disk) {
        let _ = header.facts.mismatches(&Facts::default());
    }
    let _ = Image::open(&disk, Some(Key::File(&[1; 16])));
    let Ok(image) = Image::open(&disk, None) else { return };
    let mut reader = image.reader();
    let mut pages = 0;
    for number in 0..image.blocks().len() {
        if let Ok((block, bytes)) = reader.get(number) {
            assert_eq!(block.pages() * 4096, bytes.len() as u64);
        }
        pages += image.blocks()[number].pages();
    }
    let all: u64 = image.runs().iter().map(|run| run.count).sum();
    assert_eq!((all, pages), (image.header().pages, all - image.header().zero_pages));
});
