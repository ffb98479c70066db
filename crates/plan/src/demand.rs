/// Something that must have a place: whole pages, in one piece.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Demand {
    /// What it is, for messages.
    pub name: &'static str,
    /// Bytes; whole pages are taken for them.
    pub size: u64,
    /// Alignment of its first byte: a power of two. A page is the least that is given.
    pub align: u64,
    /// Where it may be, the better first: lowest address of its first byte, highest of its last.
    pub windows: Vec<(u64, u64)>,
    /// Which of the places in a window is taken.
    pub search: Search,
}

/// From which end a place is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Search {
    /// The lowest place that will do.
    BottomUp,
    /// The highest.
    TopDown,
}

/// The end of the memory that a kernel starts its other CPUs from, and that holds data of the firmware's.
pub(crate) const LOW_END: u64 = 0x10_0000;
/// The last byte that 32-bit code reaches, and that an older kernel's first page tables map.
pub(crate) const LAST_BELOW_4G: u64 = 0xffff_ffff;

impl Demand {
    /// Data for a 32-bit kernel: as high as it reaches, and nothing below 1 MiB, within these limits.
    pub(crate) fn for_32_bits(name: &'static str, size: u64, (lowest, highest): (u64, u64)) -> Self {
        let window = (lowest.max(LOW_END), highest.min(LAST_BELOW_4G));
        Self { name, size, align: 1, windows: vec![window], search: Search::TopDown }
    }
}
