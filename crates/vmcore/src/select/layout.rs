//! The place and the fields of `struct page`, from the keys of VMCOREINFO.

use crate::kernel::learned::ROOT_SIZE;
use crate::kernel::paging::AddressSpace;
use crate::{Error, PhysRead, Result, Vmcoreinfo};

/// Bits of `section_mem_map` that are flags: six in Linux 7.x. The bits above are a page-aligned
/// address.
const SECTION_FLAGS: u64 = 0xfff;
const SECTION_PRESENT: u64 = 1;
const SECTION_HAS_MAP: u64 = 2;

/// The layout of the kernel's page structures. Offsets and sizes are in bytes.
#[derive(Clone, Debug)]
pub struct PageLayout {
    /// Size of `struct page`.
    pub(super) size: usize,
    pub(super) flags: usize,
    pub(super) mapping: usize,
    pub(super) mapcount: usize,
    pub(super) private: usize,
    pub(super) compound_head: usize,
    pub(super) bits: Bits,
    pub(super) types: Types,
    pub(super) order: Order,
    pub(super) hugetlb: Hugetlb,
    /// Orders of free pages are below this.
    pub(super) orders: u64,
    sections: MemorySections,
}

/// Masks of `page.flags`.
#[derive(Clone, Debug)]
pub(super) struct Bits {
    pub(super) lru: u64,
    pub(super) private: u64,
    pub(super) swapcache: u64,
    /// If the kernel lacks it, `swapcache` alone counts.
    pub(super) swapbacked: Option<u64>,
    /// Up to 6.9; later a type.
    pub(super) slab: u64,
    /// 0 in kernels without memory failure handling.
    pub(super) hwpoison: u64,
    pub(super) head: u64,
}

/// Values of `page._mapcount` that are a type, not a count.
#[derive(Clone, Debug)]
pub(super) struct Types {
    pub(super) buddy: PageType,
    pub(super) offline: Option<PageType>,
    /// Since 6.10.
    pub(super) slab: Option<PageType>,
    /// Since 6.16.
    pub(super) unaccepted: Option<PageType>,
}

/// One type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PageType {
    /// Up to 6.11: a clear bit in a number whose upper four bits are set. In 6.11 it may be one of
    /// these four.
    Bit(u32),
    /// Since 6.12: the upper byte.
    Byte(u8),
}

impl PageType {
    fn new(value: i64) -> Self {
        // VMCOREINFO prints 32 bits, possibly as a signed number.
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "these 32 bits are the value"
        )]
        let value = value as u32;
        if value & 0x00ff_ffff == 0 { Self::Byte((value >> 24) as u8) } else { Self::Bit(!value) }
    }

    pub(super) fn is(self, mapcount: u32) -> bool {
        const BASE: u32 = 0xf000_0000;
        match self {
            Self::Bit(bit) => mapcount & (BASE | bit) == BASE & !bit,
            Self::Byte(byte) => mapcount >> 24 == byte.into(),
        }
    }
}

/// The place of a compound page's order, relative to its first tail.
#[derive(Clone, Copy, Debug)]
pub(super) enum Order {
    /// A byte at this offset.
    Byte(usize),
    /// The lowest byte of the tail's flags, since 6.6.
    Flags,
}

/// The mark of a page of hugetlbfs.
#[derive(Clone, Copy, Debug)]
pub(super) enum Hugetlb {
    /// The number of its destructor, in a byte of the first tail.
    Destructor { at: usize, number: u8 },
    /// A mask of the first tail's flags, 6.6 to 6.8.
    Flag(u64),
    /// A type, since 6.9.
    Type(PageType),
    /// None: the kernel has no hugetlbfs.
    Never,
}

impl PageLayout {
    /// Reads the keys, and finds the sections in memory.
    ///
    /// # Errors
    /// A key is missing that every kernel since 5.10 has, or the memory model is not sparse memory.
    pub fn new(info: &Vmcoreinfo, space: &AddressSpace, memory: &impl PhysRead) -> Result<Self> {
        let layout = Self {
            size: info.size("page")?,
            flags: info.offset("page.flags")?,
            mapping: info.offset("page.mapping")?,
            mapcount: info.offset("page._mapcount")?,
            private: info.offset("page.private")?,
            compound_head: either(info.offset("page.compound_head"), || info.offset("page.compound_info"))?,
            bits: bits(info)?,
            types: types(info)?,
            order: order(info)?,
            hugetlb: hugetlb(info)?,
            orders: info.length("zone.free_area")?,
            sections: MemorySections::new(info, space, memory)?,
        };
        layout.check()
    }

