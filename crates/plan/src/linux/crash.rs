//! A kernel that takes over when the running one crashes.
//!
//! ```text
//! memory that the running kernel reserved for the crash kernel
//!   RAM         the kernel, its initrd and handoff, as in any load
//!   dump area   elfcorehdr, then a copy of the first 640 KiB, which the crash kernel itself uses
//! ```

use std::borrow::Cow;

use phys::{PhysRange, RangeSet};

use crate::elfcorehdr::{self, Change, NoteAt, RestingMemory};
use crate::place::{FreePages, gaps};
use crate::{Demand, Error, Machine, Part, Search, Segment};

/// The memory below 1 MiB that a PC has for software: a kernel starts its other CPUs there.
const LOW: u64 = 0xa_0000;

/// The part of crash memory that serves the dump, and is not RAM for the crash kernel.
pub(super) struct DumpArea {
    elfcorehdr: Vec<u8>,
    /// The pages of the elfcorehdr and, after them, the copy of low memory.
    range: PhysRange,
    /// The pages of the elfcorehdr.
    header: PhysRange,
    /// Whether the running kernel updates the elfcorehdr when CPUs or memory come and go.
    is_updated: bool,
}

impl DumpArea {
    /// Places it at the top of the crash kernel's memory.
    pub(super) fn new(machine: &Machine, update_size: Option<u64>) -> Result<Self, Error> {
        let main = main_range(machine)?;
        let notes: Vec<NoteAt> = machine.cpu_notes.iter().copied().chain(machine.vmcoreinfo).collect();
        let memory = |copy: u64| resting(machine, copy);
        let least = elfcorehdr::size(notes.len(), elfcorehdr::header_count(&memory(0), &machine.virtual_map));
        let header_size = update_size.unwrap_or(0).max(least).next_multiple_of(phys::PAGE_SIZE);
        let demand = Demand {
            name: "the elfcorehdr and a copy of low memory",
            size: header_size + LOW,
            align: 1,
            windows: vec![(main.start().get(), main.end() - 1)],
            search: Search::TopDown,
        };
        let range = FreePages::new(&[main]).take(&demand)?;
        let header =
            PhysRange::from_bytes(range.start().get(), header_size).map_err(|_| Error::NoCrashMemory)?;
        let elfcorehdr = elfcorehdr::render(&notes, &memory(header.end()), &machine.virtual_map)?;
        Ok(Self { elfcorehdr, range, header, is_updated: update_size.is_some() })
    }

    pub(super) const fn range(&self) -> PhysRange {
        self.range
    }

    /// The copy that purgatory makes: from, to, bytes.
    pub(super) const fn copy(&self) -> (u64, u64, u64) {
        (0, self.header.end(), LOW)
    }

    /// The kernel's command-line parameter, in the form of kexec-tools.
    pub(super) fn parameter(&self) -> String {
        format!("elfcorehdr={}K", self.header.start().get() / 1024)
    }

    /// The elfcorehdr's segment, and whether its bytes stay as they are.
    pub(super) fn segment(&self) -> (Segment<'static>, bool) {
        let bytes = Cow::Owned(self.elfcorehdr.clone());
        (Segment { name: "elfcorehdr", range: self.header, bytes }, !self.is_updated)
    }

    pub(super) const fn part(&self) -> Part {
        Part { name: "copy of low memory", address: self.header.end(), size: LOW }
    }
}

/// Where a crash kernel is loaded: the highest of the reserved ranges. Another one below 4 GiB is
/// for devices.
pub(super) fn main_range(machine: &Machine) -> Result<PhysRange, Error> {
    machine.crash.iter().copied().max_by_key(|range| range.start()).ok_or(Error::NoCrashMemory)
}

/// The crash kernel's RAM: the reserved memory without the dump area.
pub(super) fn own_ram(machine: &Machine, dump_area: PhysRange) -> Vec<PhysRange> {
    let mut ranges = machine.crash.clone();
    let taken = [dump_area];
    RangeSet::sort(&mut ranges).ranges().iter().flat_map(|&range| gaps(range, &taken)).collect()
}

/// The running kernel's memory as the crash kernel finds it.
fn resting(machine: &Machine, copy: u64) -> RestingMemory {
    let mut changes = vec![Change::moved(0..LOW, copy)];
    changes.extend(machine.crash.iter().map(|range| Change::gone(range.start().get()..range.end())));
    let ram = machine.ram.iter().map(|range| range.start().get()..range.end());
    RestingMemory::in_place(ram).with(&changes)
}
