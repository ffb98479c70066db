use std::fmt;

use abi::e820::kind;
use phys::PhysRange;

/// The kind of a memory range, as firmware reports it to a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemoryKind {
    /// Free for the kernel.
    Ram,
    /// Not to be used.
    Reserved,
    /// ACPI tables.
    AcpiTables,
    /// ACPI non-volatile storage.
    AcpiNvs,
    /// Broken.
    Unusable,
    /// Persistent memory.
    Persistent,
    /// Persistent memory as reported before ACPI 6.
    PersistentLegacy,
    /// For a special purpose.
    SoftReserved,
}

impl MemoryKind {
    /// The kind by its name in `/sys/firmware/memmap` (`e820_type_to_string`,
    /// `arch/x86/kernel/e820.c`). Other names count as reserved, and are not used.
    #[must_use]
    pub fn named(name: &str) -> Self {
        match name {
            "System RAM" => Self::Ram,
            "ACPI Tables" => Self::AcpiTables,
            "ACPI Non-volatile Storage" => Self::AcpiNvs,
            "Unusable memory" => Self::Unusable,
            "Persistent Memory" => Self::Persistent,
            "Persistent Memory (legacy)" => Self::PersistentLegacy,
            "Soft Reserved" => Self::SoftReserved,
            _ => Self::Reserved,
        }
    }

    /// Its number in an e820 entry.
    #[must_use]
    pub const fn number(self) -> u32 {
        match self {
            Self::Ram => kind::RAM,
            Self::Reserved => kind::RESERVED,
            Self::AcpiTables => kind::ACPI,
            Self::AcpiNvs => kind::NVS,
            Self::Unusable => kind::UNUSABLE,
            Self::Persistent => kind::PMEM,
            Self::PersistentLegacy => kind::PRAM,
            Self::SoftReserved => kind::SOFT_RESERVED,
        }
    }
}

impl fmt::Display for MemoryKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ram => "RAM",
            Self::Reserved => "reserved",
            Self::AcpiTables => "ACPI tables",
            Self::AcpiNvs => "ACPI non-volatile storage",
            Self::Unusable => "unusable",
            Self::Persistent => "persistent memory",
            Self::PersistentLegacy => "persistent memory (legacy)",
            Self::SoftReserved => "soft reserved",
        })
    }
}

/// A range of a memory map. Firmware's ranges need not start and end at pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryRange {
    first: u64,
    last: u64,
    kind: MemoryKind,
}

impl MemoryRange {
    /// From the first byte to the last, or `None` if they are in the wrong order or cover the whole
    /// address space.
    #[must_use]
    pub const fn new(first: u64, last: u64, kind: MemoryKind) -> Option<Self> {
        if first > last || last - first == u64::MAX { None } else { Some(Self { first, last, kind }) }
    }

    /// A range of pages.
    #[must_use]
    pub const fn of_pages(range: PhysRange, kind: MemoryKind) -> Self {
        Self { first: range.start().get(), last: range.end() - 1, kind }
    }

    /// Address of the first byte.
    #[must_use]
    pub const fn first(self) -> u64 {
        self.first
    }

    /// Address of the last byte.
    #[must_use]
    pub const fn last(self) -> u64 {
        self.last
    }

    /// Its kind.
    #[must_use]
    pub const fn kind(self) -> MemoryKind {
        self.kind
    }

    /// Bytes.
    #[must_use]
    pub const fn size(self) -> u64 {
        self.last - self.first + 1
    }

    /// The whole pages in it, if there are any.
    #[must_use]
    pub fn pages(self) -> Option<PhysRange> {
        PhysRange::within_bytes(self.first, self.size()).ok()
    }

    /// The rest of it without these pages.
    fn without(self, pages: PhysRange) -> impl Iterator<Item = Self> {
        let (start, end) = (pages.start().get(), pages.end());
        let below = (self.first < start).then(|| Self { last: self.last.min(start - 1), ..self });
        let above = (self.last >= end).then(|| Self { first: self.first.max(end), ..self });
        below.into_iter().chain(above)
    }
}

/// The memory map of a kernel that lives alongside another: these pages are RAM, and all other RAM
/// is reserved.
pub(crate) fn with_own_ram(firmware: &[MemoryRange], own: &[PhysRange]) -> Vec<MemoryRange> {
    let mut map: Vec<MemoryRange> = firmware.iter().copied().map(reserved_if_ram).collect();
    for &pages in own {
        map = map.into_iter().flat_map(|range| range.without(pages)).collect();
    }
    map.extend(own.iter().map(|&pages| MemoryRange::of_pages(pages, MemoryKind::Ram)));
    map.sort_by_key(|range| range.first);
    map
}

const fn reserved_if_ram(range: MemoryRange) -> MemoryRange {
    match range.kind {
        MemoryKind::Ram | MemoryKind::SoftReserved => MemoryRange { kind: MemoryKind::Reserved, ..range },
        _ => range,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{frames, pages};
    use proptest::prelude::*;

    fn range(first: u64, last: u64, kind: MemoryKind) -> MemoryRange {
        MemoryRange::new(first, last, kind).unwrap()
    }

    #[test]
    fn a_peers_memory_map_has_only_its_own_pages_as_ram() {
        let firmware = [
            range(0, 0x9_fbff, MemoryKind::Ram),
            range(0xf_0000, 0xf_ffff, MemoryKind::Reserved),
            range(0x10_0000, 0x7fff_ffff, MemoryKind::Ram),
            range(0x8000_0000, 0x8000_ffff, MemoryKind::AcpiTables),
        ];
        let own = [pages(0x1000, 0x9_f000), pages(0x1000_0000, 0x2000_0000)];
        let map = [
            range(0, 0xfff, MemoryKind::Reserved),
            range(0x1000, 0x9_efff, MemoryKind::Ram),
            range(0x9_f000, 0x9_fbff, MemoryKind::Reserved),
            range(0xf_0000, 0xf_ffff, MemoryKind::Reserved),
            range(0x10_0000, 0xfff_ffff, MemoryKind::Reserved),
            range(0x1000_0000, 0x1fff_ffff, MemoryKind::Ram),
            range(0x2000_0000, 0x7fff_ffff, MemoryKind::Reserved),
            range(0x8000_0000, 0x8000_ffff, MemoryKind::AcpiTables),
        ];
        assert_eq!(with_own_ram(&firmware, &own), map);
    }

    proptest! {
        #[test]
        fn every_byte_of_the_firmware_map_is_reported_once(
            sizes in prop::collection::vec((1_u64..0x9000, any::<bool>()), 1..12),
            own in (0_u64..40, 1_u64..20),
        ) {
            let mut next = 0;
            let firmware: Vec<MemoryRange> = sizes.iter().map(|&(size, is_ram)| {
                let kind = if is_ram { MemoryKind::Ram } else { MemoryKind::AcpiNvs };
                next += size;
                range(next - size, next - 1, kind)
            }).collect();
            let own = frames(own.0, own.1);
            let map = with_own_ram(&firmware, &[own]);
            prop_assert!(map.windows(2).all(|pair| pair[0].last() < pair[1].first()));
            let ram: Vec<_> = map.iter().filter(|range| range.kind() == MemoryKind::Ram).collect();
            prop_assert_eq!(ram, [&MemoryRange::of_pages(own, MemoryKind::Ram)]);
            let common: u64 = firmware.iter().map(|range| {
                (range.last() + 1).min(own.end()).saturating_sub(range.first().max(own.start().get()))
            }).sum();
            let total: u64 = map.iter().map(|range| range.size()).sum();
            prop_assert_eq!(total, next - common + own.bytes());
        }
    }
}
