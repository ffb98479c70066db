use core::marker::PhantomData;

/// A little-endian number in bytes shared with someone: where it stands, and by its type how wide
/// it is.
#[derive(Clone, Copy, Debug)]
pub struct Field<T> {
    offset: usize,
    number: PhantomData<T>,
}

impl<T: Copy> Field<T> {
    /// The field that starts at this offset, in bytes.
    #[must_use]
    pub const fn at(offset: usize) -> Self {
        Self { offset, number: PhantomData }
    }

    /// Offset of its first byte.
    #[must_use]
    pub const fn offset(self) -> usize {
        self.offset
    }

    /// Offset of the first byte after it.
    #[must_use]
    pub const fn end(self) -> usize {
        self.offset + size_of::<T>()
    }

    /// Its first byte and the first after it.
    pub(crate) const fn span(self) -> (usize, usize) {
        (self.offset(), self.end())
    }
}

impl<T: Number> Field<T> {
    /// The number, if it fits.
    #[must_use]
    pub fn read(self, bytes: &[u8]) -> Option<T> {
        T::first_of(bytes.get(self.offset..)?)
    }

    /// Puts a number there if it fits; returns whether it did.
    #[must_use]
    pub fn write(self, bytes: &mut [u8], number: T) -> bool {
        bytes.get_mut(self.offset..).is_some_and(|rest| number.put_first(rest))
    }
}

/// A number that bytes can hold: `u8`, `u16`, `u32` or `u64`.
pub trait Number: Copy + Default + Into<u64> + sealed::Sealed {
    /// The number that the first bytes make, the lowest first.
    fn first_of(bytes: &[u8]) -> Option<Self>;
    /// Makes the first bytes the number's; whether there are enough.
    fn put_first(self, bytes: &mut [u8]) -> bool;
}

mod sealed {
    pub trait Sealed {}
}

macro_rules! numbers {
    ($($number:ty),*) => {$(
        impl sealed::Sealed for $number {}

        impl Number for $number {
            fn first_of(bytes: &[u8]) -> Option<Self> {
                bytes.split_first_chunk().map(|(first, _)| Self::from_le_bytes(*first))
            }

            fn put_first(self, bytes: &mut [u8]) -> bool {
                bytes.split_first_chunk_mut().map(|(first, _)| *first = self.to_le_bytes()).is_some()
            }
        }
    )*};
}

numbers!(u8, u16, u32, u64);

/// Whether each span starts at or after the end of the previous one, and the last ends at or
/// before `size`.
pub(crate) const fn are_apart(spans: &[(usize, usize)], size: usize) -> bool {
    let mut free = 0;
    let mut rest = spans;
    while let [(start, end), others @ ..] = rest {
        if *start < free || *end < *start {
            return false;
        }
        free = *end;
        rest = others;
    }
    free <= size
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_written_and_read_where_it_stands() {
        let mut bytes = [0xff; 8];
        assert!(Field::<u32>::at(3).write(&mut bytes, 0x0403_0201));
        assert_eq!(bytes, [0xff, 0xff, 0xff, 1, 2, 3, 4, 0xff]);
        assert_eq!(Field::<u32>::at(3).read(&bytes), Some(0x0403_0201));
        assert_eq!(Field::<u16>::at(6).read(&bytes), Some(0xff04));
    }

    #[test]
    fn a_field_beyond_the_bytes_is_none() {
        let mut bytes = [0; 4];
        for offset in [1, 4, 5, usize::MAX] {
            assert_eq!(Field::<u32>::at(offset).read(&bytes), None);
            assert!(!Field::<u32>::at(offset).write(&mut bytes, 1));
        }
        assert_eq!(bytes, [0; 4]);
    }
}
