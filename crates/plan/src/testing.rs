use phys::PhysRange;

/// A range by the number of its first frame and its length in frames.
pub(crate) fn frames(first: u64, count: u64) -> PhysRange {
    PhysRange::from_bytes(first << 12, count << 12).unwrap()
}

/// A range by its start and end address.
pub(crate) fn pages(start: u64, end: u64) -> PhysRange {
    PhysRange::from_bytes(start, end - start).unwrap()
}
