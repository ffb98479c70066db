// SPDX-License-Identifier: GPL-2.0-only
//! Where destinations may be: System RAM, and memory that the caller vouches for.

use abi::device::{Load, Range, load_flag, reason};
use claims::ranges::{self, Ranges};
use core::mem::{offset_of, size_of_val};
use phys::{PAGE_SIZE, Pfn, PhysRange, RangeSet};

use crate::array::Array;
use crate::caller::CallerMemory;
use crate::failure::Failure;
use crate::frames::Claims;
use crate::kernel;
use crate::memory::Kernel;

type Owned = Ranges<Array<PhysRange>>;

/// Where destinations may be.
pub struct Destinations {
    ram: Owned,
    vouched: Owned,
    allowed: Owned,
}

impl Destinations {
    /// Reads the kernel's list of RAM, and the ranges that the caller vouches for.
    pub fn gather(request: &Load, memory: CallerMemory) -> Result<Self, Failure> {
        let ram = Ranges::new(whole_pages(&kernel::ram_ranges()?)?);
        let raw = read_vouched(request, memory)?;
        check_disjoint(&raw, ram.set())?;
        let vouched = Ranges::new(check_vouched(&raw)?);
        let allowed = joined(&ram, &vouched)?;
        Ok(Self { ram, vouched, allowed })
    }

    /// All frames that may be destinations.
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

    /// The ranges to take away from the kernel, if the caller wants that.
    pub fn claims(&self, request: &Load, raw: &[abi::device::Segment]) -> Result<Option<Claims>, Failure> {
        if request.flags & load_flag::CLAIM == 0 {
            return Ok(None);
        }
        // Bad segments are refused before anything is claimed.
        let range = |segment: &abi::device::Segment| PhysRange::from_bytes(segment.mem, segment.memsz).ok();
        let wanted = Array::from_iterator(raw.len(), &mut raw.iter().filter_map(range))?;
        Ok(Some(Claims::new(Kernel, wanted, copied(&self.ram)?)))
    }
}

fn joined(one: &Owned, other: &Owned) -> Result<Owned, Failure> {
    let (one, other) = (one.set().ranges(), other.set().ranges());
    Array::from_iterator(one.len() + other.len(), &mut one.iter().chain(other).copied()).map(Ranges::new)
}

fn copied(ranges: &Owned) -> Result<Owned, Failure> {
    let ranges = ranges.set().ranges();
    Array::from_iterator(ranges.len(), &mut ranges.iter().copied()).map(Ranges::new)
}

fn read_vouched(request: &Load, memory: CallerMemory) -> Result<Array<Range>, Failure> {
    let count = request.vouched_count;
    if count > kernel::total_pages() {
        return Err(Failure::bad_field(offset_of!(Load, vouched_count), count));
    }
    memory.read_array(request.vouched, count)
}

fn whole_pages(raw: &[Range]) -> Result<Array<PhysRange>, Failure> {
    let mut whole = raw.iter().filter_map(|range| ranges::whole_pages(range.start, range.end));
    Array::from_iterator(whole.clone().count(), &mut whole)
}

/// The kernel uses its RAM, whatever a caller vouches for.
fn check_disjoint(vouched: &[Range], ram: RangeSet<'_>) -> Result<(), Failure> {
    for (index, range) in vouched.iter().enumerate() {
        if ranges::overlaps(range.start, range.end, ram) {
            return Err(Failure::new(reason::VOUCHED_RAM, [index as u64, range.start, range.end]));
        }
    }
    Ok(())
}

fn check_vouched(raw: &[Range]) -> Result<Array<PhysRange>, Failure> {
    let no_memory = Failure::no_memory(size_of_val(raw) as u64);
    Array::from_each(raw, no_memory, |index, range| {
        let bad = Failure::new(reason::BAD_VOUCHED, [index as u64, range.start, range.end]);
        ranges::exact(range.start, range.end).ok_or(bad)
    })
}
