//! Refused loads, and the texts and numbers of their errors.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod simulation;

use kimage::{Error, Image, ListFault, Purpose, Rules, Segment, Zone};
use phys::{ADDRESS_END, PhysRange, RangeSet};
use proptest::prelude::*;
use simulation::{Machine, Owner, Randomly};

const PAGE: u64 = phys::PAGE_SIZE;

/// Loads segments `(bufsz, mem, memsz)` into a machine with RAM from 1 MiB to 2 MiB and from 3 MiB
/// to 4 MiB.
fn load(segments: &[(u64, u64, u64)], entry: Option<u64>) -> Result<u64, Error> {
    let mut world = Machine::new(0x100, vec![Owner::Free; 0x100], Randomly::from(1));
    let ranges = [(0x30_0000, 0x10_0000), (0x10_0000, 0x8_0000), (0x18_0000, 0x8_0000)];
    let mut ranges = ranges.map(|(start, bytes)| PhysRange::from_bytes(start, bytes).unwrap());
    let rules = Rules { allowed: RangeSet::sort(&mut ranges), entry, max_pages: 128 };
    let segment = |(index, &(bufsz, mem, memsz))| Segment::new(index, 0, bufsz, mem, memsz);
    let mut segments: Vec<_> = (0..).zip(segments).map(segment).collect();
    let pages = Image::new(&mut segments, &rules, &mut world).map(|image| image.pages());
    assert!(world.owners.iter().all(|&owner| owner == Owner::Free));
    pages
}

fn refusal(segments: &[(u64, u64, u64)]) -> String {
    load(segments, None).unwrap_err().to_string()
}

#[test]
fn segments_within_the_rules_are_accepted() {
    assert_eq!(load(&[], None), Ok(0));
    assert_eq!(load(&[(PAGE, 0x17_f000, 2 * PAGE), (0, 0x3f_f000, PAGE)], Some(0x18_0fff)), Ok(3));
    let neighbours = [(0, 0x10_2000, PAGE), (0, 0x10_0000, PAGE), (0, 0x10_1000, PAGE)];
    assert_eq!(load(&neighbours, None), Ok(3));
}

#[test]
fn a_segment_without_pages_is_legal_wherever_it_is() {
    let empty = [(0, 0, 0), (0, 0x10_0000, 0), (0, 0x10_1000, 0), (0, 0u64.wrapping_sub(PAGE), 0)];
    assert_eq!(load(&empty, None), Ok(0));
    let with = [empty[1], (5, 0x10_0000, 2 * PAGE), empty[2], empty[0]];
    assert_eq!(load(&with, Some(0x10_1000)), Ok(2));
    assert_eq!(load(&empty, Some(0x10_0000)), Err(Error::EntryOutside { entry: 0x10_0000 }));
}

#[test]
fn unaligned_segments_are_refused() {
    assert_eq!(
        refusal(&[(0, 0x10_0000, PAGE), (0, 0x10_1001, PAGE)]),
        "segment 1: mem 0x101001 and memsz 0x1000 must be multiples of 4096"
    );
    assert_eq!(
        refusal(&[(0, 0x10_0000, 0x801)]),
        "segment 0: mem 0x100000 and memsz 0x801 must be multiples of 4096"
    );
    assert_eq!(refusal(&[(0, 1, 0)]), "segment 0: mem 0x1 and memsz 0x0 must be multiples of 4096");
}

#[test]
fn more_bytes_than_room_is_refused() {
    assert_eq!(refusal(&[(PAGE + 1, 0x10_0000, PAGE)]), "segment 0: bufsz 0x1001 is more than memsz 0x1000");
    assert_eq!(refusal(&[(1, 0x10_0000, 0)]), "segment 0: bufsz 0x1 is more than memsz 0x0");
}

#[test]
fn a_destination_that_wraps_around_or_cannot_be_addressed_is_refused() {
    let last = 0u64.wrapping_sub(PAGE);
    for (mem, memsz) in [(last, PAGE), (last, 2 * PAGE), (0x10_0000, last), (ADDRESS_END, PAGE)] {
        assert_eq!(load(&[(0, mem, memsz)], None), Err(Error::TooHigh { segment: 0, mem, memsz }));
    }
    assert_eq!(
        refusal(&[(0, 0x10_0000, 0xf_ffff_fff0_0000 + PAGE)]),
        "segment 0: mem 0x100000 plus memsz 0xffffffff01000 is beyond 0x10000000000000, \
         the end of physical addresses"
    );
}

