//! Page tables, read back entry by entry by the tests' own walker.

// Tables of 512 entries take Miri hours.
#![cfg(not(miri))]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod simulation;

use kimage::paging::{Levels, Tables};
use kimage::{Error, Image, Zone};
use phys::{ADDRESS_END, Pfn, PhysAddr, PhysRange};
use proptest::prelude::*;
use simulation::{FOUR_GIB, Machine, Owner, Randomly, segment, within};

type World = Machine<Randomly>;

const KIB4: u64 = 1 << 12;
const MIB2: u64 = 1 << 21;
const GIB1: u64 = 1 << 30;

/// Present, writable, accessed and dirty, and nothing else: no user access, no global page, caching
/// as usual.
const PAGE: u64 = 0x63;
const LARGE: u64 = 0x80;

/// A page as the CPU would see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Page {
    virt: u64,
    phys: u64,
    size: u64,
}

impl Page {
    const fn identity(virt: u64, size: u64) -> Self {
        Self { virt, phys: virt, size }
    }
}

type Map<'m> = &'m dyn Fn(&Tables, &mut Image<&mut [kimage::Segment; 1], &mut World>) -> Result<(), Error>;

/// Builds tables with `map` and reads them back.
fn pages(levels: Levels, gigabyte_pages: bool, map: Map<'_>) -> Result<Vec<Page>, Error> {
    let mut world = Machine::new(FOUR_GIB - 50, vec![Owner::Free; 600], Randomly::from(3));
    let ram = world.ram();
    let mut segments = [segment(0, world.frame(10), 100)];
    let mut image = Image::new(&mut segments, &within(&ram), &mut world)?;
    let tables = Tables::new(&mut image, levels, gigabyte_pages, Zone::Any)?;
    map(&tables, &mut image)?;
    let height = if levels == Levels::Four { 4 } else { 5 };
    let mut reader = Reader { world: image.frames_mut(), bits: 12 + 9 * height, pages: Vec::new() };
    reader.table(tables.root(), height, 0);
    let pages = reader.pages;
    for page in &pages {
        for offset in [0, 0x123, page.size - 1] {
            let phys = tables.translate(image.frames_mut(), page.virt + offset);
            assert_eq!(phys, PhysAddr::new(page.phys + offset), "the crate's own walk agrees");
        }
    }
    Ok(pages)
}

/// Reads page tables as the CPU does, and more strictly.
struct Reader<'w> {
    world: &'w World,
    /// Significant bits of a virtual address.
    bits: u32,
    pages: Vec<Page>,
}

impl Reader<'_> {
    fn table(&mut self, table: Pfn, level: u32, base: u64) {
        assert_eq!(self.world.owner(table), Owner::Image, "a table is a frame of the image");
        let world = self.world;
        for (index, &entry) in (0..).zip(world.peek(table)).filter(|(_, entry)| **entry != 0) {
            let base = base + (index << (12 + 9 * (level - 1)));
            if level == 1 || entry & LARGE != 0 {
                self.page(entry, level, base);
            } else {
                assert_eq!(entry & 0xfff, 0x23, "a table is present, writable, accessed");
                self.table(Pfn::starting_at(entry & !0xfff).unwrap(), level - 1, base);
            }
        }
    }

    fn page(&mut self, entry: u64, level: u32, base: u64) {
        let (size, flags) = match level {
            1 => (KIB4, PAGE),
            2 => (MIB2, PAGE | LARGE),
            3 => (GIB1, PAGE | LARGE),
            _ => panic!("no page is larger than 1 GiB"),
        };
        let phys = entry & !flags;
        assert!(phys.is_multiple_of(size) && phys < ADDRESS_END && entry & flags == flags, "{entry:#x}");
        let unused = 64 - self.bits;
        let virt = (base << unused).cast_signed() >> unused;
        self.pages.push(Page { virt: virt.cast_unsigned(), phys, size });
    }
}

fn range(start: u64, bytes: u64) -> PhysRange {
    PhysRange::from_bytes(start, bytes).unwrap()
}

/// The identity map of these ranges, mapped in this order.
fn identity(levels: Levels, gigabyte_pages: bool, ranges: &[PhysRange]) -> Result<Vec<Page>, Error> {
    pages(levels, gigabyte_pages, &|tables, image| {
        ranges.iter().try_for_each(|&range| tables.map_identity(image, range))
    })
}

