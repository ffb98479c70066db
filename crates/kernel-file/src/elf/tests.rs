use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::Segment;
use abi::page_list::PAGE_SIZE;

/// A program header of a test file.
#[derive(Clone, Debug)]
struct Header {
    kind: u32,
    virt: u64,
    phys: u64,
    bytes: Vec<u8>,
    memsz: u64,
}

fn load(phys: u64, bytes: &[u8], memsz: u64) -> Header {
    Header { kind: 1, virt: phys, phys, bytes: bytes.to_vec(), memsz }
}

fn put<T: Number + TryFrom<u64, Error: std::fmt::Debug>>(bytes: &mut [u8], field: Field<T>, number: u64) {
    assert!(field.write(bytes, number.try_into().unwrap()));
}

/// An ELF file with these headers, its bytes after them.
fn build<A: Number + TryFrom<u64, Error: std::fmt::Debug>>(
    (class, number, machine): (&Class<A>, u8, u16),
    entry: u64,
    headers: &[Header],
) -> Vec<u8> {
    let (layout, program) = (&class.file_header, &class.program_header);
    let mut file = vec![0; layout.size];
    file[..4].copy_from_slice(&MAGIC);
    put(&mut file, ident::CLASS, number.into());
    put(&mut file, ident::DATA, 1);
    put(&mut file, layout.kind, 2);
    put(&mut file, layout.machine, machine.into());
    put(&mut file, layout.entry, entry);
    put(&mut file, layout.program_headers, layout.size as u64);
    put(&mut file, layout.program_header_size, program.size as u64);
    put(&mut file, layout.program_header_count, headers.len() as u64);
    let mut offset = layout.size + headers.len() * program.size;
    for header in headers {
        let mut bytes = vec![0; program.size];
        put(&mut bytes, program.kind, header.kind.into());
        put(&mut bytes, program.offset, offset as u64);
        put(&mut bytes, program.virt, header.virt);
        put(&mut bytes, program.phys, header.phys);
        put(&mut bytes, program.file_size, header.bytes.len() as u64);
        put(&mut bytes, program.memory_size, header.memsz);
        file.extend(bytes);
        offset += header.bytes.len();
    }
    for header in headers {
        file.extend(&header.bytes);
    }
    file
}

fn build_32(entry: u64, headers: &[Header]) -> Vec<u8> {
    build((&CLASS_32, 1, 3), entry, headers)
}

fn build_entered_64(entry: u64, headers: &[Header]) -> Vec<u8> {
    build((&CLASS_64, 2, 62), entry, headers)
}

fn build_64(headers: &[Header]) -> Vec<u8> {
    build_entered_64(0x10_0000, headers)
}

fn shapes(program: &Program<'_>) -> Vec<(u64, u64, usize)> {
    program.segments.iter().map(|segment| (segment.address, segment.size, segment.bytes.len())).collect()
}

#[test]
fn each_load_header_becomes_whole_pages_with_the_rest_zero() {
    let file = build_64(&[load(0x10_0000, &[1; 0x1800], 0x1800), load(0x20_0000, &[2; 16], 0x5001)]);
    let program = parse(&file).unwrap();
    assert_eq!(shapes(&program), [(0x10_0000, 0x2000, 0x1800), (0x20_0000, 0x6000, 16)]);
    assert_eq!((program.entry, program.mode), (0x10_0000, Mode::Long));
}

#[test]
fn a_32_bit_file_is_for_protected_mode() {
    let file = build_32(0x8004, &[load(0x8000, &[1; 8], 8)]);
    let program = parse(&file).unwrap();
    assert_eq!((program.entry, program.mode), (0x8004, Mode::Protected));
    assert_eq!(shapes(&program), [(0x8000, 0x1000, 8)]);
}

#[test]
fn load_headers_that_meet_in_a_page_share_a_segment() {
    let file = build_64(&[load(0x10_1010, &[2; 16], 0x2000), load(0x10_0000, &[1; 0x1008], 0x1008)]);
    let program = parse(&file).unwrap();
    assert_eq!(shapes(&program), [(0x10_0000, 0x4000, 0x1020)]);
    let bytes = &program.segments[0].bytes;
    assert_eq!((bytes[0x1007], bytes[0x1008], bytes[0x100f], bytes[0x1010]), (1, 0, 0, 2));
    assert_eq!(program.segments[0].name, "load header 1, load header 0");
}

