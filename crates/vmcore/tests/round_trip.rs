//! An image of a few pages, through every format and codec, whole and damaged.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use std::collections::BTreeMap;

use phys::PAGE_SIZE;
use proptest::prelude::*;
use support::MemoryFile;
use vmcore::codec::{Codec, Effort};
use vmcore::select::{Level, WriteOrder};
use vmcore::write::{Compression, Pages, Progress, Settings, Written, write_elf, write_kdump};
use vmcore::{Flattener, MemoryImage, PhysRead, WriteAt, select};

const PAGE: usize = 1 << phys::PAGE_SHIFT;

/// Pages of zeros, of one byte, of text and of noise, in two pieces of memory with a hole between
/// them.
fn pages() -> Vec<(u64, [u8; PAGE])> {
    let noise =
        |n: u64, at: usize| ((at as u64 + n).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40).to_le_bytes()[0];
    let page = |n: u64| -> [u8; PAGE] {
        std::array::from_fn(|at| match n % 4 {
            0 => 0,
            1 => n.to_le_bytes()[0],
            2 => b"a page of memory "[at % 17],
            _ => noise(n, at),
        })
    };
    (1..40).chain(70_000..70_300).map(|n| (n, page(n))).collect()
}

/// An ELF vmcore of these pages.
fn source() -> Vec<u8> {
    let pages = pages();
    let note = b"\x0b\0\0\0\x10\0\0\0\0\0\0\0VMCOREINFO\0\0OSRELEASE=6.1.0\n";
    let loads = [(1_u64, 39_u64, 1_u64), (70_000, 300, 40)];
    let mut file = vec![0; PAGE];
    file[..20].copy_from_slice(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x04\0\x3e\0");
    file[32..40].copy_from_slice(&64_u64.to_le_bytes());
    file[54..58].copy_from_slice(&[56, 0, 3, 0]);
    let mut header = |n: usize, kind: u32, numbers: [u64; 5]| {
        let at = 64 + n * 56;
        file[at..at + 4].copy_from_slice(&kind.to_le_bytes());
        for (index, number) in numbers.iter().enumerate() {
            file[at + 8 + index * 8..at + 16 + index * 8].copy_from_slice(&number.to_le_bytes());
        }
    };
    header(0, 4, [1024, 0, 0, note.len() as u64, note.len() as u64]);
    for (n, (first, count, at)) in loads.into_iter().enumerate() {
        let bytes = count * PAGE_SIZE;
        header(n + 1, 1, [at * PAGE_SIZE, first * PAGE_SIZE, first * PAGE_SIZE, bytes, bytes]);
    }
    file[1024..1024 + note.len()].copy_from_slice(note);
    pages.iter().for_each(|(_, page)| file.extend(page));
    file
}

fn settings(codec: Codec, level: u8) -> Settings {
    Settings {
        compression: Compression::Fixed(Effort::usual(codec)),
        level: Level::new(level).unwrap(),
        threads: 3,
        incomplete: false,
    }
}

static NO_STATISTICS: BTreeMap<String, u64> = BTreeMap::new();

fn all<'a>(image: &'a MemoryImage<'_>) -> Pages<'a> {
    Pages { kept: image.present(), first: &[], part: None, statistics: &NO_STATISTICS }
}

fn kdump(codec: Codec, level: u8, out: &impl WriteAt) -> Written {
    let source = source();
    let image = MemoryImage::open(&source[..]).unwrap();
    write_kdump(&image, &all(&image), &settings(codec, level), out, &Progress::default()).unwrap()
}

fn assert_same(file: &[u8]) {
    let image = MemoryImage::open(file).unwrap();
    for (number, page) in pages() {
        let mut read = [1; PAGE];
        image.read_phys(number * PAGE_SIZE, &mut read).unwrap();
        assert!(read == page, "page {number:#x}");
    }
    assert_eq!(image.present().count(), pages().len() as u64);
    assert_eq!(image.vmcoreinfo().unwrap().text("OSRELEASE"), Some("6.1.0"));
}

#[test]
fn every_codec_keeps_every_page() {
    for codec in Codec::ALL {
        for level in [0, 1] {
            let file = MemoryFile::new();
            let written = kdump(codec, level, &file);
            let file = file.bytes();
            assert_same(&file);
            assert_eq!(written.zero_pages, if level == 1 { 84 } else { 0 });
            assert_eq!(written.length, file.len() as u64);
        }
    }
}

#[test]
fn a_flattened_dump_is_read_as_it_is() {
    let flattener = Flattener::new(Vec::new());
    kdump(Codec::Lzo, 1, &flattener);
    assert_same(&flattener.finish().unwrap());
}

#[test]
fn an_elf_file_has_zeros_for_pages_of_zeros() {
    let source = source();
    let image = MemoryImage::open(&source[..]).unwrap();
    let file = MemoryFile::new();
    let written =
        write_elf(&image, image.present(), &settings(Codec::Raw, 1), &file, &Progress::default()).unwrap();
    let file = file.bytes();
    assert_same(&file);
    assert_eq!((written.zero_pages, written.stored[&Codec::Raw]), (84, pages().len() as u64 - 84));
}

#[test]
fn without_page_structures_every_page_is_kept_and_the_reason_given() {
    let source = source();
    let image = MemoryImage::open(&source[..]).unwrap();
    let selection =
        select(&image, image.present(), image.vmcoreinfo(), Level::new(31).unwrap(), WriteOrder::ByNeed, 2);
    assert_eq!(selection.kept.count(), pages().len() as u64);
    assert_eq!(selection.unknown, pages().len() as u64);
    assert!(selection.trouble.unwrap().to_string().contains("VMCOREINFO has no SYMBOL("));
}

#[test]
fn a_page_that_cannot_be_read_is_missing_and_the_dump_is_marked() {
    let file = MemoryFile::new();
    kdump(Codec::Zlib, 0, &file);
    let mut file = file.bytes();
    // The last pages are gone.
    file.truncate(file.len() - 300);
    let image = MemoryImage::open(&file[..]).unwrap();
    let again = MemoryFile::new();
    let written =
        write_kdump(&image, &all(&image), &settings(Codec::Lzo, 0), &again, &Progress::default()).unwrap();
    assert!(written.missing > 0 && written.trouble.is_some());
    let again = again.bytes();
    assert!(MemoryImage::open(&again[..]).unwrap().header().unwrap().is_incomplete());
}

/// Reads everything an image claims to have; it must end for any file.
fn read_all(file: &[u8]) {
    let Ok(image) = MemoryImage::open(file) else { return };
    let mut page = [0; PAGE];
    for number in image.present().iter().take(1000) {
        let _ = image.read_phys(number.address().get(), &mut page);
    }
    let _ =
        select(&image, image.present(), image.vmcoreinfo(), Level::new(31).unwrap(), WriteOrder::ByNeed, 1);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(60) })]

    #[test]
    fn damaged_images_are_refused_or_read_without_a_panic(
        format in 0_usize..4,
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), any::<bool>()), 1..40),
        length in any::<prop::sample::Index>(),
        cut in any::<bool>(),
    ) {
        let mut file = match format {
            0 => source(),
            1 => {
                let flattener = Flattener::new(Vec::new());
                kdump(Codec::Zstd, 1, &flattener);
                flattener.finish().unwrap()
            }
            n => {
                let file = MemoryFile::new();
                kdump([Codec::Lzo, Codec::Snappy][n - 2], 1, &file);
                file.bytes()
            }
        };
        // Half of the damage is in the headers.
        for (index, byte, in_headers) in damage {
            let end = if in_headers { file.len().min(10_000) } else { file.len() };
            file[index.index(end)] = byte;
        }
        if cut {
            file.truncate(length.index(file.len()));
        }
        read_all(&file);
    }
}

