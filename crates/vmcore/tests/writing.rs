//! What a dump has besides its pages: order, checksums, parts.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use phys::PAGE_SIZE;
use support::MemoryFile;
use vmcore::codec::{Codec, Effort};
use vmcore::manifest::Damage;
use vmcore::select::Level;
use vmcore::write::{
    Compression, Pages, Progress, Settings, Written, parts, write_elf, write_flat, write_kdump,
};
use vmcore::{DumpSource, Error, FrameSet, MemoryImage, Origin, PhysRead, ReadAt, notes};

const PAGE: usize = 1 << phys::PAGE_SHIFT;

fn page(n: u64) -> [u8; PAGE] {
    std::array::from_fn(|at| match n % 3 {
        0 => 0,
        1 => b"text of a page "[at % 15],
        _ => (n.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_mul(at as u64 | 1) >> 37).to_le_bytes()[0],
    })
}

/// An ELF vmcore of one load, 500 pages from page 100.
fn source() -> Vec<u8> {
    let mut file = vec![0; PAGE];
    file[..20].copy_from_slice(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x04\0\x3e\0");
    file[32] = 64;
    file[54..58].copy_from_slice(&[56, 0, 1, 0]);
    file[64] = 1;
    for (at, value) in [(72, PAGE_SIZE), (88, 100 * PAGE_SIZE), (96, 500 * PAGE_SIZE), (104, 500 * PAGE_SIZE)]
    {
        file[at..at + 8].copy_from_slice(&u64::to_le_bytes(value));
    }
    (100..600).for_each(|n| file.extend(page(n)));
    file
}

fn set(from: u64, to: u64) -> FrameSet {
    let mut set = FrameSet::new();
    set.insert(from, to);
    set
}

fn settings(threads: usize) -> Settings {
    Settings {
        compression: Compression::Fixed(Effort::usual(Codec::Lzo)),
        level: Level::new(1).unwrap(),
        threads,
        incomplete: false,
    }
}

fn write(first: &[&FrameSet], threads: usize, out: &MemoryFile) -> vmcore::Result<Written> {
    let source = source();
    let image = MemoryImage::open(&source[..]).unwrap();
    let statistics: BTreeMap<_, _> = [("excluded_free".to_owned(), 77)].into();
    let pages = Pages { kept: image.present(), first, part: None, statistics: &statistics };
    write_kdump(&image, &pages, &settings(threads), out, &Progress::default())
}

fn assert_page(image: &MemoryImage<'_>, n: u64) {
    let mut read = [1; PAGE];
    image.read_phys(n * PAGE_SIZE, &mut read).unwrap();
    assert!(read == page(n), "page {n}");
}

#[test]
fn a_dump_has_statistics_and_correct_checksums() {
    let out = MemoryFile::new();
    let written = write(&[&set(300, 310), &set(120, 140)], 3, &out).unwrap();
    let file = out.bytes();
    assert_eq!(written.length, file.len() as u64);
    let image = MemoryImage::open(&file[..]).unwrap();
    let statistics = image.manifest().unwrap().statistics;
    assert_eq!((statistics["excluded_free"], statistics["zero_pages"]), (77, written.zero_pages));
    let mut damages = Vec::new();
    assert!(image.check_sums(|damage| damages.push(damage)).unwrap());
    assert_eq!(damages, []);
    (100..600).for_each(|n| assert_page(&image, n));
}

#[test]
fn every_changed_byte_is_found_by_a_checksum() {
    let out = MemoryFile::new();
    write(&[&set(300, 310)], 2, &out).unwrap();
    let good = out.bytes();
    let descriptors = 4 * PAGE;
    for (at, what) in [
        (20, Some(Damage::Head)),
        (PAGE + 200, Some(Damage::Head)),
        (2 * PAGE + 20, None),
        (descriptors + 40, Some(Damage::Descriptors)),
        (good.len() - 60_000, None),
    ] {
        let mut bad = good.clone();
        bad[at] ^= 0x10;
        let Ok(image) = MemoryImage::open(&bad[..]) else { continue };
        let mut damages = Vec::new();
        assert!(image.check_sums(|damage| damages.push(damage)).unwrap(), "{at:#x}");
        assert!(!damages.is_empty(), "{at:#x}");
        if let Some(what) = what {
            assert_eq!(damages, [what], "{at:#x}");
        }
    }
}

#[test]
fn a_dump_that_ran_out_of_room_has_the_vital_pages() {
    let out = MemoryFile::new();
    write(&[&set(550, 600)], 1, &out).unwrap();
    let whole = out.bytes().len();
    let out = MemoryFile::with_room(whole / 2);
    let error = write(&[&set(550, 600)], 1, &out).unwrap_err();
    assert!(matches!(error, Error::Write { source, .. } if source.kind() == io::ErrorKind::StorageFull));
    let file = out.bytes();
    let image = MemoryImage::open(&file[..]).unwrap();
    assert!(image.header().unwrap().is_incomplete());
    (550..600).for_each(|n| assert_page(&image, n));
    let mut read = [0; PAGE];
    assert!(matches!(image.read_phys(500 * PAGE_SIZE, &mut read), Err(Error::Missing { pfn: 500 })));
}

#[test]
fn parts_are_one_image_again() {
    let source = source();
    let image = MemoryImage::open(&source[..]).unwrap();
    let statistics = BTreeMap::new();
    let files: Vec<Vec<u8>> = parts(image.present(), image.ram().end(), 3)
        .into_iter()
        .map(|(from, to)| {
            let kept = image.present().within(&set(from, to));
            let part = Some((from, to, image.present()));
            let pages = Pages { kept: &kept, first: &[&set(0, 200)], part, statistics: &statistics };
            let out = MemoryFile::new();
            write_kdump(&image, &pages, &settings(2), &out, &Progress::default()).unwrap();
            out.bytes()
        })
        .collect();
    for file in &files {
        let part = MemoryImage::open(&file[..]).unwrap();
        assert!(part.present().count().abs_diff(500 / 3) <= 64);
        assert!(part.check_sums(|damage| panic!("{damage:?}")).unwrap());
    }
    let whole = MemoryImage::open_set(files.iter().map(Vec::as_slice).collect()).unwrap();
    assert_eq!(whole.present().count(), 500);
    assert_eq!(whole.header().unwrap().part, None);
    (100..600).for_each(|n| assert_page(&whole, n));
    assert!(matches!(MemoryImage::open_set(vec![&source[..]]), Err(Error::NotAPart)));
}

#[test]
fn plain_memory_has_each_page_at_its_address() {
    let source = source();
    let image = MemoryImage::open(&source[..]).unwrap();
    let out = MemoryFile::new();
    let written = write_flat(&image, image.present(), &settings(2), &out, &Progress::default()).unwrap();
    let mut file = out.bytes();
    file.resize(usize::try_from(written.length).unwrap(), 0);
    for n in 100..600 {
        let at = usize::try_from(n).unwrap() * PAGE;
        assert!(file[at..at + PAGE] == page(n), "page {n}");
    }
}

/// The image, on a disk with bad blocks in the middle. Every other call is interrupted.
struct BadDisk(Vec<u8>, AtomicU64);

impl BadDisk {
    const BAD: std::ops::Range<u64> = 301 * PAGE_SIZE..305 * PAGE_SIZE + 1;
}

impl ReadAt for BadDisk {
    fn length(&self) -> u64 {
        self.0.length()
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        if self.1.fetch_add(1, Ordering::Relaxed).is_multiple_of(2) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        if offset < Self::BAD.end && offset + buffer.len() as u64 > Self::BAD.start {
            return Err(io::Error::other("a bad block"));
        }
        self.0.read_at(offset, buffer)
    }
}

#[test]
fn unreadable_pages_are_missing_and_all_others_are_present() {
    let image = MemoryImage::open(BadDisk(source(), AtomicU64::new(0))).unwrap();
    let statistics = BTreeMap::new();
    let pages = Pages { kept: image.present(), first: &[], part: None, statistics: &statistics };
    let [out, elf, flat] = [(); 3].map(|()| MemoryFile::new());
    let (settings, progress) = (settings(2), Progress::default());
    // The file's first page is its header, and the first page of memory is page 100.
    let bad = 400..405;
    for written in [
        write_kdump(&image, &pages, &settings, &out, &progress).unwrap(),
        write_elf(&image, image.present(), &settings, &elf, &progress).unwrap(),
        write_flat(&image, image.present(), &settings, &flat, &progress).unwrap(),
    ] {
        assert_eq!(written.missing, 5);
        assert!(written.trouble.unwrap().contains("cannot read 4096 bytes"));
    }
    let (out, elf, flat) = (out.bytes(), elf.bytes(), flat.bytes());
    let [dump, elf] = [&out, &elf].map(|file| MemoryImage::open(&file[..]).unwrap());
    assert!(dump.header().unwrap().is_incomplete());
    for n in (100..600).filter(|n| !bad.contains(n)) {
        assert_page(&dump, n);
        let at = usize::try_from(n).unwrap() * PAGE;
        assert!(flat.get(at..at + PAGE).is_none_or(|found| found == page(n)), "page {n}");
        if n % 3 != 0 {
            assert_page(&elf, n);
        }
    }
    for n in bad {
        assert!(
            matches!(dump.read_phys(n * PAGE_SIZE, &mut [0; PAGE]), Err(Error::Missing { pfn }) if pfn == n)
        );
    }
}

#[test]
fn a_dump_of_a_truncated_source_is_marked_and_has_all_of_its_pages() {
    let mut source = source();
    source.truncate(PAGE * 301);
    let image = MemoryImage::open(&source[..]).unwrap();
    assert_eq!((image.present().count(), image.cut_off(), image.is_incomplete()), (300, 200, false));
    let statistics = BTreeMap::new();
    let pages = Pages { kept: image.present(), first: &[], part: None, statistics: &statistics };
    let [out, elf] = [(); 2].map(|()| MemoryFile::new());
    let settings = Settings { incomplete: true, ..settings(2) };
    let progress = Progress::default();
    for written in [
        write_kdump(&image, &pages, &settings, &out, &progress).unwrap(),
        write_elf(&image, image.present(), &settings, &elf, &progress).unwrap(),
    ] {
        assert_eq!(written.missing, 0);
    }
    for file in [out.bytes(), elf.bytes()] {
        let dump = MemoryImage::open(&file[..]).unwrap();
        assert!(dump.is_incomplete());
        assert_eq!(dump.cut_off(), 0);
        assert!(dump.check_sums(|damage| panic!("{damage:?}")).is_ok());
        (100..400).filter(|n| n % 3 != 0).for_each(|n| assert_page(&dump, n));
    }
}

/// The pages of an ELF file from which `count` pages from 105 on are excluded.
fn elf_without(count: u64) -> FrameSet {
    let source = source();
    let image = MemoryImage::open(&source[..]).unwrap();
    let kept = set(100, 600).without(&set(105, 105 + count));
    let settings = Settings { level: Level::ALL_PAGES, ..settings(2) };
    let file = MemoryFile::new();
    let written = write_elf(&image, &kept, &settings, &file, &Progress::default()).unwrap();
    let file = file.bytes();
    let again = MemoryImage::open(&file[..]).unwrap();
    assert_eq!(again.ram().count(), 500);
    assert_eq!(written.stored[&Codec::Raw], again.present().count());
    again.present().iter().for_each(|frame| assert_page(&again, frame.number()));
    again.present().clone()
}

#[test]
fn an_elf_file_leaves_out_excluded_pages_from_256_in_a_row() {
    assert!(elf_without(255) == set(100, 600));
    assert!(elf_without(256) == set(100, 600).without(&set(105, 361)));
    assert!(elf_without(495) == set(100, 105));
}

#[test]
fn an_elf_file_claims_no_pages_that_its_source_does_not_have() {
    let source = source();
    let image = MemoryImage::open(&source[..]).unwrap();
    let kept = set(100, 600).without(&set(105, 110)).without(&set(101, 102));
    let pages = Pages { kept: &kept, first: &[], part: None, statistics: &BTreeMap::new() };
    let dump = MemoryFile::new();
    write_kdump(&image, &pages, &settings(2), &dump, &Progress::default()).unwrap();
    let dump = dump.bytes();
    let image = MemoryImage::open(&dump[..]).unwrap();
    let file = MemoryFile::new();
    // Excluded pages next to pages that the image does not have.
    let kept = kept.without(&set(102, 104)).without(&set(300, 310));
    write_elf(&image, &kept, &settings(2), &file, &Progress::default()).unwrap();
    let file = file.bytes();
    let again = MemoryImage::open(&file[..]).unwrap();
    again.present().iter().for_each(|frame| assert_page(&again, frame.number()));
    assert!(again.present().contains(phys::Pfn::new(305).unwrap()));
    assert_eq!(again.present().without(image.present()).count(), 0);
}

/// Pages with some bytes erased, as the source of a dump.
struct WithoutKey<'a>(MemoryImage<'a>);

