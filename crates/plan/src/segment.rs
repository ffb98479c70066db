use std::borrow::Cow;

use phys::PhysRange;

/// Bytes and the pages they are to be in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment<'a> {
    /// What it is.
    pub name: &'static str,
    /// The destination.
    pub range: PhysRange,
    /// Its first bytes; the others are zero.
    pub bytes: Cow<'a, [u8]>,
}

impl<'a> Segment<'a> {
    /// A segment of the file as one of the plan; one that is beyond all addresses is none, and refused as no RAM.
    pub(crate) fn of_file(segment: &kernel_file::Segment<'a>) -> Option<Self> {
        let range = PhysRange::from_bytes(segment.address, segment.size).ok()?;
        Some(Self { name: "kernel", range, bytes: segment.bytes.clone() })
    }
}

/// A part of a segment that someone may want to find.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// What it is.
    pub name: &'static str,
    /// Where its first byte is.
    pub address: u64,
    /// Bytes.
    pub size: u64,
}
