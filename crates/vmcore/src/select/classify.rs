//! Classification of pages by their structures.

use super::Level;
use super::layout::{Hugetlb, Order, PageLayout};
use crate::format::field::{u8_at, u32_at, u64_at};

/// The kind of an excluded page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Exclusion {
    /// Nothing but zeros.
    Zero,
    /// Page cache without private data.
    Cache,
    /// Page cache with private data, such as a file system's buffers.
    PrivateCache,
    /// Memory of processes: anonymous, or of hugetlbfs.
    User,
    /// Free.
    Free,
    /// Memory with a hardware fault.
    Poisoned,
    /// Taken back by a balloon or a hypervisor.
    Offline,
}

impl Exclusion {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Zero, Self::Cache, Self::PrivateCache, Self::User, Self::Free, Self::Poisoned, Self::Offline];
}

/// Whether to keep a page, and how many pages that decides: two to the power of the order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Keep,
    Exclude(Exclusion, u32),
}

/// How soon a reader needs a page that is kept, before it looks at anything in particular.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    /// Memory allocated before there were page structures: memory of each CPU, large tables.
    Early,
    /// Objects of the kernel, tasks among them.
    Object,
    /// The kernel's other pages.
    Own,
    /// Anything else.
    Last,
}

/// The highest plausible order of a compound page: 1 GiB has 18.
const MOST_ORDER: u32 = 18;
/// Unaccepted memory comes in pieces of `MAX_PAGE_ORDER`.
const UNACCEPTED_ORDER: u32 = 10;
/// Bit 0 of `page.mapping` (`PAGE_MAPPING_ANON`).
const ANONYMOUS: u64 = 1;

impl PageLayout {
    /// Classifies a page by its structure and that of the next page, both as bytes.
    pub(super) fn judge(&self, page: &[u8], tail: Option<&[u8]>, pfn: u64, level: Level) -> Verdict {
        if u64_at(page, self.compound_head) & 1 != 0 {
            // The head decides for all pages.
            return Verdict::Keep;
        }
        let flags = u64_at(page, self.flags);
        let mapcount = u32_at(page, self.mapcount);
        let slab = self.is_slab(flags, mapcount);
        if level.free()
            && !slab
            && let Some(order) = self.free_order(page, mapcount)
        {
            return Verdict::Exclude(Exclusion::Free, order);
        }
        let tail = tail.filter(|_| flags & self.bits.head != 0);
        let order = tail.map_or(0, |tail| self.compound_order(tail, pfn));
        match self.kind(page, tail, flags, mapcount, slab, level) {
            Some(kind) => Verdict::Exclude(kind, order),
            None => Verdict::Keep,
        }
    }

    /// How soon a page is needed, by its structure. Tails of compound pages follow their head.
    /// `early` is the flag of early pages.
    pub(super) fn need(&self, page: &[u8], tail: Option<&[u8]>, pfn: u64, early: u64) -> (Need, u32) {
        if u64_at(page, self.compound_head) & 1 != 0 {
            return (Need::Own, 0);
        }
        let flags = u64_at(page, self.flags);
        if flags & early != 0 {
            return (Need::Early, 0);
        }
        let order =
            tail.filter(|_| flags & self.bits.head != 0).map_or(0, |tail| self.compound_order(tail, pfn));
        match self.judge(page, tail, pfn, Level::ALL_KINDS) {
            Verdict::Exclude(_, order) => (Need::Last, order),
            Verdict::Keep if self.is_slab(flags, u32_at(page, self.mapcount)) => (Need::Object, order),
            Verdict::Keep => (Need::Own, order),
        }
    }

    fn is_slab(&self, flags: u64, mapcount: u32) -> bool {
        flags & self.bits.slab != 0 || self.types.slab.is_some_and(|slab| slab.is(mapcount))
    }

    /// The order of a free page, or of memory not yet accepted from the hypervisor.
    fn free_order(&self, page: &[u8], mapcount: u32) -> Option<u32> {
        if self.types.buddy.is(mapcount) {
            let order = u64_at(page, self.private);
            // An impossible order means a damaged list: the page is kept.
            return u32::try_from(order).ok().filter(|_| order < self.orders.min(32));
        }
        self.types.unaccepted.filter(|unaccepted| unaccepted.is(mapcount)).map(|_| UNACCEPTED_ORDER)
    }

    fn kind(
        &self,
        page: &[u8],
        tail: Option<&[u8]>,
        flags: u64,
        mapcount: u32,
        slab: bool,
        level: Level,
    ) -> Option<Exclusion> {
        let anonymous = u64_at(page, self.mapping) & ANONYMOUS != 0 && !slab;
        let cache = self.is_cache(flags) && !anonymous;
        let private = flags & self.bits.private != 0;
        if cache && !private && (level.cache() || level.private_cache()) {
            Some(Exclusion::Cache)
        } else if cache && private && level.private_cache() {
            Some(Exclusion::PrivateCache)
        } else if level.user() && (anonymous || self.is_hugetlb(mapcount, tail)) {
            Some(Exclusion::User)
        } else if flags & self.bits.hwpoison != 0 {
            Some(Exclusion::Poisoned)
        } else if self.types.offline.is_some_and(|offline| offline.is(mapcount)) {
            Some(Exclusion::Offline)
        } else {
            None
        }
    }

    fn is_cache(&self, flags: u64) -> bool {
        let swap_counts = self.bits.swapbacked.is_none_or(|swapbacked| flags & swapbacked != 0);
        flags & self.bits.lru != 0 || (swap_counts && flags & self.bits.swapcache != 0)
    }

    fn is_hugetlb(&self, mapcount: u32, tail: Option<&[u8]>) -> bool {
        match (self.hugetlb, tail) {
            (Hugetlb::Type(hugetlb), Some(_)) => hugetlb.is(mapcount),
            (Hugetlb::Destructor { at, number }, Some(tail)) => u8_at(tail, at) == number,
            (Hugetlb::Flag(mask), Some(tail)) => u64_at(tail, self.flags) & mask != 0,
            _ => false,
        }
    }

    fn compound_order(&self, tail: &[u8], pfn: u64) -> u32 {
        let order = match self.order {
            Order::Byte(at) => u8_at(tail, at),
            Order::Flags => u8_at(tail, self.flags),
        };
        let order = u32::from(order);
        let possible = order <= MOST_ORDER && pfn.is_multiple_of(1 << order);
        if possible { order } else { 0 }
    }
}

#[cfg(test)]
mod tests;