const COMMANDS: &[u8] = b"erase key size 32\n";

impl PhysRead for WithoutKey<'_> {
    fn read_phys(&self, address: u64, buffer: &mut [u8]) -> vmcore::Result<()> {
        self.0.read_phys(address, buffer)
    }
}

impl DumpSource for WithoutKey<'_> {
    fn present(&self) -> &FrameSet {
        self.0.present()
    }

    fn ram(&self) -> &FrameSet {
        self.0.ram()
    }

    fn notes(&self) -> &[u8] {
        self.0.notes()
    }

    fn virtual_address(&self, phys: u64) -> Option<u64> {
        self.0.virtual_address(phys)
    }

    fn origin(&self) -> Option<Origin<'_>> {
        None
    }

    fn erased(&self) -> &[u8] {
        COMMANDS
    }
}

#[test]
fn the_commands_that_erased_data_are_in_the_dump_and_in_dumps_made_from_it() {
    let source = source();
    let image = WithoutKey(MemoryImage::open(&source[..]).unwrap());
    let none = BTreeMap::new();
    let dump = |image: &dyn DumpSource, elf: bool| {
        let out = MemoryFile::new();
        let pages = Pages { kept: image.present(), first: &[], part: None, statistics: &none };
        let progress = Progress::default();
        match elf {
            true => write_elf(image, image.present(), &settings(1), &out, &progress).unwrap(),
            false => write_kdump(image, &pages, &settings(1), &out, &progress).unwrap(),
        };
        out.bytes()
    };
    let mut files = vec![dump(&image, false), dump(&image, true)];
    for (first, elf) in [(0, true), (1, false), (0, false), (1, true)] {
        let again = dump(&MemoryImage::open(&files[first][..]).unwrap(), elf);
        files.push(again);
    }
    for file in &files {
        let image = MemoryImage::open(&file[..]).unwrap();
        assert_eq!(image.erased(), COMMANDS);
        assert!(notes::iter(image.notes()).filter(|note| note.name == b"ERASEINFO").count() <= 1);
        assert_page(&image, 301);
        image.check_sums(|damage| panic!("{damage:?}")).unwrap();
    }
    let cut = &files[0][..files[0].len() - 10];
    assert_eq!(MemoryImage::open(cut).unwrap().erased(), COMMANDS, "the commands are near the start");
}