#[test]
fn a_destination_outside_the_allowed_memory_is_refused() {
    assert_eq!(
        refusal(&[(0, 0x10_0000, PAGE), (0, 0x1f_f000, 2 * PAGE)]),
        "segment 1: 0x2000 bytes at 0x1ff000 are not all in allowed memory: 0x200000 is not"
    );
    assert_eq!(
        refusal(&[(0, 0, PAGE)]),
        "segment 0: 0x1000 bytes at 0x0 are not all in allowed memory: 0x0 is not"
    );
}

#[test]
fn overlapping_segments_are_refused() {
    let far = (0, 0x18_0000, PAGE);
    assert_eq!(
        refusal(&[(0, 0x10_2000, 3 * PAGE), far, (0, 0x10_0000, 3 * PAGE)]),
        "segments 2 and 0 overlap in 0x102000-0x102fff"
    );
    assert_eq!(
        refusal(&[(0, 0x10_0000, 4 * PAGE), (0, 0x10_1000, 2 * PAGE)]),
        "segments 0 and 1 overlap in 0x101000-0x102fff"
    );
    assert_eq!(refusal(&[far, far]), "segments 0 and 1 overlap in 0x180000-0x180fff");
}

#[test]
fn an_entry_point_outside_every_segment_is_refused() {
    for entry in [0xf_ffff, 0x10_1000, u64::MAX] {
        let error = load(&[(0, 0x10_0000, PAGE)], Some(entry)).unwrap_err();
        assert_eq!(error.to_string(), format!("entry point {entry:#x} is not in any segment"));
    }
}

#[test]
fn more_pages_than_the_rules_allow_are_refused() {
    let segments = [(0, 0x10_0000, 64 * PAGE), (0, 0x30_0000, 65 * PAGE)];
    assert_eq!(
        refusal(&segments),
        "the segments take 0 MiB (129 pages), and 0 MiB (128 pages) are available"
    );
}

#[test]
fn a_lack_of_memory_is_described() {
    let error = Error::NoMemory { purpose: Purpose::Source, order: 0, zone: Zone::Any, held: 12 };
    assert_eq!(error.to_string(), "no memory for source pages: 1 page anywhere, after 12 pages");
    let error = Error::NoMemory { purpose: Purpose::Support, order: 2, zone: Zone::Below4GiB, held: 3 };
    assert_eq!(
        error.to_string(),
        "no memory for control pages and page tables: 4 neighbouring pages below 4 GiB, after 3 pages"
    );
}

#[test]
fn a_fault_of_the_page_list_names_its_word() {
    let error = Error::List { fault: ListFault::Doubled, position: 17, word: 0x5008 };
    assert_eq!(error.to_string(), "page list is wrong at word 17 (0x5008): the frame is used twice");
}

proptest! {
    #[test]
    #[cfg_attr(miri, ignore = "too many cases for it")]
    fn an_error_crosses_an_ioctl_as_numbers(reason in 0_u32..16, small in any::<[u8; 4]>(), large: [u64; 4]) {
        let [a, b, ..] = small.map(u64::from);
        for numbers in [small.map(u64::from), large, [a, b, large[2], large[3]]] {
            if let Some(error) = Error::from_numbers(reason, numbers) {
                prop_assert_eq!((error.reason(), error.numbers()), (reason, numbers));
                prop_assert!(!error.to_string().is_empty());
            }
        }
    }
}

#[test]
fn every_kind_of_error_crosses_an_ioctl() {
    let numbers = [[2, 1, 2, 3], [2, 1, 2, 0], [2, 1, 0, 0], [2, 0, 0, 0]];
    let kinds = (0..32).filter(|&reason| numbers.iter().any(|&n| Error::from_numbers(reason, n).is_some()));
    assert_eq!(kinds.collect::<Vec<_>>(), (1..=13).collect::<Vec<_>>());
}
