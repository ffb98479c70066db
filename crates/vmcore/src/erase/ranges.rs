//! Physical memory to overwrite.

use std::ops::Range;

/// What erased bytes become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fill {
    /// makedumpfile's letter `X`.
    Letter,
    /// Zeros, for pointers.
    Zeros,
}

/// Ranges of physical addresses in bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Ranges(Vec<Range<u64>>);

impl Ranges {
    pub(super) fn push(&mut self, range: Range<u64>) {
        match self.0.last_mut() {
            Some(last) if last.end == range.start => last.end = range.end,
            _ => self.0.push(range),
        }
    }

    #[cfg(test)]
    pub(super) fn iter(&self) -> impl Iterator<Item = &Range<u64>> {
        self.0.iter()
    }

    pub(super) fn count(&self) -> usize {
        self.0.len()
    }

    /// Sorts the ranges, and joins those that touch.
    pub(super) fn settle(&mut self) {
        self.0.sort_unstable_by_key(|range| range.start);
        self.0.dedup_by(|next, last| {
            let touch = next.start <= last.end;
            if touch {
                last.end = last.end.max(next.end);
            }
            touch
        });
    }

    /// Bytes of all settled ranges.
    pub(super) fn bytes(&self) -> u64 {
        self.0.iter().map(|range| range.end - range.start).sum()
    }

    /// Overwrites those bytes of the buffer, which starts at `address`, that are in a settled
    /// range.
    pub(super) fn apply(&self, address: u64, buffer: &mut [u8], byte: u8) {
        let end = address.saturating_add(buffer.len() as u64);
        let first = self.0.partition_point(|range| range.end <= address);
        for range in self.0.iter().skip(first).take_while(|range| range.start < end) {
            let inside = |at: u64| usize::try_from(at.clamp(address, end) - address).unwrap_or(0);
            if let Some(bytes) = buffer.get_mut(inside(range.start)..inside(range.end)) {
                bytes.fill(byte);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_in_ranges_are_overwritten_however_they_are_read() {
        let mut ranges = Ranges::default();
        for range in [70..80, 10..20, 15..30, 30..40, 4090..4100] {
            ranges.push(range);
        }
        ranges.settle();
        assert_eq!((ranges.count(), ranges.bytes()), (3, 50));
        let is_erased =
            |at: u64| (10..40).contains(&at) || (70..80).contains(&at) || (4090..4100).contains(&at);
        for (start, length) in [(0, 4200), (0, 11), (12, 3), (39, 40), (79, 1), (80, 4010), (4095, 20)] {
            let mut bytes = vec![b'-'; length];
            ranges.apply(start, &mut bytes, b'X');
            let expected: Vec<u8> =
                (start..).take(length).map(|at| if is_erased(at) { b'X' } else { b'-' }).collect();
            assert_eq!(bytes, expected, "{start}");
        }
    }
}
