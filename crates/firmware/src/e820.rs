//! INT 15h E820h: the memory map (ACPI specification, 15.1).

use abi::{Field, Number};

/// "SMAP", which the call passes in EDX and returns in EAX.
pub const SIGNATURE: u32 = 0x534d_4150;
/// Bytes of an entry that are asked for. A BIOS may return 20.
pub const ENTRY: u16 = 24;
/// Most entries.
pub const MOST: u16 = 255;

/// A range of the memory map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// First address.
    pub start: u64,
    /// Bytes.
    pub length: u64,
    /// 1 RAM, 2 reserved, 3 ACPI tables, 4 ACPI NVS, 5 unusable.
    pub kind: u32,
}

impl Range {
    /// The kind as the kernel names it.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self.kind {
            1 => "System RAM",
            2 => "Reserved",
            3 => "ACPI Tables",
            4 => "ACPI Non-volatile Storage",
            5 => "Unusable memory",
            7 => "Persistent Memory",
            _ => "Unknown E820 type",
        }
    }

    /// The kind that the kernel gives a name, the reserved one for any other.
    #[must_use]
    pub fn kind_of(name: &str) -> u32 {
        const RESERVED: u32 = 2;
        let named = |kind: &u32| Self { start: 0, length: 0, kind: *kind }.name() == name;
        [1, 2, 3, 4, 5, 7].into_iter().find(named).unwrap_or(RESERVED)
    }

    /// The last address.
    #[must_use]
    pub const fn last(&self) -> u64 {
        self.start.wrapping_add(self.length).wrapping_sub(1)
    }
}

/// The ranges in a buffer to which the call was made this many times; those of no bytes are left
/// out.
#[must_use]
pub fn ranges(buffer: &[u8], times: u32) -> Vec<Range> {
    let entries = buffer.chunks_exact(ENTRY.into()).take(usize::try_from(times).unwrap_or(0));
    entries.filter_map(range).filter(|range| range.length > 0).collect()
}

fn range(entry: &[u8]) -> Option<Range> {
    fn at<T: Number>(entry: &[u8], offset: usize) -> Option<T> {
        Field::<T>::at(offset).read(entry)
    }
    Some(Range { start: at(entry, 0)?, length: at(entry, 8)?, kind: at(entry, 16)? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn entries_are_24_bytes_apart() {
        let mut buffer = vec![0; 72];
        assert!(Field::<u64>::at(8).write(&mut buffer, 0x9fc00));
        assert!(Field::<u32>::at(16).write(&mut buffer, 1));
        assert!(Field::<u64>::at(24).write(&mut buffer, 0x10_0000));
        assert!(Field::<u64>::at(32).write(&mut buffer, 0x1000));
        assert!(Field::<u32>::at(40).write(&mut buffer, 2));
        let found = ranges(&buffer, 3);
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].last(), found[0].name()), (0x9_fbff, "System RAM"));
        assert_eq!((found[1].start, found[1].last(), found[1].name()), (0x10_0000, 0x10_0fff, "Reserved"));
        assert_eq!(ranges(&buffer, 1).len(), 1);
        for range in found {
            assert_eq!(Range::kind_of(range.name()), range.kind);
        }
        assert_eq!(Range::kind_of("Soft Reserved"), 2);
    }

    proptest! {
        #[test]
        fn any_buffer_is_read(buffer in proptest::collection::vec(any::<u8>(), 0..200), times: u32) {
            for range in ranges(&buffer, times) {
                let _ = (range.last(), range.name());
            }
        }
    }
}