/// An ELF vmcore of a load of pages from page 4096 on, and more loads, of one page each, inside it.
fn overlapping(pages: u64, inner: u64) -> Vec<u8> {
    let (base, data) = (4096 * PAGE_SIZE, 16 * PAGE_SIZE);
    let mut loads = vec![(base, pages * PAGE_SIZE, data)];
    loads.extend((1..=inner).map(|n| (base + n * PAGE_SIZE, PAGE_SIZE, data + n * PAGE_SIZE)));
    let mut file = vec![0; usize::try_from(data).unwrap()];
    file[..20].copy_from_slice(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x04\0\x3e\0");
    file[32] = 64;
    file[54] = 56;
    file[56..58].copy_from_slice(&u16::try_from(loads.len()).unwrap().to_le_bytes());
    for (index, (phys, size, offset)) in loads.into_iter().enumerate() {
        let header = &mut file[64 + index * 56..];
        header[0] = 1;
        for (at, value) in [(8, offset), (24, phys), (32, size), (40, size)] {
            header[at..at + 8].copy_from_slice(&value.to_le_bytes());
        }
    }
    file.extend((0..pages).flat_map(|n| [u8::try_from(n % 251).unwrap() + 1; PAGE]));
    file
}

#[test]
fn pages_of_a_load_are_read_past_any_number_of_loads_inside_it() {
    for inner in [1, 63, 64, 65, 300] {
        let file = overlapping(400, inner);
        let image = MemoryImage::open(&file[..]).unwrap();
        assert_eq!(image.present().count(), 400);
        for n in 0..400 {
            let mut page = [0; PAGE];
            image.read_phys((4096 + n) * PAGE_SIZE, &mut page).unwrap();
            assert_eq!(
                page,
                [u8::try_from(n % 251).unwrap() + 1; PAGE],
                "page {n} with {inner} loads inside"
            );
        }
    }
}
