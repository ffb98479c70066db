use std::borrow::Cow;

use phys::PhysRange;

/// Bytes and the pages that they are loaded into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment<'a> {
    /// Its name in messages.
    pub name: &'static str,
    /// The destination.
    pub range: PhysRange,
    /// Its first bytes; the others are zero.
    pub bytes: Cow<'a, [u8]>,
}

impl<'a> Segment<'a> {
    /// A segment of a file. `None` if it lies outside the physical address space.
    pub(crate) fn of_file(segment: &kernel_file::Segment<'a>) -> Option<Self> {
        let range = PhysRange::from_bytes(segment.address, segment.size).ok()?;
        Some(Self { name: "kernel", range, bytes: segment.bytes.clone() })
    }
}

/// A named part of a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Its name.
    pub name: &'static str,
    /// Address of its first byte.
    pub address: u64,
    /// Bytes.
    pub size: u64,
}
