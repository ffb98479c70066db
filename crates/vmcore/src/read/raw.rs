//! Raw memory: a file of nothing but pages, whose addresses are given.

use phys::{PAGE_SIZE, PhysRange};

use super::body::Body;
use super::pieces::{Found, Piece, Pieces};
use crate::source::read_exact;
use crate::{Error, FrameSet, PhysRead, ReadAt, Result};

/// A file of raw memory.
pub(super) struct RawMemory<S> {
    source: S,
    /// Where in the file the bytes of memory are, by physical address.
    bytes: Pieces,
    present: FrameSet,
}

impl<S: ReadAt> RawMemory<S> {
    /// A file that contains these ranges one after the other, and nothing else.
    ///
    /// # Errors
    /// [`Error::NoMemory`], [`Error::RangesOverlap`], or [`Error::RawLength`]: the file has another
    /// length than all ranges together.
    pub(super) fn open(source: S, ranges: &[PhysRange]) -> Result<Self> {
        let mut pieces = Vec::with_capacity(ranges.len());
        let mut at = 0_u64;
        for range in ranges {
            pieces.push(Piece { start: range.start().get(), size: range.bytes(), at });
            at = at.saturating_add(range.bytes());
        }
        if pieces.is_empty() {
            return Err(Error::NoMemory);
        }
        pieces.sort_by_key(|piece| piece.start);
        let overlap = pieces.array_windows().find(|[first, second]| second.start < first.start + first.size);
        if let Some([first, second]) = overlap {
            let end = |piece: &Piece| piece.start + piece.size;
            return Err(Error::RangesOverlap {
                first: (first.start, end(first)),
                second: (second.start, end(second)),
            });
        }
        let length = source.length();
        if length != at {
            return Err(Error::RawLength { described: at, length });
        }
        let mut present = FrameSet::new();
        for piece in &pieces {
            present.insert(piece.start / PAGE_SIZE, (piece.start + piece.size) / PAGE_SIZE);
        }
        Ok(Self { source, bytes: Pieces::of(pieces), present })
    }
}

impl<S: ReadAt> Body for RawMemory<S> {
    fn present(&self) -> &FrameSet {
        &self.present
    }

    fn ram(&self) -> &FrameSet {
        &self.present
    }

    fn notes(&self) -> &[u8] {
        &[]
    }

    fn memory(&self) -> u64 {
        self.present.memory() + self.bytes.memory()
    }
}

impl<S: ReadAt> PhysRead for RawMemory<S> {
    fn read_phys(&self, address: u64, buffer: &mut [u8]) -> Result<()> {
        let mut done = 0;
        while done < buffer.len() {
            let at = address.saturating_add(done as u64);
            let Found::At(offset, size) = self.bytes.find(at) else {
                return Err(Error::Absent { pfn: at / PAGE_SIZE });
            };
            let left = &mut buffer[done..];
            let count = usize::try_from(size).unwrap_or(left.len()).min(left.len());
            read_exact(&self.source, "memory", offset, &mut left[..count])?;
            done += count;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: usize = 1 << phys::PAGE_SHIFT;

    fn range(start: u64, pages: u64) -> PhysRange {
        PhysRange::from_bytes(start, pages * PAGE_SIZE).unwrap()
    }

    /// Each byte is the number of its page in the file.
    fn file(pages: u8) -> Vec<u8> {
        (0..pages).flat_map(|page| [page; PAGE]).collect()
    }

    fn error(file: &[u8], ranges: &[PhysRange]) -> String {
        RawMemory::open(file, ranges).map(|_| ()).unwrap_err().to_string()
    }

    #[test]
    fn ranges_are_in_the_order_of_the_file() {
        let file = file(4);
        let raw = RawMemory::open(&file[..], &[range(0x10_0000, 2), range(0, 1), range(0x1000, 1)]).unwrap();
        let byte = |address| {
            let mut bytes = [0xff];
            raw.read_phys(address, &mut bytes).map(|()| bytes[0])
        };
        for (address, page) in [(0x10_0000, 0), (0x10_1fff, 1), (0, 2), (0x1000, 3), (0x1fff, 3)] {
            assert_eq!(byte(address).unwrap(), page, "{address:#x}");
        }
        for absent in [0x2000, 0xf_ffff, 0x10_2000, u64::MAX] {
            assert!(matches!(byte(absent), Err(Error::Absent { .. })), "{absent:#x}");
        }
        assert_eq!(raw.present().runs().collect::<Vec<_>>(), [0..2, 0x100..0x102]);
    }

    #[test]
    fn a_read_crosses_ranges_only_where_memory_goes_on() {
        let file = file(3);
        let raw = RawMemory::open(&file[..], &[range(0x1000, 1), range(0, 1), range(0x3000, 1)]).unwrap();
        let mut bytes = [0xff; 2];
        raw.read_phys(0xfff, &mut bytes).unwrap();
        assert_eq!(bytes, [1, 0]);
        assert!(matches!(raw.read_phys(0x1fff, &mut bytes), Err(Error::Absent { pfn: 2 })));
    }

    #[test]
    fn ranges_that_are_not_those_of_the_file_are_refused() {
        let file = file(3);
        assert_eq!(error(&file, &[]), "the file describes no memory");
        assert_eq!(
            error(&file, &[range(0x2000, 2), range(0x1000, 2)]),
            "the ranges 0x1000-0x3000 and 0x2000-0x4000 overlap"
        );
        assert_eq!(error(&file, &[range(0, 2), range(0, 1)]), "the ranges 0x0-0x2000 and 0x0-0x1000 overlap");
        assert_eq!(
            error(&file, &[range(0, 2)]),
            "the ranges are 0x2000 bytes together, the file is 0x3000 bytes"
        );
        assert_eq!(
            error(&file[..PAGE], &[range(0, 2)]),
            "the ranges are 0x2000 bytes together, the file is 0x1000 bytes"
        );
        let all = PhysRange::from_bytes(0, phys::ADDRESS_END).unwrap();
        assert!(error(&file, &[all]).starts_with("the ranges are 0x10000000000000 bytes"));
    }
}
