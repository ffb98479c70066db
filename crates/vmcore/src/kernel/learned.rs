//! Keys that VMCOREINFO lacks, from the kernel's types and symbols in its memory. The kernel's
//! macros are in neither: page types before 6.10, `SECTION_SIZE_BITS`.

use crate::kernel::btf::Btf;
use crate::kernel::kallsyms::Kallsyms;
use crate::kernel::paging::AddressSpace;
use crate::{Error, PhysRead, Result, Vmcoreinfo};

/// Bytes of a root of memory sections (`SECTIONS_PER_ROOT`): a page.
pub(crate) const ROOT_SIZE: u64 = 4096;

/// The symbols of the start and the end of the kernel's types.
pub(crate) const BTF: [&str; 2] = ["__start_BTF", "__stop_BTF"];

/// The most bytes of a kernel's types: Debian's 6.1 has 5 MiB.
const MOST_BTF: u64 = 64 << 20;

const SIZES: [&str; 2] = ["page", "mem_section"];

/// Structures of the log's ring buffer, and of the kernel's name.
const OTHER_SIZES: [&str; 6] =
    ["printk_ringbuffer", "prb_desc_ring", "prb_desc", "prb_data_blk_lpos", "prb_data_ring", "printk_info"];

/// Likewise.
const OTHER_OFFSETS: [(&str, &str); 20] = [
    ("uts_namespace", "name"),
    ("printk_ringbuffer", "desc_ring"),
    ("printk_ringbuffer", "text_data_ring"),
    ("printk_ringbuffer", "fail"),
    ("prb_desc_ring", "count_bits"),
    ("prb_desc_ring", "descs"),
    ("prb_desc_ring", "infos"),
    ("prb_desc_ring", "head_id"),
    ("prb_desc_ring", "tail_id"),
    ("prb_desc", "state_var"),
    ("prb_desc", "text_blk_lpos"),
    ("prb_data_blk_lpos", "begin"),
    ("prb_data_blk_lpos", "next"),
    ("prb_data_ring", "size_bits"),
    ("prb_data_ring", "data"),
    ("prb_data_ring", "head_lpos"),
    ("printk_info", "seq"),
    ("printk_info", "ts_nsec"),
    ("printk_info", "text_len"),
    ("printk_info", "caller_id"),
];

const OFFSETS: [(&str, &str); 9] = [
    ("page", "flags"),
    ("page", "mapping"),
    ("page", "_mapcount"),
    ("page", "private"),
    ("page", "compound_head"),
    ("page", "compound_info"),
    ("page", "compound_order"),
    ("page", "compound_dtor"),
    ("mem_section", "section_mem_map"),
];

/// The same as `page.compound_order` and `page.compound_dtor`: from 6.3 to 6.5 in place of them,
/// earlier in addition.
const FOLIO_OFFSETS: [(&str, &str); 2] = [("folio", "_folio_order"), ("folio", "_folio_dtor")];

/// Constants of `enum pageflags`.
const FLAGS: [&str; 7] =
    ["PG_lru", "PG_private", "PG_swapcache", "PG_swapbacked", "PG_slab", "PG_hwpoison", "PG_hugetlb"];

/// The name of a page type in VMCOREINFO, and the end of its constant's name in `enum pagetype`.
const TYPES: [(&str, &str); 5] = [
    ("PAGE_BUDDY_MAPCOUNT_VALUE", "buddy"),
    ("PAGE_OFFLINE_MAPCOUNT_VALUE", "offline"),
    ("PAGE_SLAB_MAPCOUNT_VALUE", "slab"),
    ("PAGE_HUGETLB_MAPCOUNT_VALUE", "hugetlb"),
    ("PAGE_UNACCEPTED_MAPCOUNT_VALUE", "unaccepted"),
];

/// VMCOREINFO with the keys that were found.
pub(crate) struct Learned {
    pub(crate) info: Vmcoreinfo,
    /// The keys that were added.
    pub(crate) keys: Vec<String>,
}

impl Learned {
    /// Adds all keys that can be found. Existing keys are not changed.
    ///
    /// # Errors
    /// The kernel has no BTF, VMCOREINFO lacks the addresses of kallsyms, or they cannot be read.
    pub(crate) fn new(memory: &impl PhysRead, space: &AddressSpace, info: Vmcoreinfo) -> Result<Self> {
        let symbols = Kallsyms::open(memory, &info)?;
        let [start, end] = BTF;
        let symbols = symbols.find(&[start, end, "mem_section"])?;
        let symbol = |name| symbols.get(name).copied().ok_or(Error::NoSymbol { name });
        let bytes = btf(memory, space, symbol(start)?, symbol(end)?)?;
        let mut learned = Self { info, keys: Vec::new() };
        learned.add_types(&Btf::parse(&bytes)?);
        learned.add_roots(memory, space, symbol("mem_section").ok());
        Ok(learned)
    }

