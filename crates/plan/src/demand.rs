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
