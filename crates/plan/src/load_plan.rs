use std::fmt;

use abi::boot_params;
use abi::kexec::SEGMENT_MAX;
use abi::purgatory::{DIGEST, DIGEST_SIZE, KEY, KEY_SIZE, REGIONS, region};
use phys::{PhysAddr, PhysRange, RangeSet};

use crate::draft::Draft;
use crate::view::ViewPlace;
use crate::{Entry, Error, Machine, MemoryRange, Part, Segment, purgatory};

/// The kernel interface that carries out a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interface {
    /// `kexec_load(2)`: the image takes the running kernel's place.
    KexecLoad,
    /// `/dev/kjump`: the image is called, and may return.
    Device,
}

impl fmt::Display for Interface {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::KexecLoad => "kexec_load",
            Self::Device => "/dev/kjump",
        })
    }
}

/// Everything that is loaded, and how it is entered.
///
/// Every plan holds these invariants: segments are sorted, share no page, are large enough for
/// their bytes, and lie in RAM or in the requested window; the entry point is in loaded bytes; and
/// the interface accepts it, as far as that can be known in advance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadPlan<'a> {
    interface: Interface,
    segments: Vec<Segment<'a>>,
    parts: Vec<Part>,
    entry: PhysAddr,
    kernel_entry: Entry,
    memory: Vec<MemoryRange>,
    command_line: Vec<u8>,
    vouched: Vec<PhysRange>,
    view: Option<ViewPlace>,
    boot_params: Option<u64>,
    /// Purgatory's index in the segments.
    purgatory: usize,
}

impl<'a> LoadPlan<'a> {
    /// The only constructor: checks a draft against the machine.
    pub(crate) fn new(mut draft: Draft<'a>, entry: PhysAddr, machine: &Machine) -> Result<Self, Error> {
        draft.segments.sort_by_key(|segment| segment.range.first());
        draft.parts.sort_by_key(|part| part.address);
        check_bytes(&draft.segments)?;
        check_overlap(&draft.segments)?;
        check_ram(&draft, machine)?;
        check_interface(&draft, machine)?;
        let purgatory = entered(&draft.segments, entry)?;
        Ok(Self {
            interface: draft.interface,
            segments: draft.segments,
            parts: draft.parts,
            entry,
            kernel_entry: draft.kernel_entry,
            memory: draft.memory,
            command_line: draft.command_line,
            vouched: draft.vouched,
            view: draft.view,
            boot_params: draft.boot_params,
            purgatory,
        })
    }

    /// The interface that carries it out.
    #[must_use]
    pub const fn interface(&self) -> Interface {
        self.interface
    }

    /// The segments, sorted by address.
    #[must_use]
    pub fn segments(&self) -> &[Segment<'a>] {
        &self.segments
    }

    /// The parts of segments, sorted by address.
    #[must_use]
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The address of purgatory's first instruction, which is entered in 64-bit mode.
    #[must_use]
    pub const fn entry(&self) -> PhysAddr {
        self.entry
    }

    /// How purgatory enters the kernel.
    #[must_use]
    pub const fn kernel_entry(&self) -> &Entry {
        &self.kernel_entry
    }

    /// The memory map that the kernel gets.
    #[must_use]
    pub fn memory(&self) -> &[MemoryRange] {
        &self.memory
    }

    /// The kernel's command line, without the terminating zero.
    #[must_use]
    pub fn command_line(&self) -> &[u8] {
        &self.command_line
    }

    /// Memory outside System RAM that the caller guarantees is unused, and the plan uses.
    #[must_use]
    pub fn vouched(&self) -> &[PhysRange] {
        &self.vouched
    }

    /// The place for the description of the running kernel's memory, which is written when the
    /// image is loaded.
    #[must_use]
    pub const fn view(&self) -> Option<ViewPlace> {
        self.view
    }

    /// The kernel's `boot_params`, if they are part of the plan.
    #[must_use]
    pub fn boot_params(&self) -> Option<&[u8]> {
        self.find(self.boot_params?, boot_params::SIZE as u64)
    }

    /// Gives purgatory a key and the digest that it verifies. `digest` computes it from the
    /// parameters of purgatory and the bytes of every region.
    pub fn seal(
        &mut self,
        key: &[u8; KEY_SIZE],
        digest: impl FnOnce([&[u8]; 2], &[&[u8]]) -> [u8; DIGEST_SIZE],
    ) {
        self.write_into_purgatory(KEY, key);
        let digest = {
            let block = self.segments.get(self.purgatory).map(|segment| &*segment.bytes).unwrap_or_default();
            let regions = purgatory::regions(block);
            let end = REGIONS + regions.len() * region::SIZE;
            let parameters = [block.get(..DIGEST), block.get(REGIONS..end)].map(Option::unwrap_or_default);
            let covered: Vec<&[u8]> =
                regions.iter().filter_map(|&(start, size)| self.find(start, size)).collect();
            debug_assert_eq!(covered.len(), regions.len(), "a region is part of a segment");
            digest(parameters, &covered)
        };
        self.write_into_purgatory(DIGEST, &digest);
    }

    fn write_into_purgatory(&mut self, offset: usize, bytes: &[u8]) {
        let place = self.segments.get_mut(self.purgatory).map(|segment| segment.bytes.to_mut());
        let place = place.and_then(|all| all.get_mut(offset..)?.get_mut(..bytes.len()));
        if let Some(place) = place {
            place.copy_from_slice(bytes);
        }
    }

