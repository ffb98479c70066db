use core::marker::PhantomData;

/// A little-endian number in bytes shared with someone: where it stands, and by its type how wide it is.
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

    /// Offset of the first byte behind it.
    #[must_use]
    pub const fn end(self) -> usize {
        self.offset + size_of::<T>()
    }

    /// Its first byte and the first behind it.
    pub(crate) const fn span(self) -> (usize, usize) {
        (self.offset(), self.end())
    }
}

macro_rules! access {
    ($($number:ty),*) => {$(
        impl Field<$number> {
            /// The number, if the bytes reach so far.
            #[must_use]
            pub fn read(self, bytes: &[u8]) -> Option<$number> {
                let (bytes, _) = bytes.get(self.offset..)?.split_first_chunk()?;
                Some(<$number>::from_le_bytes(*bytes))
            }

            /// Puts a number there, if the bytes reach so far; whether they do.
            #[must_use]
            pub fn write(self, bytes: &mut [u8], number: $number) -> bool {
                let place = bytes.get_mut(self.offset..).and_then(|rest| rest.split_first_chunk_mut());
                place.map(|(place, _)| *place = number.to_le_bytes()).is_some()
            }
        }
    )*};
}

access!(u8, u16, u32, u64);

/// Whether each span starts at or behind the end of the one before it, and the last ends at or before `size`.
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