#[test]
fn zeros_before_a_shared_page_take_no_memory() {
    let terabyte = 1 << 40;
    let file = build_64(&[load(0x10_0000, &[1; 8], terabyte), load(0x10_0000 + terabyte, &[2; 8], 8)]);
    assert_eq!(shapes(&parse(&file).unwrap()), [(0x10_0000, terabyte, 8), (0x10_0000 + terabyte, 0x1000, 8)]);
    let file = build_64(&[load(0x10_0000, &[1; 8], terabyte + 4), load(0x10_0010 + terabyte, &[2; 8], 8)]);
    assert_eq!(
        shapes(&parse(&file).unwrap()),
        [(0x10_0000, terabyte, 8), (0x10_0000 + terabyte, 0x1000, 0x18)]
    );
}

#[test]
fn a_load_header_without_memory_is_ignored() {
    let file = build_64(&[load(u64::MAX, &[], 0), load(0x10_0000, &[1], 1)]);
    assert_eq!(shapes(&parse(&file).unwrap()), [(0x10_0000, 0x1000, 1)]);
}

#[test]
fn a_virtual_entry_point_is_translated() {
    let header = Header { virt: 0xffff_ffff_8100_0000, ..load(0x100_0000, &[1; 64], 64) };
    for (entry, physical) in [
        (0xffff_ffff_8100_0010, 0x100_0010),
        (0x100_0020, 0x100_0020),
        (0xffff_ffff_8100_0040, 0xffff_ffff_8100_0040),
    ] {
        assert_eq!(parse(&build_entered_64(entry, std::slice::from_ref(&header))).unwrap().entry, physical);
    }
}

#[test]
fn a_truncated_file_is_rejected_at_any_length() {
    let whole = build_64(&[load(0x10_0000, &[1; 32], 64)]);
    parse(&whole).unwrap();
    for length in 0..whole.len() {
        let error = parse(&whole[..length]).unwrap_err();
        assert!(matches!(error, Error::OutOfFile { .. }), "{length}: {error}");
    }
}

#[test]
fn errors_name_the_load_header_and_the_numbers() {
    let good = load(0x10_0000, &[1; 32], 64);
    let text = |headers: &[Header]| parse(&build_64(headers)).unwrap_err().to_string();
    assert_eq!(
        text(&[good.clone(), load(0x20_0000, &[1; 32], 31)]),
        "load header 1: 0x20 bytes of the file do not fit in 0x1f bytes of memory"
    );
    assert_eq!(
        text(&[good.clone(), load(0x10_003f, &[1; 4], 4)]),
        "load header 0 and load header 1 overlap in 0x10003f-0x10003f"
    );
    assert_eq!(
        text(&[load(u64::MAX - 0xfff, &[1], 2)]),
        "load header 0: 0x2 bytes at 0xfffffffffffff000 extend beyond the address space"
    );
    assert_eq!(text(&[]), "the file has no load header with memory");
    assert_eq!(
        text(&[Header { kind: 3, ..good }]),
        "the file is not static (it has an interpreter); link it with `-static -no-pie`"
    );
}

#[test]
fn other_kinds_of_elf_files_are_rejected() {
    let whole = build_64(&[load(0x10_0000, &[1; 32], 64)]);
    let changed = |change: &dyn Fn(&mut [u8])| {
        let mut file = whole.clone();
        change(&mut file);
        parse(&file).unwrap_err().to_string()
    };
    let layout = CLASS_64.file_header;
    assert_eq!(
        changed(&|file| put(file, ident::CLASS, 3)),
        "ELF class is 0x3; expected 1 (32-bit) or 2 (64-bit)"
    );
    assert_eq!(
        changed(&|file| put(file, ident::DATA, 2)),
        "ELF data encoding is 0x2; expected 1, little-endian"
    );
    let half = |field: Field<u16>, number| changed(&|file| put(file, field, number));
    assert_eq!(half(layout.kind, 1), "ELF type is 0x1; expected 2, a static executable");
    assert!(half(layout.kind, 3).contains("-no-pie"));
    assert!(half(layout.machine, 183).starts_with("ELF machine is 0xb7; "));
    assert!(half(layout.program_header_size, 32).starts_with("size of a program header is 0x20; "));
    assert!(half(layout.program_header_count, 0xffff).starts_with("number of program headers is 0xffff; "));
    let table = changed(&|file| put(file, layout.program_headers, u64::MAX));
    assert!(table.starts_with("the table of program headers needs 0x38"));
}