    /// The bytes loaded at an address.
    fn find(&self, start: u64, size: u64) -> Option<&[u8]> {
        let size = usize::try_from(size).ok()?;
        self.segments.iter().find_map(|segment| {
            let offset = usize::try_from(start.checked_sub(segment.range.start().get())?).ok()?;
            segment.bytes.get(offset..)?.get(..size)
        })
    }

    /// The sum of all segments' sizes in bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        total(&self.segments)
    }
}

fn total(segments: &[Segment<'_>]) -> u64 {
    segments.iter().fold(0, |sum: u64, segment| sum.saturating_add(segment.range.bytes()))
}

fn check_bytes(segments: &[Segment<'_>]) -> Result<(), Error> {
    match segments.iter().find(|segment| segment.bytes.len() as u64 > segment.range.bytes()) {
        None => Ok(()),
        Some(segment) => {
            let (name, bytes, range) = (segment.name, segment.bytes.len(), segment.range);
            Err(Error::TooManyBytes { name, bytes, range })
        }
    }
}

fn check_overlap(segments: &[Segment<'_>]) -> Result<(), Error> {
    let mut pairs = segments.iter().zip(segments.iter().skip(1));
    let overlap = pairs.find_map(|(a, b)| Some((a.name, b.name, a.range.intersection(b.range)?)));
    match overlap {
        None => Ok(()),
        Some((first, second, range)) => Err(Error::Overlap { first, second, range }),
    }
}

fn check_ram(draft: &Draft<'_>, machine: &Machine) -> Result<(), Error> {
    let mut allowed = [machine.ram.as_slice(), &draft.vouched].concat();
    let allowed = RangeSet::sort(&mut allowed);
    for segment in &draft.segments {
        if let Some(gap) = allowed.first_gap(segment.range) {
            let gap = gap.address().get();
            return Err(Error::NotRam { name: segment.name, range: segment.range, gap });
        }
    }
    Ok(())
}

/// The checks of `sanity_check_segment_list`, `kernel/kexec_core.c`, beyond those above.
fn check_interface(draft: &Draft<'_>, machine: &Machine) -> Result<(), Error> {
    let interface = draft.interface;
    if interface == Interface::Device {
        return Ok(());
    }
    let count = draft.segments.len();
    if count > SEGMENT_MAX {
        return Err(Error::TooManySegments { count, limit: SEGMENT_MAX, interface });
    }
    let ram = machine.ram_bytes();
    let large = draft.segments.iter().find(|segment| segment.range.bytes() > ram / 2);
    let (what, size) = match large {
        Some(segment) => (segment.name, segment.range.bytes()),
        None => ("the image", total(&draft.segments)),
    };
    if size > ram / 2 { Err(Error::TooLarge { what, size, ram, interface }) } else { Ok(()) }
}

/// The index of the segment that is entered.
fn entered(segments: &[Segment<'_>], entry: PhysAddr) -> Result<usize, Error> {
    let holds = |segment: &Segment<'_>| {
        let offset = entry.get().checked_sub(segment.range.start().get());
        offset.is_some_and(|offset| offset < segment.bytes.len() as u64)
    };
    segments.iter().position(holds).ok_or(Error::EntryOutside { entry: entry.get() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::frames;

    fn check(segments: &[(u64, u64, usize)], entry: u64, interface: Interface) -> Result<(), Error> {
        let machine = Machine { ram: vec![frames(0x10, 0x40)], ..Machine::default() };
        let segments = segments.iter().map(|&(first, count, bytes)| Segment {
            name: "it",
            range: frames(first, count),
            bytes: vec![0; bytes].into(),
        });
        let draft = Draft {
            segments: segments.collect(),
            vouched: vec![frames(0x100, 4)],
            ..Draft::new(interface, Entry::at(crate::CpuMode::Long, entry))
        };
        LoadPlan::new(draft, PhysAddr::new(entry).unwrap(), &machine).map(drop)
    }

    #[test]
    fn a_valid_draft_becomes_a_plan() {
        check(&[(0x12, 2, 0x1001), (0x10, 2, 5)], 0x10004, Interface::KexecLoad).unwrap();
        check(&[(0x100, 4, 5)], 0x10_0000, Interface::Device).unwrap();
    }

    #[test]
    fn drafts_that_a_kernel_would_reject_are_rejected_with_the_numbers() {
        let text = |segments: &[(u64, u64, usize)], entry| {
            check(segments, entry, Interface::KexecLoad).unwrap_err().to_string()
        };
        assert_eq!(text(&[(0x10, 1, 0x1001)], 0x10000), "it: 0x1001 bytes do not fit in 0x10000-0x10fff");
        assert_eq!(text(&[(0x10, 3, 1), (0x11, 1, 1)], 0x10000), "it and it overlap in 0x11000-0x11fff");
        assert_eq!(text(&[(0xf, 2, 1)], 0xf000), "it at 0xf000-0x10fff is not all RAM: 0xf000 is not");
        assert_eq!(text(&[(0x4f, 2, 1)], 0x4f000), "it at 0x4f000-0x50fff is not all RAM: 0x50000 is not");
        assert_eq!(
            text(&[(0x10, 2, 8)], 0x10008),
            "the entry point 0x10008 is not in the bytes of any segment"
        );
        let many: Vec<_> = (0x10..0x21).map(|first| (first, 1, 1)).collect();
        assert_eq!(text(&many, 0x10000), "17 segments, kexec_load accepts at most 16");
        let large = "it takes 132 KiB, more than half of 256 KiB of RAM, which kexec_load rejects";
        assert_eq!(text(&[(0x10, 0x21, 1)], 0x10000), large);
        check(&[(0x10, 0x21, 1)], 0x10000, Interface::Device).unwrap();
    }
}
