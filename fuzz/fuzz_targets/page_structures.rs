//! Any bytes as VMCOREINFO, and the rest as memory: the kinds of pages are found, or the reason why
//! not is reported.
#![no_main]

use vmcore::select::{Level, WriteOrder};
use vmcore::{Error, FrameSet, PhysRead, Result, Vmcoreinfo, select};

/// Memory that repeats itself, so that addresses lead somewhere.
struct Memory<'a>(&'a [u8]);

impl PhysRead for Memory<'_> {
    fn read_phys(&self, address: u64, buffer: &mut [u8]) -> Result<()> {
        let absent = Error::Absent { pfn: address / 4096 };
        if self.0.is_empty() || address >= 1 << 40 {
            return Err(absent);
        }
        for (place, at) in buffer.iter_mut().zip(address..) {
            *place = self.0[usize::try_from(at % self.0.len() as u64).unwrap_or(0)];
        }
        Ok(())
    }
}

/// The lines of every kernel, before those of the input: of two values for a key, the later one
/// counts.
const USUAL: &str = "SYMBOL(init_top_pgt)=ffffffff80000000\nNUMBER(phys_base)=0\n\
    SIZE(page)=64\nOFFSET(page.flags)=0\n\
    OFFSET(page._refcount)=52\nOFFSET(page.mapping)=24\nOFFSET(page.lru)=8\nOFFSET(page._mapcount)=48\n\
    OFFSET(page.private)=40\nOFFSET(page.compound_head)=8\nOFFSET(page.compound_order)=17\n\
    OFFSET(page.compound_dtor)=16\nNUMBER(HUGETLB_PAGE_DTOR)=2\nLENGTH(zone.free_area)=11\n\
    SYMBOL(mem_section)=ffffffff80001000\nLENGTH(mem_section)=2048\nSIZE(mem_section)=16\n\
    OFFSET(mem_section.section_mem_map)=0\nNUMBER(SECTION_SIZE_BITS)=27\nNUMBER(PG_lru)=4\n\
    NUMBER(PG_private)=13\nNUMBER(PG_swapcache)=10\nNUMBER(PG_swapbacked)=19\nNUMBER(PG_slab)=9\n\
    NUMBER(PG_head_mask)=65536\nNUMBER(PAGE_BUDDY_MAPCOUNT_VALUE)=-129\n";

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let (text, memory) = bytes.split_at(bytes.iter().position(|byte| *byte == 0).unwrap_or(0));
    let info = Vmcoreinfo::parse(&[USUAL.as_bytes(), text].concat());
    let mut present = FrameSet::new();
    present.insert(0, 3000);
    let level = Level::new(31).unwrap_or_default();
    let selection = select(&Memory(memory), &present, Ok(info), level, WriteOrder::ByNeed, 1);
    assert!(selection.kept.without(&present).count() == 0);
});