    fn check(self) -> Result<Self> {
        let longest = [
            ("page.flags", self.flags + 8),
            ("page.mapping", self.mapping + 8),
            ("page._mapcount", self.mapcount + 4),
            ("page.private", self.private + 8),
            ("page.compound_head", self.compound_head + 8),
        ];
        match longest.into_iter().find(|(_, end)| *end > self.size) {
            Some((name, end)) => {
                Err(Error::BadKey { key: format!("OFFSET({name})"), value: format!("...{end}") })
            }
            // The kernel's largest possible structure has 80 bytes; the size of reads depends on
            // it.
            None if self.size > 1024 => {
                Err(Error::BadKey { key: "SIZE(page)".to_owned(), value: self.size.to_string() })
            }
            None => Ok(self),
        }
    }

    /// The virtual address of a frame's structure, if it has one.
    pub(super) fn structure_of(
        &self,
        pfn: u64,
        space: &AddressSpace,
        memory: &impl PhysRead,
    ) -> Result<Option<u64>> {
        let map = self.sections.map_of(pfn, space, memory)?;
        Ok(map.map(|map| map.wrapping_add(pfn.wrapping_mul(self.size as u64))))
    }
}

fn bits(info: &Vmcoreinfo) -> Result<Bits> {
    let mask = |name: &str| info.number(name).and_then(|bit| mask(name, bit));
    let optional = |name: &str| info.number_if_any(name)?.map(|bit| self::mask(name, bit)).transpose();
    Ok(Bits {
        lru: mask("PG_lru")?,
        private: mask("PG_private")?,
        swapcache: mask("PG_swapcache")?,
        swapbacked: optional("PG_swapbacked")?,
        slab: optional("PG_slab")?.unwrap_or(0),
        hwpoison: optional("PG_hwpoison")?.unwrap_or(0),
        head: info.number("PG_head_mask")?.cast_unsigned(),
    })
}

fn mask(name: &str, bit: i64) -> Result<u64> {
    let bad = || Error::BadKey { key: format!("NUMBER({name})"), value: bit.to_string() };
    u32::try_from(bit).ok().and_then(|bit| 1_u64.checked_shl(bit)).ok_or_else(bad)
}

fn types(info: &Vmcoreinfo) -> Result<Types> {
    let optional = |name: &str| Ok::<_, Error>(info.number_if_any(name)?.map(PageType::new));
    let types = Types {
        buddy: PageType::new(info.number("PAGE_BUDDY_MAPCOUNT_VALUE")?),
        offline: optional("PAGE_OFFLINE_MAPCOUNT_VALUE")?,
        slab: optional("PAGE_SLAB_MAPCOUNT_VALUE")?,
        unaccepted: optional("PAGE_UNACCEPTED_MAPCOUNT_VALUE")?,
    };
    // Slab pages must be recognised: their fields have other meanings.
    match types.slab {
        None => info.number("PG_slab").map(|_| types),
        Some(_) => Ok(types),
    }
}

fn order(info: &Vmcoreinfo) -> Result<Order> {
    let folio = in_first_tail(info, "folio._folio_order")?;
    Ok(match info.offset_if_any("page.compound_order")?.or(folio) {
        Some(at) => Order::Byte(at),
        None => Order::Flags,
    })
}

fn hugetlb(info: &Vmcoreinfo) -> Result<Hugetlb> {
    let folio = in_first_tail(info, "folio._folio_dtor")?;
    if let Some(value) = info.number_if_any("PAGE_HUGETLB_MAPCOUNT_VALUE")? {
        return Ok(Hugetlb::Type(PageType::new(value)));
    }
    if let Some(bit) = info.number_if_any("PG_hugetlb")? {
        return Ok(Hugetlb::Flag(mask("PG_hugetlb", bit)?));
    }
    let number = info.number_if_any("HUGETLB_PAGE_DTOR")?.and_then(|number| u8::try_from(number).ok());
    Ok(match (info.offset_if_any("page.compound_dtor")?.or(folio), number) {
        (Some(at), Some(number)) => Hugetlb::Destructor { at, number },
        _ => Hugetlb::Never,
    })
}

/// A folio overlays its pages, so a member after its first page is in the first tail.
fn in_first_tail(info: &Vmcoreinfo, member: &str) -> Result<Option<usize>> {
    let size = info.size("page")?;
    Ok(info.offset_if_any(member)?.and_then(|offset| offset.checked_sub(size)))
}

