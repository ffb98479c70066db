use std::ops::Range;

/// Consecutive bytes of the resting kernel's memory, and where they are while the other kernel
/// runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// Physical address of the first byte while the resting kernel runs.
    pub start: u64,
    /// Bytes; at least one.
    pub size: u64,
    /// Physical address of the first byte while the other kernel runs.
    pub at: u64,
}

impl Stretch {
    const fn end(self) -> u64 {
        self.start + self.size
    }

    /// The part of it between two addresses.
    const fn part(self, start: u64, end: u64) -> Option<Self> {
        if start >= end {
            return None;
        }
        Some(Self { start, size: end - start, at: self.at.wrapping_add(start - self.start) })
    }
}

/// A range of memory that is not in place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    range: Range<u64>,
    to: Option<u64>,
}

impl Change {
    /// These bytes are kept at another address.
    #[must_use]
    pub const fn moved(range: Range<u64>, to: u64) -> Self {
        Self { range, to: Some(to) }
    }

    /// These bytes do not belong to the resting kernel.
    #[must_use]
    pub const fn gone(range: Range<u64>) -> Self {
        Self { range, to: None }
    }
}

/// The memory of a resting kernel, and where each byte of it is: stretches in rising order that do
/// not overlap.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RestingMemory {
    stretches: Vec<Stretch>,
}

impl RestingMemory {
    /// All bytes of these ranges, each in its place. The ranges may come in any order and overlap.
    #[must_use]
    pub fn in_place(ranges: impl IntoIterator<Item = Range<u64>>) -> Self {
        let mut ranges: Vec<_> = ranges.into_iter().filter(|range| !range.is_empty()).collect();
        ranges.sort_by_key(|range| range.start);
        let mut memory = Self::default();
        let mut end = 0;
        for range in ranges {
            let start = range.start.max(end);
            end = end.max(range.end);
            memory.extend(Stretch { start, size: 0, at: start }.part(start, range.end));
        }
        memory
    }

    /// The same memory after these changes. They may come in any order; where two overlap, the one
    /// that starts first counts. Parts of a change outside of this memory are ignored. O(n log n).
    #[must_use]
    pub fn with(self, changes: &[Change]) -> Self {
        let mut changes: Vec<_> = changes.iter().filter(|change| !change.range.is_empty()).collect();
        changes.sort_by_key(|change| change.range.start);
        let mut memory = Self::default();
        let mut rest = changes.as_slice();
        for stretch in self.stretches {
            let mut free = stretch.start;
            while let [change, others @ ..] = rest {
                if change.range.start >= stretch.end() {
                    break;
                }
                let start = change.range.start.max(free);
                let end = change.range.end.min(stretch.end());
                if start < end {
                    memory.extend(stretch.part(free, start));
                    memory.extend(change.to.and_then(|to| {
                        let whole = Stretch { start: change.range.start, size: 0, at: to };
                        whole.part(start, end)
                    }));
                    free = end;
                }
                if change.range.end > stretch.end() {
                    break;
                }
                rest = others;
            }
            memory.extend(stretch.part(free, stretch.end()));
        }
        memory
    }

    /// The stretches in a range of the resting kernel's memory.
    pub fn within(&self, range: Range<u64>) -> impl Iterator<Item = Stretch> {
        let part = move |stretch: &Stretch| {
            stretch.part(stretch.start.max(range.start), stretch.end().min(range.end))
        };
        self.stretches.iter().filter_map(part)
    }

    /// The stretches; adjacent ones are joined.
    #[must_use]
    pub fn stretches(&self) -> &[Stretch] {
        &self.stretches
    }

    /// Where a byte of this memory is.
    #[must_use]
    pub fn find(&self, address: u64) -> Option<u64> {
        let after = self.stretches.partition_point(|stretch| stretch.start <= address);
        let stretch = self.stretches.get(after.checked_sub(1)?)?;
        (address < stretch.end()).then(|| stretch.at.wrapping_add(address - stretch.start))
    }

    /// Bytes of all stretches.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.stretches.iter().map(|stretch| stretch.size).sum()
    }

    /// Adds the next stretch, joined to the previous one if it continues that.
    fn extend(&mut self, next: Option<Stretch>) {
        let Some(next) = next else { return };
        match self.stretches.last_mut() {
            Some(last) if last.end() == next.start && last.at.wrapping_add(last.size) == next.at => {
                last.size += next.size;
            }
            _ => self.stretches.push(next),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn stretches(memory: &RestingMemory) -> Vec<(u64, u64, u64)> {
        memory.stretches().iter().map(|it| (it.start, it.end(), it.at)).collect()
    }

    #[test]
    fn a_crash_kernel_sees_all_but_its_own_memory_and_the_first_640_kib_in_their_copy() {
        let ram = [0x10_0000..0x4000_0000, 0x1000..0x9_fc00];
        let changes = [Change::gone(0x2000_0000..0x3000_0000), Change::moved(0..0xa_0000, 0x2fff_0000)];
        let memory = RestingMemory::in_place(ram).with(&changes);
        assert_eq!(
            stretches(&memory),
            [
                (0x1000, 0x9_fc00, 0x2fff_1000),
                (0x10_0000, 0x2000_0000, 0x10_0000),
                (0x3000_0000, 0x4000_0000, 0x3000_0000),
            ]
        );
        assert_eq!(
            [0x1234, 0xa_0000, 0x2000_0000].map(|byte| memory.find(byte)),
            [Some(0x2fff_1234), None, None]
        );
    }

    #[test]
    fn neighbours_that_are_moved_together_are_one_stretch() {
        let moved = |page: u64, to: u64| Change::moved(page << 12..(page + 1) << 12, to << 12);
        let memory = RestingMemory::in_place(std::iter::once(0..0x8000)).with(&[
            moved(3, 0x21),
            moved(2, 0x20),
            moved(5, 5),
        ]);
        assert_eq!(
            stretches(&memory),
            [(0, 0x2000, 0), (0x2000, 0x4000, 0x2_0000), (0x4000, 0x8000, 0x4000)]
        );
    }

    proptest! {
        #[test]
        fn every_byte_is_where_the_changes_say(
            ram in prop::collection::vec((0_u64..60, 1_u64..20), 0..5),
            changes in prop::collection::vec((0_u64..80, 0_u64..20, prop::option::of(100_u64..200)), 0..8),
        ) {
            let ram: Vec<_> = ram.into_iter().map(|(start, size)| start..start + size).collect();
            let mut changes: Vec<_> = changes.into_iter().map(|(start, size, to)| {
                Change { range: start..start + size, to }
            }).collect();
            let memory = RestingMemory::in_place(ram.clone()).with(&changes);
            changes.sort_by_key(|change| change.range.start);
            for byte in 0..120 {
                let change = changes.iter().find(|change| change.range.contains(&byte));
                let wanted = match change {
                    _ if !ram.iter().any(|range| range.contains(&byte)) => None,
                    None => Some(byte),
                    Some(change) => change.to.map(|to| to + byte - change.range.start),
                };
                prop_assert_eq!(memory.find(byte), wanted, "byte {}", byte);
            }
            let apart = |pair: &[Stretch]| pair[0].end() < pair[1].start
                || pair[0].end() == pair[1].start && pair[0].at + pair[0].size != pair[1].at;
            prop_assert!(memory.stretches().windows(2).all(apart));
        }
    }
}