    /// Adds all keys that follow from types, then those of these keys and values that are still
    /// missing.
    pub(crate) fn of_types(btf: &Btf<'_>, info: Vmcoreinfo, others: &[(&str, &str)]) -> Vmcoreinfo {
        let mut learned = Self { info, keys: Vec::new() };
        learned.add_types(btf);
        for name in OTHER_SIZES {
            learned.add(&format!("SIZE({name})"), btf.size(name));
        }
        learned.add_offsets(btf, &OTHER_OFFSETS);
        others.iter().for_each(|(key, value)| learned.add(key, Some(*value)));
        let roots = learned.count_of_roots();
        learned.add("LENGTH(mem_section)", roots);
        learned.info
    }

    fn add_types(&mut self, btf: &Btf<'_>) {
        for name in SIZES {
            self.add(&format!("SIZE({name})"), btf.size(name));
        }
        self.add_offsets(btf, &OFFSETS);
        if self.info.offset("page.compound_order").is_err() {
            self.add_offsets(btf, &FOLIO_OFFSETS);
        }
        for name in FLAGS {
            self.add(&format!("NUMBER({name})"), btf.constant("pageflags", name));
        }
        let head =
            btf.constant("pageflags", "PG_head").and_then(|bit| 1_u64.checked_shl(u32::try_from(bit).ok()?));
        self.add("NUMBER(PG_head_mask)", head);
        for (key, name) in TYPES {
            self.add(&format!("NUMBER({key})"), page_type(btf, name));
        }
        self.add("NUMBER(HUGETLB_PAGE_DTOR)", btf.constant("compound_dtor_id", "HUGETLB_PAGE_DTOR"));
        self.add("LENGTH(zone.free_area)", btf.length("zone", "free_area"));
    }

    fn add_offsets(&mut self, btf: &Btf<'_>, offsets: &[(&str, &str)]) {
        for (structure, member) in offsets {
            self.add(&format!("OFFSET({structure}.{member})"), btf.offset(structure, member));
        }
    }

    /// The roots of the sections: VMCOREINFO has the address that the variable points to, and the
    /// number of roots.
    fn add_roots(&mut self, memory: &impl PhysRead, space: &AddressSpace, variable: Option<u64>) {
        let roots = variable.and_then(|at| space.read_u64(memory, at).ok());
        self.add("SYMBOL(mem_section)", roots.map(|roots| format!("{roots:x}")));
        self.add("LENGTH(mem_section)", self.count_of_roots());
    }

    fn count_of_roots(&self) -> Option<u64> {
        let bits = |name| self.info.number(name).ok();
        let bits = bits("MAX_PHYSMEM_BITS")?.checked_sub(bits("SECTION_SIZE_BITS")?)?;
        let sections = 1_u64.checked_shl(u32::try_from(bits).ok()?)?;
        let size = self.info.size("mem_section").ok()? as u64;
        Some(sections.div_ceil((ROOT_SIZE / size).max(1)))
    }

    fn add(&mut self, key: &str, value: Option<impl ToString>) {
        if value.is_some_and(|value| self.info.add(key, value.to_string())) {
            self.keys.push(key.to_owned());
        }
    }
}

/// The kernel's types, from memory between these virtual addresses.
///
/// # Errors
/// They are too large, or cannot be read.
pub(crate) fn btf(memory: &impl PhysRead, space: &AddressSpace, start: u64, end: u64) -> Result<Vec<u8>> {
    let size = end.wrapping_sub(start);
    let too_large = || Error::TooLarge { what: "the size of BTF", value: size, most: MOST_BTF };
    let fitting = usize::try_from(size).ok().filter(|_| size <= MOST_BTF);
    let mut bytes = vec![0; fitting.ok_or_else(too_large)?];
    space.read(memory, start, &mut bytes)?;
    Ok(bytes)
}

