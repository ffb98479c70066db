//! Page structures of each generation of kernels.

use super::*;
use crate::Vmcoreinfo;
use crate::kernel::kallsyms::Encoding;
use crate::kernel::kallsyms::tests::MAP;
use crate::kernel::paging::AddressSpace;
use crate::test_memory::TestMemory;

/// Keys that all kernels have, with the values of Debian's 6.1.
const COMMON: &str = "SYMBOL(init_top_pgt)=ffffffff80001000\nNUMBER(phys_base)=0\nSIZE(page)=64\n\
    OFFSET(page.flags)=0\n\
    OFFSET(page.mapping)=24\nOFFSET(page._mapcount)=48\nOFFSET(page.private)=40\n\
    OFFSET(page.compound_head)=8\n\
    LENGTH(zone.free_area)=11\nSYMBOL(mem_section)=ffffffff80008800\nLENGTH(mem_section)=2048\n\
    SIZE(mem_section)=16\n\
    OFFSET(mem_section.section_mem_map)=0\nNUMBER(SECTION_SIZE_BITS)=27\nNUMBER(PG_lru)=4\n\
    NUMBER(PG_private)=13\n\
    NUMBER(PG_swapcache)=10\nNUMBER(PG_swapbacked)=19\nNUMBER(PG_hwpoison)=22\nNUMBER(PG_head_mask)=65536\n";
const LRU: u64 = 1 << 4;
const SLAB: u64 = 1 << 9;
const SWAP_CACHE: u64 = 1 << 10;
const PRIVATE: u64 = 1 << 13;
const HEAD: u64 = 1 << 16;
const SWAP_BACKED: u64 = 1 << 19;
const POISONED: u64 = 1 << 22;
/// A count, not a type: not mapped.
const NO_TYPE: u32 = u32::MAX;

/// A kernel's page types, and the first tail of a huge page of order 9.
struct Generation {
    name: &'static str,
    keys: &'static str,
    buddy: u32,
    offline: u32,
    slab: (u64, u32),
    /// Type of the head.
    huge: u32,
    tail: fn(&mut Page),
}

const GENERATIONS: [Generation; 5] = [
    Generation {
        name: "6.1",
        keys: "NUMBER(PG_slab)=9\nNUMBER(PAGE_BUDDY_MAPCOUNT_VALUE)=-129\n\
        NUMBER(PAGE_OFFLINE_MAPCOUNT_VALUE)=-257\n\
            OFFSET(page.compound_order)=17\nOFFSET(page.compound_dtor)=16\nNUMBER(HUGETLB_PAGE_DTOR)=2\n",
        buddy: 0xffff_ff7f,
        offline: 0xffff_feff,
        slab: (SLAB, NO_TYPE),
        huge: NO_TYPE,
        tail: |tail| tail.put(16, &[2, 9]),
    },
    Generation {
        name: "6.6",
        keys: "NUMBER(PG_slab)=9\nNUMBER(PAGE_BUDDY_MAPCOUNT_VALUE)=-129\n\
        NUMBER(PAGE_OFFLINE_MAPCOUNT_VALUE)=-257\n\
            NUMBER(PG_hugetlb)=8\n",
        buddy: 0xffff_ff7f,
        offline: 0xffff_feff,
        slab: (SLAB, NO_TYPE),
        huge: NO_TYPE,
        tail: |tail| tail.flags(1 << 8 | 9),
    },
    Generation {
        name: "6.9",
        keys: "NUMBER(PG_slab)=9\nNUMBER(PAGE_BUDDY_MAPCOUNT_VALUE)=-129\n\
        NUMBER(PAGE_OFFLINE_MAPCOUNT_VALUE)=-257\n\
            NUMBER(PAGE_HUGETLB_MAPCOUNT_VALUE)=-2049\n",
        buddy: 0xffff_ff7f,
        offline: 0xffff_feff,
        slab: (SLAB, NO_TYPE),
        huge: 0xffff_f7ff,
        tail: |tail| tail.flags(9),
    },
    Generation {
        name: "6.11",
        keys: "NUMBER(PAGE_BUDDY_MAPCOUNT_VALUE)=-1073741825\n\
        NUMBER(PAGE_OFFLINE_MAPCOUNT_VALUE)=-536870913\n\
            NUMBER(PAGE_SLAB_MAPCOUNT_VALUE)=-33554433\nNUMBER(PAGE_HUGETLB_MAPCOUNT_VALUE)=-67108865\n",
        buddy: 0xbfff_ffff,
        offline: 0xdfff_ffff,
        slab: (0, 0xfdff_ffff),
        huge: 0xfbff_ffff,
        tail: |tail| tail.flags(9),
    },
    Generation {
        name: "6.16",
        keys: "NUMBER(PAGE_BUDDY_MAPCOUNT_VALUE)=-268435456\nNUMBER(PAGE_OFFLINE_MAPCOUNT_VALUE)=-251658240\n\
            NUMBER(PAGE_SLAB_MAPCOUNT_VALUE)=-184549376\nNUMBER(PAGE_HUGETLB_MAPCOUNT_VALUE)=-201326592\n\
            NUMBER(PAGE_UNACCEPTED_MAPCOUNT_VALUE)=-134217728\n",
        buddy: 0xf0ff_ffff,
        offline: 0xf1ff_ffff,
        slab: (0, 0xf5ff_ffff),
        huge: 0xf4ff_ffff,
        tail: |tail| tail.flags(9),
    },
];

#[derive(Clone)]
struct Page([u8; 64]);

impl Page {
    fn new(flags: u64, mapcount: u32) -> Self {
        let mut page = Self([0; 64]);
        page.flags(flags);
        page.put(48, &mapcount.to_le_bytes());
        page
    }

