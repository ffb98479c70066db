use core::fmt;

use crate::{ADDRESS_END, FRAME_END, PAGE_SHIFT, PAGE_SIZE};

/// A physical byte address, below [`ADDRESS_END`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PhysAddr(u64);

impl PhysAddr {
    /// The address with this number, or `None` beyond 52 bits.
    #[inline]
    #[must_use]
    pub const fn new(address: u64) -> Option<Self> {
        if address < ADDRESS_END { Some(Self(address)) } else { None }
    }

    /// The address as a number.
    #[inline]
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The frame that holds this byte.
    #[inline]
    #[must_use]
    pub const fn frame(self) -> Pfn {
        Pfn(self.0 >> PAGE_SHIFT)
    }

    /// Bytes from the start of the frame, below [`PAGE_SIZE`].
    #[inline]
    #[must_use]
    pub const fn offset(self) -> u64 {
        self.0 % PAGE_SIZE
    }
}

impl fmt::Debug for PhysAddr {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PhysAddr({:#x})", self.0)
    }
}

impl fmt::Display for PhysAddr {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

/// A page frame number: a physical address divided by [`PAGE_SIZE`], below [`FRAME_END`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pfn(u64);

impl Pfn {
    /// The frame with this number, or `None` beyond the 52-bit address space.
    #[inline]
    #[must_use]
    pub const fn new(number: u64) -> Option<Self> {
        if number < FRAME_END { Some(Self(number)) } else { None }
    }

    /// The frame that starts at this byte address, or `None` if none starts there.
    #[inline]
    #[must_use]
    pub const fn starting_at(address: u64) -> Option<Self> {
        if address.is_multiple_of(PAGE_SIZE) { Self::new(address >> PAGE_SHIFT) } else { None }
    }

    /// The frame number.
    #[inline]
    #[must_use]
    pub const fn number(self) -> u64 {
        self.0
    }

    /// The address of the frame's first byte.
    #[inline]
    #[must_use]
    pub const fn address(self) -> PhysAddr {
        PhysAddr(self.0 << PAGE_SHIFT)
    }

    /// The frame `count` frames further up, or `None` beyond the address space.
    #[inline]
    #[must_use]
    pub const fn checked_add(self, count: u64) -> Option<Self> {
        match self.0.checked_add(count) {
            Some(number) => Self::new(number),
            None => None,
        }
    }
}

impl fmt::Debug for Pfn {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pfn({:#x})", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_ends_at_52_bits() {
        assert_eq!(PhysAddr::new(ADDRESS_END), None);
        let last = PhysAddr::new(ADDRESS_END - 1).unwrap();
        assert_eq!(last.frame().number(), FRAME_END - 1);
        assert_eq!(last.offset(), PAGE_SIZE - 1);
    }

    #[test]
    fn a_frame_starts_only_at_a_multiple_of_the_page_size() {
        assert_eq!(Pfn::starting_at(0x2000), Pfn::new(2));
        assert_eq!(Pfn::starting_at(0x2001), None);
        assert_eq!(Pfn::starting_at(ADDRESS_END), None);
    }

    #[test]
    fn counting_up_stops_at_the_end_of_the_address_space() {
        let last = Pfn::new(FRAME_END - 1).unwrap();
        assert_eq!(last.checked_add(0), Some(last));
        assert_eq!(last.checked_add(1), None);
        assert_eq!(last.checked_add(u64::MAX), None);
    }
}