/// The value of `page._mapcount`, as in VMCOREINFO.
fn page_type(btf: &Btf<'_>, name: &str) -> Option<i32> {
    // Since 6.12 it is the upper byte; in 6.10 and 6.11 a clear bit.
    let byte = btf.constant("pagetype", &format!("PGTY_{name}")).and_then(|byte| u8::try_from(byte).ok());
    let bit = || btf.constant("pagetype", &format!("PG_{name}")).and_then(|bit| u32::try_from(bit).ok());
    let value = byte.map(|byte| u32::from(byte) << 24).or_else(|| bit().map(|bit| !bit));
    value.map(u32::cast_signed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::btf::tests::Builder;
    use crate::kernel::kallsyms::Encoding;
    use crate::kernel::kallsyms::tests::{END, MAP, info};
    use crate::select::PageLayout;
    use crate::test_memory::TestMemory;

    /// Types as in 6.12.
    fn types() -> Builder {
        let mut types = Builder::new();
        let long = types.integer(8);
        let part = types.structure("", 32, &[("mapping", long, 128), ("private", long, 256)]);
        let tail = types.structure("", 8, &[("compound_head", long, 0)]);
        types.structure(
            "page",
            64,
            &[("flags", long, 0), ("", part, 64), ("", tail, 64), ("_mapcount", long, 384)],
        );
        types.structure("mem_section", 16, &[("section_mem_map", long, 0)]);
        let areas = types.add("", 3 << 24, 0, &[long, long, 11]);
        types.structure("zone", 1024, &[("free_area", areas, 512)]);
        let flags =
            [("PG_lru", 5), ("PG_head", 6), ("PG_swapcache", 10), ("PG_private", 14), ("PG_swapbacked", 17)];
        types.constants("pageflags", &flags);
        types.constants("pagetype", &[("PGTY_buddy", 0xf0), ("PGTY_offline", 0xf1), ("PGTY_slab", 0xf5)]);
        types
    }

    fn memory(types: &Builder) -> TestMemory {
        let bytes = types.bytes();
        let start = MAP + END as u64;
        let mut memory = TestMemory::with_symbols(
            &[
                ("T_stext", MAP),
                ("Dinit_uts_ns", MAP + 0x8100),
                ("Bmem_section", MAP + 0x8200),
                ("R__start_BTF", start),
                ("R__stop_BTF", start + bytes.len() as u64),
            ],
            Encoding::Unsigned,
        );
        memory.put(0x8200, &(MAP + 0x8800).to_le_bytes());
        memory.0.extend(bytes);
        memory
    }

    fn learned(types: &Builder, keys: &str) -> Result<Learned> {
        let memory = memory(types);
        let mut info = info(Encoding::Unsigned);
        for (key, value) in keys.lines().filter_map(|line| line.split_once('=')) {
            info.add(key, value.to_owned());
        }
        let space = AddressSpace::of_kernel(&info)?;
        let learned = Learned::new(&memory, &space, info)?;
        PageLayout::new(&learned.info, &space, &memory).map(|_| learned)
    }

    const BITS: &str = "NUMBER(SECTION_SIZE_BITS)=27\nNUMBER(MAX_PHYSMEM_BITS)=46\n";

    #[test]
    fn types_and_symbols_of_6_12_yield_all_keys_needed() {
        let learned = learned(&types(), BITS).unwrap();
        for (key, value) in [
            ("SIZE(page)", "64"),
            ("OFFSET(page.mapping)", "24"),
            ("OFFSET(page.private)", "40"),
            ("OFFSET(page.compound_head)", "8"),
            ("NUMBER(PG_head_mask)", "64"),
            ("NUMBER(PAGE_BUDDY_MAPCOUNT_VALUE)", "-268435456"),
            ("LENGTH(zone.free_area)", "11"),
            ("SYMBOL(mem_section)", "ffffffff80008800"),
            ("LENGTH(mem_section)", "2048"),
        ] {
            assert_eq!(learned.info.text(key), Some(value), "{key}");
            assert!(learned.keys.iter().any(|learned| learned == key), "{key}");
        }
    }

    #[test]
    fn keys_of_vmcoreinfo_are_not_changed() {
        let learned = learned(&types(), &[BITS, "OFFSET(page.mapping)=32\n"].concat()).unwrap();
        assert_eq!(learned.info.text("OFFSET(page.mapping)"), Some("32"));
        assert!(!learned.keys.iter().any(|key| key == "OFFSET(page.mapping)"));
    }

    #[test]
    fn page_types_are_bits_that_are_clear_in_6_10_and_6_11() {
        for (bit, value) in [(0x80, -129), (0x4000_0000, -0x4000_0001)] {
            let mut types = Builder::new();
            types.constants("pagetype", &[("PG_buddy", bit)]);
            let bytes = types.bytes();
            assert_eq!(page_type(&Btf::parse(&bytes).unwrap(), "buddy"), Some(value));
        }
    }

    #[test]
    fn macros_stay_unknown() {
        let error = learned(&types(), "").map(|_| ()).unwrap_err();
        assert_eq!(error.to_string(), "VMCOREINFO has no NUMBER(SECTION_SIZE_BITS)");
        let mut older = Builder::new();
        older.constants("pageflags", &[("PG_lru", 4)]);
        let bytes = older.bytes();
        assert_eq!(page_type(&Btf::parse(&bytes).unwrap(), "buddy"), None);
    }

    #[test]
    fn a_kernel_without_types_is_recognised() {
        let memory = TestMemory::with_symbols(&[("T_stext", MAP)], Encoding::Unsigned);
        let info = info(Encoding::Unsigned);
        let space = AddressSpace::of_kernel(&info).unwrap();
        let error = Learned::new(&memory, &space, info).map(|_| ()).unwrap_err();
        assert_eq!(error.to_string(), "kallsyms has no __start_BTF");
    }
}
