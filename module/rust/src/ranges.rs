// SPDX-License-Identifier: GPL-2.0-only
//! Where destinations may be: System RAM, and what the caller vouches for.

use abi::device::{Load, Range, load_flag, reason};
use core::mem::{offset_of, size_of_val};
use phys::{PAGE_SIZE, Pfn, PhysRange, RangeSet};

use crate::failure::Failure;
use crate::frames::Claims;
use crate::kernel::{self, Array, CallerMemory};

/// Sorted and joined ranges, in memory of their own.
pub struct Ranges {
    ranges: Array<PhysRange>,
    count: usize,
}

impl Ranges {
    fn new(mut ranges: Array<PhysRange>) -> Self {
        let count = RangeSet::sort(&mut ranges).ranges().len();
        Self { ranges, count }
    }

    /// Both together.
    fn joined(&self, other: &Self) -> Result<Self, Failure> {
        let (mine, theirs) = (self.set().ranges(), other.set().ranges());
        let mut both = mine.iter().chain(theirs).copied();
        Array::from_iterator(mine.len() + theirs.len(), &mut both).map(Self::new)
    }

    fn copied(&self) -> Result<Self, Failure> {
        let ranges = self.set().ranges();
        let copy = Array::from_iterator(ranges.len(), &mut ranges.iter().copied())?;
        Ok(Self { ranges: copy, count: self.count })
    }

    /// The frames.
    pub fn set(&self) -> RangeSet<'_> {
        let sorted = self.ranges.get(..self.count).unwrap_or(&[]);
        RangeSet::from_sorted(sorted).unwrap_or(RangeSet::EMPTY)
    }
}

/// Where destinations may be.
pub struct Destinations {
    ram: Ranges,
    vouched: Ranges,
    allowed: Ranges,
}

impl Destinations {
    /// Asks the kernel for its RAM, and reads what the caller vouches for.
    pub fn gather(request: &Load, memory: CallerMemory) -> Result<Self, Failure> {
        let ram = Ranges::new(whole_pages(&kernel::ram_ranges()?)?);
        let raw = read_vouched(request, memory)?;
        check_disjoint(&raw, ram.set())?;
        let vouched = Ranges::new(check_vouched(&raw)?);
        let allowed = ram.joined(&vouched)?;
        Ok(Self { ram, vouched, allowed })
    }

    /// Where destinations may be.
    pub fn allowed(&self) -> RangeSet<'_> {
        self.allowed.set()
    }

    /// System RAM.
    pub fn ram(&self) -> RangeSet<'_> {
        self.ram.set()
    }

    /// Memory that the kernel does not use.
    pub fn vouched(&self) -> RangeSet<'_> {
        self.vouched.set()
    }

    /// Whether the caller vouches for this address.
    pub fn vouches_for(&self, address: u64) -> bool {
        Pfn::new(address / PAGE_SIZE).is_some_and(|frame| self.vouched().contains(frame))
    }

    /// What to take away from the kernel, if the caller wants that.
    pub fn claims(&self, request: &Load, raw: &[abi::device::Segment]) -> Result<Option<Claims>, Failure> {
        if request.flags & load_flag::CLAIM == 0 {
            return Ok(None);
        }
        // Segments that wrap around are refused before anything is claimed.
        let range = |segment: &abi::device::Segment| Range {
            start: segment.mem,
            end: segment.mem.saturating_add(segment.memsz),
        };
        let wanted = Array::from_iterator(raw.len(), &mut raw.iter().map(range))?;
        Ok(Some(Claims::new(wanted, self.ram.copied()?)))
    }
}

fn read_vouched(request: &Load, memory: CallerMemory) -> Result<Array<Range>, Failure> {
    let count = request.vouched_count;
    if count > kernel::total_pages() {
        return Err(Failure::bad_field(offset_of!(Load, vouched_count), count));
    }
    memory.read_array(request.vouched, count)
}

/// System RAM may start and end anywhere; only whole pages of it count.
fn whole_pages(raw: &[Range]) -> Result<Array<PhysRange>, Failure> {
    let mut whole = raw
        .iter()
        .filter_map(|range| PhysRange::within_bytes(range.start, range.end.checked_sub(range.start)?).ok());
    Array::from_iterator(whole.clone().count(), &mut whole)
}

/// The kernel uses its RAM, whatever a caller says.
fn check_disjoint(vouched: &[Range], ram: RangeSet<'_>) -> Result<(), Failure> {
    for (index, range) in vouched.iter().enumerate() {
        let overlaps = |ram: &PhysRange| ram.start().get() < range.end && range.start < ram.end();
        if ram.ranges().iter().any(overlaps) {
            return Err(Failure::new(reason::VOUCHED_RAM, [index as u64, range.start, range.end]));
        }
    }
    Ok(())
}

fn check_vouched(raw: &[Range]) -> Result<Array<PhysRange>, Failure> {
    let no_memory = Failure::no_memory(size_of_val(raw) as u64);
    Array::from_each(raw, no_memory, |index, range| {
        let bad = Failure::new(reason::BAD_VOUCHED, [index as u64, range.start, range.end]);
        let length = range.end.checked_sub(range.start).ok_or(bad)?;
        PhysRange::from_bytes(range.start, length).map_err(|_| bad)
    })
}
