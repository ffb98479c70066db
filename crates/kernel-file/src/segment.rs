use std::borrow::Cow;

/// Whole pages of destination, and the bytes they start with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment<'a> {
    /// What it is made of, for messages.
    pub name: String,
    /// Physical address of the destination, a multiple of the page size.
    pub address: u64,
    /// Size of the destination in bytes, a multiple of the page size, not 0. It does not wrap around.
    pub size: u64,
    /// The first bytes, at most `size`; the others are zero.
    pub bytes: Cow<'a, [u8]>,
}

impl Segment<'_> {
    /// The address of the first byte behind the destination.
    #[must_use]
    pub const fn end(&self) -> u64 {
        self.address.saturating_add(self.size)
    }
}