#[test]
fn load_headers_that_share_bytes_are_rejected() {
    let mut file = build_64(&[load(0x10_0000, &[1; 64], 64), load(0x20_0000, &[2; 64], 64)]);
    let layout = CLASS_64.program_header;
    let length = file.len() as u64;
    for header in [64, 64 + 56] {
        for (field, number) in [(layout.offset, 0), (layout.file_size, length), (layout.memory_size, length)]
        {
            put(&mut file[header..], field, number);
        }
    }
    assert_eq!(parse(&file), Err(Error::SharedBytes { bytes: 2 * length, length }));
}

/// All nonzero bytes of the headers' memory.
fn bytes_by_address(headers: &[Header]) -> BTreeMap<u64, u8> {
    let all = headers.iter().flat_map(|header| (header.phys..).zip(header.bytes.iter().copied()));
    all.filter(|&(_, byte)| byte != 0).collect()
}

fn bytes_of_segments(segments: &[Segment<'_>]) -> BTreeMap<u64, u8> {
    let all = segments.iter().flat_map(|segment| (segment.address..).zip(segment.bytes.iter().copied()));
    all.filter(|&(_, byte)| byte != 0).collect()
}

fn pages_of(ranges: impl Iterator<Item = (u64, u64)>) -> Vec<u64> {
    let mut pages: Vec<u64> =
        ranges.flat_map(|(start, size)| start / PAGE_SIZE..(start + size).div_ceil(PAGE_SIZE)).collect();
    pages.sort_unstable();
    pages
}

prop_compose! {
    /// Load headers in rising order with small gaps, so that many share a page.
    fn headers()(
        parts in prop::collection::vec((0_u64..6000, 0_usize..6000, 0_u64..9000), 1..6),
    ) -> Vec<Header> {
        let mut address = 0x10_0000;
        let mut headers = Vec::new();
        for ((gap, filesz, zeros), value) in parts.into_iter().zip(1_u8..) {
            let memsz = filesz as u64 + zeros;
            headers.push(load(address + gap, &vec![value; filesz], memsz));
            address += gap + memsz;
        }
        headers
    }
}

proptest! {
    #[test]
    fn every_byte_is_where_its_load_header_puts_it(headers in headers(), narrow: bool) {
        let file = if narrow { build_32(0x10_0000, &headers) } else { build_64(&headers) };
        let Ok(program) = parse(&file) else {
            prop_assert!(headers.iter().all(|header| header.memsz == 0));
            return Ok(());
        };
        prop_assert_eq!(bytes_of_segments(&program.segments), bytes_by_address(&headers));
        let filled = headers.iter().filter(|header| header.memsz > 0);
        let mut wanted = pages_of(filled.map(|header| (header.phys, header.memsz)));
        wanted.dedup();
        prop_assert_eq!(pages_of(program.segments.iter().map(|it| (it.address, it.size))), wanted);
    }

    #[test]
    fn a_file_with_changed_bytes_is_rejected_or_gives_valid_segments(
        headers in headers(), changes in prop::collection::vec((0_usize..400, any::<u8>()), 0..8),
    ) {
        let mut file = build_64(&headers);
        for (place, value) in changes {
            if let Some(byte) = file.get_mut(place) { *byte = value; }
        }
        if let Ok(program) = parse(&file) {
            assert_valid(&program, file.len());
        }
    }
}

/// Asserts the invariants of every program.
fn assert_valid(program: &Program<'_>, file_length: usize) {
    assert!(!program.segments.is_empty());
    let mut end = 0;
    let mut copied = 0;
    for segment in &program.segments {
        assert!(segment.address.is_multiple_of(PAGE_SIZE) && segment.size.is_multiple_of(PAGE_SIZE));
        assert!(segment.size > 0 && segment.bytes.len() as u64 <= segment.size);
        assert!(segment.address >= end && segment.address.checked_add(segment.size).is_some());
        end = segment.end();
        copied += segment.bytes.len();
    }
    assert!(copied <= file_length + program.segments.len() * 2 * 4096);
}