/// Memory in sections, each with its own array of page structures (`CONFIG_SPARSEMEM_EXTREME`).
#[derive(Clone, Debug)]
struct MemorySections {
    /// The virtual address of the array of roots.
    roots: u64,
    count: u64,
    per_root: u64,
    size: u64,
    map: u64,
    /// Frames in a section are two to the power of this.
    shift: u32,
}

impl MemorySections {
    fn new(info: &Vmcoreinfo, space: &AddressSpace, memory: &impl PhysRead) -> Result<Self> {
        let size = info.size("mem_section")? as u64;
        let bits = info.number("SECTION_SIZE_BITS")?;
        let shift = u32::try_from(bits)
            .ok()
            .and_then(|bits| bits.checked_sub(12))
            .filter(|bits| (10..40).contains(bits));
        let bad = || Error::BadKey { key: "NUMBER(SECTION_SIZE_BITS)".to_owned(), value: bits.to_string() };
        let map = info.offset("mem_section.section_mem_map")? as u64;
        let sections = Self {
            roots: roots(info.symbol("mem_section")?, map, space, memory),
            count: info.length("mem_section")?,
            per_root: (ROOT_SIZE / size).max(1),
            size,
            map,
            shift: shift.ok_or_else(bad)?,
        };
        // Every kernel has a first root; otherwise the address is wrong.
        space.read_u64(memory, sections.roots)?;
        Ok(sections)
    }

    /// The virtual address that frame 0's structure would have in the section of a frame.
    fn map_of(&self, pfn: u64, space: &AddressSpace, memory: &impl PhysRead) -> Result<Option<u64>> {
        let section = pfn >> self.shift;
        let root = section / self.per_root;
        if root >= self.count {
            return Ok(None);
        }
        let root = space.read_u64(memory, self.roots.wrapping_add(root * 8))?;
        if root == 0 {
            return Ok(None);
        }
        let at = root.wrapping_add(section % self.per_root * self.size).wrapping_add(self.map);
        let map = space.read_u64(memory, at)?;
        let has_map = map & SECTION_PRESENT != 0 && map & SECTION_HAS_MAP != 0;
        Ok(has_map.then_some(map & !SECTION_FLAGS))
    }
}

/// The virtual address of the array of roots: the symbol's value in VMCOREINFO or, if that is the
/// address of the variable, as from a kernel's file, the variable's value. In that case the first
/// word of the first root is a pointer, not a map.
fn roots(symbol: u64, map: u64, space: &AddressSpace, memory: &impl PhysRead) -> u64 {
    let word = |at| space.read_u64(memory, at).ok();
    let first = word(symbol);
    let second = first.and_then(|first| word(first.wrapping_add(map)));
    match (first, second) {
        (Some(roots), Some(pointer)) if pointer != 0 && pointer & SECTION_PRESENT == 0 => roots,
        _ => symbol,
    }
}

fn either<T>(first: Result<T>, second: impl FnOnce() -> Result<T>) -> Result<T> {
    match first {
        Err(Error::NoKey { key }) => second().map_err(|_| Error::NoKey { key }),
        found => found,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_clear_bits_before_6_12() {
        let buddy = PageType::new(-129);
        assert_eq!(buddy, PageType::Bit(0x80));
        assert!(buddy.is(0xffff_ff7f));
        for mapcount in [0xffff_ffff, 0, 5, 0x7f, 0xffff_feff] {
            assert!(!buddy.is(mapcount), "{mapcount:#x}");
        }
    }

    #[test]
    fn types_are_upper_bits_in_6_11() {
        // PG_buddy is 0x40000000 there, PG_slab 0x02000000.
        let (buddy, slab) = (PageType::new(-0x4000_0001), PageType::new(-0x0200_0001));
        assert!(buddy.is(0xbfff_ffff) && slab.is(0xfdff_ffff));
        for mapcount in [0xffff_ffff, 0, 5, 0xfdff_ffff, 0xdfff_ffff] {
            assert!(!buddy.is(mapcount), "{mapcount:#x}");
        }
        for mapcount in [0xffff_ffff, 0, 5, 0xbfff_ffff, 0xfbff_ffff] {
            assert!(!slab.is(mapcount), "{mapcount:#x}");
        }
    }

    #[test]
    fn types_are_whole_bytes_since_6_12() {
        for value in [0xf000_0000, -0x1000_0000] {
            let buddy = PageType::new(value);
            assert!(buddy.is(0xf000_0000));
            for mapcount in [0xffff_ffff, 0xf100_0000, 0xf500_0000, 0, 3] {
                assert!(!buddy.is(mapcount), "{mapcount:#x}");
            }
        }
    }
}
