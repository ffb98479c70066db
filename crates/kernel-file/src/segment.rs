use std::borrow::Cow;

/// Destination pages and the bytes to load into them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment<'a> {
    /// Its name in messages.
    pub name: String,
    /// Physical address of the destination, a multiple of the page size.
    pub address: u64,
    /// Size of the destination in bytes, a multiple of the page size, not 0. It does not overflow.
    pub size: u64,
    /// The first bytes, at most `size`; the others are zero.
    pub bytes: Cow<'a, [u8]>,
}

impl Segment<'_> {
    /// The end of the destination.
    #[must_use]
    pub const fn end(&self) -> u64 {
        self.address.saturating_add(self.size)
    }
}