    fn mapped(mut self, mapping: u64) -> Self {
        self.put(24, &mapping.to_le_bytes());
        self
    }

    fn of_order(mut self, order: u64) -> Self {
        self.put(40, &order.to_le_bytes());
        self
    }

    fn flags(&mut self, flags: u64) {
        self.put(0, &flags.to_le_bytes());
    }

    fn put(&mut self, at: usize, bytes: &[u8]) {
        self.0[at..at + bytes.len()].copy_from_slice(bytes);
    }
}

impl Generation {
    fn layout(&self) -> PageLayout {
        let memory = TestMemory::with_symbols(&[("T_stext", MAP)], Encoding::Unsigned);
        let info = Vmcoreinfo::parse(&[COMMON, self.keys].concat().into_bytes());
        PageLayout::new(&info, &AddressSpace::of_kernel(&info).unwrap(), &memory).unwrap()
    }

    fn judged(&self, page: &Page, level: u8) -> Verdict {
        self.layout().judge(&page.0, None, 512, Level::new(level).unwrap())
    }
}

fn in_each(check: impl Fn(&Generation)) {
    GENERATIONS.iter().for_each(check);
}

#[test]
fn free_pages_are_excluded_by_their_order_and_impossible_orders_are_kept() {
    in_each(|kernel| {
        let free = |order| Page::new(0, kernel.buddy).of_order(order);
        assert_eq!(kernel.judged(&free(3), 16), Verdict::Exclude(Exclusion::Free, 3), "{}", kernel.name);
        assert_eq!(kernel.judged(&free(3), 15), Verdict::Keep, "{}", kernel.name);
        assert_eq!(kernel.judged(&free(11), 31), Verdict::Keep, "{}", kernel.name);
        assert_eq!(kernel.judged(&free(1 << 32), 31), Verdict::Keep, "{}", kernel.name);
    });
}

#[test]
fn page_cache_is_excluded_by_its_private_data() {
    in_each(|kernel| {
        let kind = |flags, level| kernel.judged(&Page::new(flags, NO_TYPE).mapped(0x1000), level);
        let (cache, private) =
            (Verdict::Exclude(Exclusion::Cache, 0), Verdict::Exclude(Exclusion::PrivateCache, 0));
        for (flags, levels) in [
            (LRU, [cache, cache, Verdict::Keep]),
            (LRU | PRIVATE, [Verdict::Keep, private, Verdict::Keep]),
            (SWAP_CACHE | SWAP_BACKED, [cache, cache, Verdict::Keep]),
            (SWAP_CACHE, [Verdict::Keep; 3]),
            (0, [Verdict::Keep; 3]),
        ] {
            assert_eq!([2, 4, 24].map(|level| kind(flags, level)), levels, "{} {flags:#x}", kernel.name);
        }
    });
}

#[test]
fn memory_of_processes_is_not_taken_for_objects_of_the_kernel() {
    in_each(|kernel| {
        let anonymous = Page::new(LRU | SWAP_BACKED, NO_TYPE).mapped(0x1001);
        assert_eq!(kernel.judged(&anonymous, 8), Verdict::Exclude(Exclusion::User, 0), "{}", kernel.name);
        assert_eq!(kernel.judged(&anonymous, 23), Verdict::Keep, "{}", kernel.name);
        let (flags, mapcount) = kernel.slab;
        assert_eq!(
            kernel.judged(&Page::new(flags, mapcount).mapped(0x1001), 31),
            Verdict::Keep,
            "{}",
            kernel.name
        );
    });
}

#[test]
fn a_huge_page_is_excluded_whole_if_its_order_is_plausible() {
    in_each(|kernel| {
        let (head, mut tail) = (Page::new(HEAD, kernel.huge), Page::new(0, NO_TYPE));
        (kernel.tail)(&mut tail);
        let judged =
            |pfn, level| kernel.layout().judge(&head.0, Some(&tail.0), pfn, Level::new(level).unwrap());
        assert_eq!(judged(1024, 8), Verdict::Exclude(Exclusion::User, 9), "{}", kernel.name);
        assert_eq!(judged(1025, 8), Verdict::Exclude(Exclusion::User, 0), "{}", kernel.name);
        assert_eq!(judged(1024, 16), Verdict::Keep, "{}", kernel.name);
    });
}

#[test]
fn poisoned_and_offline_pages_are_excluded_at_every_level() {
    in_each(|kernel| {
        let poisoned = kernel.judged(&Page::new(POISONED, NO_TYPE), 2);
        assert_eq!(poisoned, Verdict::Exclude(Exclusion::Poisoned, 0), "{}", kernel.name);
        let offline = kernel.judged(&Page::new(0, kernel.offline), 2);
        assert_eq!(offline, Verdict::Exclude(Exclusion::Offline, 0), "{}", kernel.name);
    });
}

#[test]
fn unaccepted_memory_is_free() {
    let [.., newest] = &GENERATIONS;
    let unaccepted = Page::new(0, 0xf8ff_ffff);
    assert_eq!(newest.judged(&unaccepted, 16), Verdict::Exclude(Exclusion::Free, UNACCEPTED_ORDER));
    assert_eq!(newest.judged(&unaccepted, 8), Verdict::Keep);
}

#[test]
fn the_head_of_a_compound_page_decides_for_its_tails() {
    in_each(|kernel| {
        let mut tail = Page::new(LRU | POISONED, kernel.buddy);
        tail.put(8, &1_u64.to_le_bytes());
        assert_eq!(kernel.judged(&tail, 31), Verdict::Keep, "{}", kernel.name);
    });
}
