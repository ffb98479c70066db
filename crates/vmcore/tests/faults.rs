//! Images that are unusual, foreign or hostile.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use std::collections::BTreeMap;

use phys::PAGE_SIZE;
use support::MemoryFile;
use vmcore::codec::{Codec, Effort};
use vmcore::select::Level;
use vmcore::write::{Compression, Pages, Progress, Settings, parts, write_elf, write_kdump};
use vmcore::{Flattener, FrameSet, MemoryImage, PhysRead, ReadAt, WriteAt};

const PAGE: usize = 1 << phys::PAGE_SHIFT;
const VIRT: u64 = 0xffff_8880_0000_0000;

/// A program header: kind, offset, virtual and physical address, size in the file and in memory.
type Header = (u32, u64, u64, u64, u64, u64);

/// A core file of an x86-64 machine with these program headers, then `data` at 0x10000.
fn core(headers: &[Header], data: &[u8]) -> Vec<u8> {
    let mut file = vec![0; 0x1_0000];
    file[..20].copy_from_slice(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x04\0\x3e\0");
    file[32] = 64;
    file[54] = 56;
    file[56..58].copy_from_slice(&u16::try_from(headers.len()).unwrap().to_le_bytes());
    for (header, (kind, offset, virt, phys, filesz, memsz)) in file[64..].chunks_exact_mut(56).zip(headers) {
        header[..4].copy_from_slice(&kind.to_le_bytes());
        for (at, value) in [(8, offset), (16, virt), (24, phys), (32, filesz), (40, memsz)] {
            header[at..at + 8].copy_from_slice(&value.to_le_bytes());
        }
    }
    file.extend(data);
    file
}

fn note(name: &str, kind: u32, contents: &[u8]) -> Vec<u8> {
    let size = |bytes: usize| u32::try_from(bytes).unwrap().to_le_bytes();
    let mut note = [size(name.len() + 1), size(contents.len()), kind.to_le_bytes()].concat();
    for part in [name.as_bytes(), contents] {
        note.extend(part);
        note.resize((note.len() + usize::from(part.len() == name.len())).next_multiple_of(4), 0);
    }
    note
}

/// A core file of pages from page 256 on: numbers, but every other one of the first is zeros.
fn small(pages: u64) -> Vec<u8> {
    let data: Vec<u8> =
        (0..pages).flat_map(|n| [if n % 2 == 0 { 0 } else { n.to_le_bytes()[0] }; PAGE]).collect();
    let (at, size) = (256 * PAGE_SIZE, pages * PAGE_SIZE);
    core(&[(1, 0x1_0000, VIRT + at, at, size, size)], &data)
}

fn refusal(file: &[u8]) -> String {
    MemoryImage::open(file).map(|_| ()).unwrap_err().to_string()
}

fn settings(level: u8) -> Settings {
    Settings {
        compression: Compression::Fixed(Effort::usual(Codec::Lzo)),
        level: Level::new(level).unwrap(),
        threads: 1,
        incomplete: false,
    }
}

fn kdump(image: &MemoryImage<'_>, level: u8, part: Option<(u64, u64)>) -> Vec<u8> {
    let statistics = BTreeMap::new();
    let kept = part.map_or(image.present().clone(), |(from, to)| image.present().between(from, to));
    let part = part.map(|(from, to)| (from, to, image.present()));
    let pages = Pages { kept: &kept, first: &[], part, statistics: &statistics };
    let out = MemoryFile::new();
    write_kdump(image, &pages, &settings(level), &out, &Progress::default()).unwrap();
    out.bytes()
}

#[test]
fn dumps_of_other_architectures_are_refused_by_name() {
    let mut file = small(3);
    file[18..20].copy_from_slice(&183_u16.to_le_bytes());
    assert_eq!(refusal(&file), "a dump of aarch64; only x86-64 is supported");
    let file = small(3);
    let mut dump = kdump(&MemoryImage::open(&file[..]).unwrap(), 0, None);
    dump[12 + 4 * 65..][..8].copy_from_slice(b"aarch64\0");
    assert_eq!(refusal(&dump), "a dump of aarch64; only x86-64 is supported");
    let text = note("VMCOREINFO", 0, b"OSRELEASE=6.8.0\nPAGESIZE=65536\n");
    let size = text.len() as u64;
    let data = [&text[..], &[7; PAGE]].concat();
    let file = core(&[(4, 0x1_0000, 0, 0, size, size), (1, 0x1_0000 + size, 0, 0x1000, 4096, 4096)], &data);
    assert_eq!(refusal(&file), "the page size is 0x10000; x86-64 has pages of 4096");
}

#[test]
fn files_without_memory_and_core_files_of_processes_are_refused() {
    assert_eq!(refusal(&core(&[], &[])), "the file describes no memory");
    let loads = [(1, 0x1_0000, 0x40_0000, 0, 4096, 4096), (1, 0x1_1000, 0x7f00_0000, 0, 4096, 4096)];
    assert_eq!(refusal(&core(&loads, &[1; 2 * PAGE])), "a core file of a process, not of a kernel");
    let mapped = note("CORE", 0x4649_4c45, &[0; 16]);
    let size = mapped.len() as u64;
    let headers = [(4, 0x1_0000, 0, 0, size, size), (1, 0x1_0000 + size, 0x40_0000, 0, 4096, 4096)];
    assert_eq!(
        refusal(&core(&headers, &[&mapped[..], &[1; PAGE]].concat())),
        "a core file of a process, not of a kernel"
    );
}

#[test]
fn parts_that_are_missing_repeated_or_of_another_dump_are_refused() {
    let file = small(300);
    let image = MemoryImage::open(&file[..]).unwrap();
    let dumps = |level| -> Vec<Vec<u8>> {
        let ranges = parts(image.present(), image.ram().end(), 3);
        ranges.into_iter().map(|range| kdump(&image, level, Some(range))).collect()
    };
    let (set, other) = (dumps(0), dumps(1));
    let open = |dumps: &[&[u8]]| MemoryImage::open_set(dumps.to_vec()).map(|set| set.present().count());
    let error = |dumps: &[&[u8]]| open(dumps).unwrap_err().to_string();
    assert_eq!(open(&[&set[2], &set[0], &set[1]]).unwrap(), 300);
    assert_eq!(error(&[&set[0], &set[2]]), "no part has the pages 0x180 to 0x1c0");
    assert_eq!(error(&[&set[0], &set[1]]), "no part has the pages 0x1c0 to 0x22c");
    assert_eq!(error(&[&set[0], &set[0], &set[1], &set[2]]), "more than one part has the pages 0x0 to 0x180");
    assert_eq!(error(&[&set[0], &other[1], &set[2]]), "the parts are of different memory images");
    let one = MemoryImage::open(&set[1][..]).unwrap();
    assert!(one.is_incomplete(), "a part alone is not all of the dump");
}

#[test]
fn a_dump_of_a_dump_keeps_its_level_and_has_a_name() {
    let file = small(8);
    let first = kdump(&MemoryImage::open(&file[..]).unwrap(), 1, None);
    let second = kdump(&MemoryImage::open(&first[..]).unwrap(), 16, None);
    let image = MemoryImage::open(&second[..]).unwrap();
    let header = image.header().unwrap();
    assert_eq!(header.level, 17);
    let name = |number: usize| {
        let bytes = &header.utsname[number * 65..(number + 1) * 65];
        bytes.iter().take_while(|byte| **byte != 0).count()
    };
    assert!([0, 2, 3, 4].into_iter().all(|number| name(number) > 0), "libkdumpfile needs these names");
}

#[test]
fn notes_may_be_large_but_not_larger_than_the_file() {
    let large = note("LINUX", 0x700, &vec![0; 70 << 20]);
    let size = large.len() as u64;
    let headers = [(4, 0x1_0000, 0, 0, size, size), (1, 0x1_0000 + size, 0, 0x1000, 4096, 4096)];
    let file = core(&headers, &[&large[..], &[7; PAGE]].concat());
    let image = MemoryImage::open(&file[..]).unwrap();
    assert_eq!(image.notes().len() as u64, size);
    let dump = kdump(&image, 0, None);
    assert_eq!(MemoryImage::open(&dump[..]).unwrap().notes().len() as u64, size);
    let many = [(4, 0x1_0000, 0, 0, 1 << 20, 1 << 20); 200];
    let message = refusal(&core(&many, &[0; 1 << 20]));
    assert!(message.starts_with("the size of all notes is 0x200000; the limit is 0x110000"), "{message}");
}

#[test]
fn a_stream_that_claims_petabytes_in_a_gap_is_refused() {
    let head = core(&[(1, 0x1000, 0, 0, 1 << 51, 1 << 51)], &[]);
    let stream = Flattener::new(Vec::new());
    stream.write_at(0, &head[..0x1000]).unwrap();
    stream.write_at((1 << 51) + 0xfff, b"x").unwrap();
    let message = refusal(&stream.finish().unwrap());
    assert!(
        message.starts_with("the size of all load headers is 0x8000000000000; the limit is"),
        "{message}"
    );
}

#[test]
fn memory_of_many_tebibytes_takes_little() {
    let size = 16_u64 << 40;
    let file = core(&[(1, 0x1_0000, 0, 0, 4096, 4096), (1, 0x1_1000, 0, 0x1000, 0, size)], &[1; PAGE]);
    let image = MemoryImage::open(&file[..]).unwrap();
    assert_eq!(image.ram().count(), size / PAGE_SIZE + 1);
    assert_eq!(image.present().count(), 1);
}

#[test]
fn an_elf_file_has_any_number_of_loads() {
    let count = 65_540_u64;
    let mut memory = FrameSet::new();
    (0..count).for_each(|n| memory.insert(2 * n, 2 * n + 1));
    let out = MemoryFile::new();
    write_elf(&Runs(memory), &FrameSet::new(), &settings(0), &out, &Progress::default()).unwrap();
    let file = out.bytes();
    let image = MemoryImage::open(&file[..]).unwrap();
    assert_eq!((image.ram().count(), image.present().count()), (count, 0));
}

/// Memory without a byte in the image.
struct Runs(FrameSet);

impl PhysRead for Runs {
    fn read_phys(&self, address: u64, _: &mut [u8]) -> vmcore::Result<()> {
        Err(vmcore::Error::Absent { pfn: address / PAGE_SIZE })
    }
}

impl vmcore::DumpSource for Runs {
    fn present(&self) -> &FrameSet {
        static NONE: std::sync::LazyLock<FrameSet> = std::sync::LazyLock::new(FrameSet::new);
        &NONE
    }

    fn ram(&self) -> &FrameSet {
        &self.0
    }

    fn notes(&self) -> &[u8] {
        &[]
    }

    fn virtual_address(&self, _: u64) -> Option<u64> {
        None
    }

    fn origin(&self) -> Option<vmcore::Origin<'_>> {
        None
    }
}