#[test]
fn a_range_gets_the_largest_pages_that_fit_and_not_a_byte_more() {
    let ranges = [range(GIB1 - MIB2 - KIB4, GIB1 + 2 * MIB2 + 3 * KIB4)];
    let ends = |middle: &[Page]| {
        let mut all = vec![Page::identity(GIB1 - MIB2 - KIB4, KIB4), Page::identity(GIB1 - MIB2, MIB2)];
        all.extend(middle);
        all.push(Page::identity(2 * GIB1, MIB2));
        all.extend([0, 1].map(|page| Page::identity(2 * GIB1 + MIB2 + page * KIB4, KIB4)));
        all
    };
    let with = ends(&[Page::identity(GIB1, GIB1)]);
    let without: Vec<_> = (0..512).map(|page| Page::identity(GIB1 + page * MIB2, MIB2)).collect();
    for levels in [Levels::Four, Levels::Five] {
        assert_eq!(identity(levels, true, &ranges), Ok(with.clone()));
        assert_eq!(identity(levels, false, &ranges), Ok(ends(&without)));
    }
}

#[test]
fn a_finer_table_that_exists_is_filled_rather_than_replaced() {
    let found = identity(Levels::Four, true, &[range(GIB1 + 5 * KIB4, KIB4), range(GIB1, GIB1)]).unwrap();
    let mut expected: Vec<_> = (0..512).map(|page| Page::identity(GIB1 + page * KIB4, KIB4)).collect();
    expected.extend((1..512).map(|page| Page::identity(GIB1 + page * MIB2, MIB2)));
    assert_eq!(found, expected);
}

#[test]
fn an_existing_mapping_to_the_same_address_stays() {
    let found = identity(Levels::Four, true, &[range(GIB1, GIB1), range(GIB1 + KIB4, 2 * KIB4)]);
    assert_eq!(found, Ok(vec![Page::identity(GIB1, GIB1)]));
    let found = identity(Levels::Four, true, &[range(GIB1, GIB1), range(2 * GIB1 - KIB4, 2 * KIB4)]);
    assert_eq!(found, Ok(vec![Page::identity(GIB1, GIB1), Page::identity(2 * GIB1, KIB4)]));
}

#[test]
fn a_page_can_be_mapped_anywhere() {
    let text = Pfn::new(0x1234).unwrap();
    for (levels, virt) in [
        (Levels::Four, 0xffff_ffff_c012_3000),
        (Levels::Four, 0xffff_ffff_ffff_f000),
        (Levels::Four, 0xffff_8000_0000_0000),
        (Levels::Five, 0xffff_ffff_c012_3000),
        (Levels::Five, 0xff00_0000_0000_0000),
        (Levels::Five, 0x00ff_ffff_ffff_f000),
    ] {
        let found = pages(levels, true, &|tables, image| tables.map_page(image, virt, text));
        assert_eq!(found, Ok(vec![Page { virt, phys: 0x123_4000, size: KIB4 }]));
    }
}

#[test]
fn a_range_can_be_mapped_anywhere_with_large_pages_where_both_addresses_are_aligned() {
    let half = 0xffff_8000_0000_0000;
    let mapped = |virt, phys, bytes| {
        pages(Levels::Four, true, &|tables, image| tables.map(image, virt, range(phys, bytes))).unwrap()
    };
    assert_eq!(mapped(half, GIB1, GIB1), [Page { virt: half, phys: GIB1, size: GIB1 }]);
    let found = mapped(half, GIB1 + MIB2, GIB1);
    assert!(found.len() == 512 && found.iter().all(|page| page.size == MIB2), "{found:?}");
    let found = mapped(half, GIB1 + KIB4, 2 * MIB2);
    assert!(
        found.len() == 1024
            && found.iter().all(|page| page.size == KIB4 && page.phys - GIB1 == page.virt - half + KIB4)
    );
}

#[test]
fn a_page_mapped_elsewhere_is_refused() {
    let page = Pfn::new(0x40_0007).unwrap();
    let again = |virt, frame: Pfn| {
        pages(Levels::Four, true, &|tables, image| {
            tables.map_identity(image, range(4 * GIB1, GIB1))?;
            tables.map_page(image, 0xffff_ffff_8000_0000, page)?;
            tables.map_page(image, virt, frame)
        })
    };
    assert_eq!(again(0xffff_ffff_8000_0000, page).unwrap().len(), 2, "the same again is no contradiction");
    let virt = 0xffff_ffff_8000_0000;
    let elsewhere = Error::MappedElsewhere { virt, phys: 0x4_0000_7000, wanted: 0x1000 };
    assert_eq!(again(virt, Pfn::new(1).unwrap()), Err(elsewhere));
    let virt = 4 * GIB1 + 3 * KIB4;
    assert_eq!(again(virt, Pfn::new(virt / KIB4).unwrap()).unwrap().len(), 2);
    let elsewhere = Error::MappedElsewhere { virt, phys: virt, wanted: 0x1000 };
    assert_eq!(again(virt, Pfn::new(1).unwrap()), Err(elsewhere));
}

