use phys::PAGE_SIZE;

/// A part of the load that needs a place: whole pages, in one piece.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Demand {
    /// Its name in messages.
    pub name: &'static str,
    /// Bytes; rounded up to whole pages.
    pub size: u64,
    /// Alignment of its first byte: a power of two, at least a page.
    pub align: u64,
    /// Where its bytes may be, in order of preference: the lowest address of its first byte, the
    /// highest of its last. The last page may extend beyond the window.
    pub windows: Vec<(u64, u64)>,
    /// Which of the places in a window to take.
    pub search: Search,
}

/// From which end of a window to search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Search {
    /// Take the lowest place.
    BottomUp,
    /// Take the highest place.
    TopDown,
}

/// End of the low memory, in which a kernel starts its other CPUs and firmware keeps data.
pub(crate) const LOW_END: u64 = 0x10_0000;
/// The last byte that 32-bit code can address, and that the first page tables of older kernels map.
pub(crate) const LAST_BELOW_4G: u64 = 0xffff_ffff;

impl Demand {
    /// Data for a 32-bit kernel: as high as possible below 4 GiB, above 1 MiB, within these limits.
    pub(crate) fn for_32_bits(name: &'static str, size: u64, (lowest, highest): (u64, u64)) -> Self {
        let window = (lowest.max(LOW_END), whole_pages(highest).min(LAST_BELOW_4G));
        Self { name, size, align: 1, windows: vec![window], search: Search::TopDown }
    }
}

/// The highest limit at the end of a page that does not exceed this one: no page is loaded that
/// extends beyond it.
pub(crate) const fn whole_pages(highest: u64) -> u64 {
    match highest.checked_add(1) {
        None => highest,
        Some(end) => (end - end % PAGE_SIZE).saturating_sub(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_inside_a_page_excludes_that_page() {
        let limits = [0, 0xffe, 0xfff, 0x1000, 0x1ffe, 0x1fff, u64::MAX - 1, u64::MAX];
        let whole = [0, 0, 0xfff, 0xfff, 0xfff, 0x1fff, u64::MAX - 0x1000, u64::MAX];
        assert_eq!(limits.map(whole_pages), whole);
    }
}