#[test]
fn a_load_that_starts_within_a_page_has_a_virtual_address_for_all_of_it() {
    let file = core(&[(1, 0x1_0000, VIRT + 0x1234, 0x1234, 0x2000, 0x2000)], &[1; 2 * PAGE]);
    let image = MemoryImage::open(&file[..]).unwrap();
    assert_eq!(image.virtual_address(0x1000), Some(VIRT + 0x1000));
    assert_eq!(image.virtual_address(0x1234), Some(VIRT + 0x1234));
    assert_eq!(image.virtual_address(0), None);
}

#[test]
fn a_stream_of_an_elf_file_has_its_pages_of_zeros() {
    let file = small(64);
    let image = MemoryImage::open(&file[..]).unwrap();
    let stream = Flattener::new(Vec::new());
    let written = write_elf(&image, image.present(), &settings(1), &stream, &Progress::default()).unwrap();
    let stream = vmcore::Flattened::open(stream.finish().unwrap()).unwrap();
    assert_eq!(stream.length(), written.length);
    // Only the gap after the headers is not stored.
    assert!(stream.length() - stream.stored() < 8192, "{} of {}", stream.stored(), stream.length());
}

#[test]
fn a_dump_with_pages_that_are_not_memory_has_them_as_an_elf_file() {
    let file = small(64);
    let image = MemoryImage::open(&file[..]).unwrap();
    let mut dump = kdump(&image, 0, None);
    // The first bitmap has the frames of memory. The header is a block, the sub-header is another.
    assert_eq!(dump[2 * PAGE + 32..2 * PAGE + 40], [0xff; 8]);
    dump[2 * PAGE + 32..2 * PAGE + 40].copy_from_slice(&[0, 0, 0, 0, 0, 0, 0, 0xf0]);
    let damaged = MemoryImage::open(&dump[..]).unwrap();
    assert_eq!((damaged.ram().count(), damaged.present().count()), (4, 64));
    let out = MemoryFile::new();
    write_elf(&damaged, damaged.present(), &settings(0), &out, &Progress::default()).unwrap();
    let elf = out.bytes();
    let elf = MemoryImage::open(&elf[..]).unwrap();
    assert!(elf.present() == image.present());
    for frame in image.present().iter() {
        let mut pages = [[0; PAGE], [1; PAGE]];
        elf.read_phys(frame.number() * PAGE_SIZE, &mut pages[0]).unwrap();
        image.read_phys(frame.number() * PAGE_SIZE, &mut pages[1]).unwrap();
        assert!(pages[0] == pages[1], "{frame:?}");
    }
}
