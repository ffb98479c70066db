use phys::PhysRange;

/// A range by its first frame's number and the number of frames.
pub(crate) fn frames(first: u64, count: u64) -> PhysRange {
    PhysRange::from_bytes(first << 12, count << 12).unwrap()
}

/// A range by its addresses.
pub(crate) fn pages(start: u64, end: u64) -> PhysRange {
    PhysRange::from_bytes(start, end - start).unwrap()
}