#[test]
fn an_address_that_is_not_canonical_is_refused() {
    let page = |levels, virt| {
        pages(levels, true, &|tables, image| tables.map_page(image, virt, Pfn::new(1).unwrap()))
    };
    for (levels, count, holes) in [
        (Levels::Four, 4, [1 << 47, 0xffff_7fff_ffff_f000, 1 << 52]),
        (Levels::Five, 5, [1 << 56, 0xfeff_ffff_ffff_f000, 1 << 63]),
    ] {
        for virt in holes {
            assert_eq!(page(levels, virt), Err(Error::NotCanonical { virt, bytes: KIB4, levels: count }));
        }
    }
    assert_eq!(page(Levels::Four, 0x1001), Err(Error::UnalignedPage { virt: 0x1001 }));
}

#[test]
fn an_identity_map_ends_where_the_lower_half_ends() {
    let half = 1 << 47;
    let last = [range(half - GIB1, GIB1)];
    assert_eq!(identity(Levels::Four, true, &last), Ok(vec![Page::identity(half - GIB1, GIB1)]));
    let beyond = range(half - KIB4, 2 * KIB4);
    let refused = Error::NotCanonical { virt: half - KIB4, bytes: 2 * KIB4, levels: 4 };
    assert_eq!(identity(Levels::Four, true, &[beyond]), Err(refused));
    assert_eq!(identity(Levels::Five, true, &[beyond]).unwrap().len(), 2);
    let top = [range(ADDRESS_END - KIB4, KIB4)];
    assert_eq!(identity(Levels::Five, true, &top), Ok(vec![Page::identity(ADDRESS_END - KIB4, KIB4)]));
}

#[test]
fn an_address_that_is_not_mapped_translates_to_nothing() {
    let found = pages(Levels::Four, true, &|tables, image| {
        tables.map_identity(image, range(GIB1, MIB2))?;
        for virt in [0, GIB1 - 1, GIB1 + MIB2, 5 * GIB1, 1 << 40, 1 << 47, 1 << 63, u64::MAX] {
            assert_eq!(tables.translate(image.frames_mut(), virt), None, "{virt:#x}");
        }
        Ok(())
    });
    assert_eq!(found.unwrap().len(), 1);
}

#[test]
fn tables_for_32_bit_code_lie_below_4_gib() {
    let mut world = Machine::new(FOUR_GIB - 50, vec![Owner::Free; 100], Randomly::from(3));
    let ram = world.ram();
    let mut image = Image::new(&mut [], &within(&ram), &mut world).unwrap();
    let tables = Tables::new(&mut image, Levels::Four, true, Zone::Below4GiB).unwrap();
    let high = |world: &World| world.owners[50..].iter().filter(|&&owner| owner == Owner::Image).count();
    let before = high(image.frames_mut());
    let mut pages = (0..).map(|number| range(number * GIB1 + KIB4, KIB4));
    let error = pages.find_map(|page| tables.map_identity(&mut image, page).err());
    assert!(matches!(error, Some(Error::NoMemory { zone: Zone::Below4GiB, .. })), "{error:?}");
    let world = image.frames_mut();
    assert_eq!(high(world), before, "no table lies above");
    assert!(world.owners[..50].iter().all(|&owner| owner == Owner::Image), "until there is none below");
}

/// Ranges near the borders of pages of every size.
fn ranges() -> impl Strategy<Value = Vec<PhysRange>> {
    let near = (0_u64..4, 0_u64..3, 0_u64..4).prop_map(|(g, m, k)| g * GIB1 + m * MIB2 + k * KIB4);
    let length = (0_u64..3, 0_u64..3, 0_u64..4).prop_map(|(g, m, k)| g * GIB1 + m * MIB2 + k * KIB4);
    prop::collection::vec((near, length), 1..6).prop_map(|pairs| {
        pairs.into_iter().filter_map(|(start, bytes)| PhysRange::from_bytes(start, bytes).ok()).collect()
    })
}

proptest! {
    #[test]
    fn the_pages_are_exactly_the_ranges_whatever_their_order(mut ranges in ranges(), gigabyte_pages: bool) {
        let found = identity(Levels::Four, gigabyte_pages, &ranges).unwrap();
        let mut mapped: Vec<_> = found.iter().map(|page| range(page.phys, page.size)).collect();
        let bytes: u64 = found.iter().map(|page| page.size).sum();
        prop_assert!(found.iter().all(|page| page.virt == page.phys));
        let wanted = phys::RangeSet::sort(&mut ranges);
        prop_assert_eq!(phys::RangeSet::sort(&mut mapped), wanted);
        prop_assert_eq!(bytes, wanted.ranges().iter().map(|range| range.bytes()).sum::<u64>());
    }
}
