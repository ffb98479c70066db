//! Derives what a plan needs from the facts.

use plan::elfcorehdr::VirtualMap;
use plan::{MemoryKind, MemoryRange};

use crate::iomem::{MemoryMap, Resource};
use crate::{Error, Machine};

/// Why the memory of a machine is not known, and a load cannot be planned for it.
#[derive(Debug, thiserror::Error)]
pub enum Unknown<'a> {
    /// The memory map is not known.
    #[error(transparent)]
    Memory(&'a Error),
    /// The kernel shows no addresses.
    #[error("the kernel shows no addresses in /proc/iomem; run as root, with CAP_SYS_ADMIN")]
    Hidden,
}

/// The memory map as the kernel shows it, for kernels that do not show the firmware's
/// (`CONFIG_FIRMWARE_MEMMAP`).
///
/// A resource counts wherever it lies in the tree: firmware reserves ranges inside of a PCI bus,
/// and CXL memory lies inside of its window. One of another kind takes its range out of the
/// resource that it lies in.
fn kernels_map(memory: &MemoryMap) -> Vec<MemoryRange> {
    let mut map: Vec<MemoryRange> = Vec::new();
    for resource in memory.resources() {
        let Some(inner) = map_entry(resource) else { continue };
        let at = map.partition_point(|outer| outer.first() <= inner.first()).saturating_sub(1);
        match map.get(at).copied().filter(|outer| contains(*outer, inner)) {
            Some(outer) if outer.kind() == inner.kind() => {}
            Some(outer) => {
                let part = |first, last| MemoryRange::new(first, last, outer.kind());
                let below = inner.first().checked_sub(1).and_then(|last| part(outer.first(), last));
                let above = inner.last().checked_add(1).and_then(|first| part(first, outer.last()));
                map.splice(at..=at, below.into_iter().chain([inner]).chain(above));
            }
            None => map.push(inner),
        }
    }
    map
}

fn contains(outer: MemoryRange, inner: MemoryRange) -> bool {
    outer.first() <= inner.first() && inner.last() <= outer.last()
}

/// The resource's entry in a memory map, if it is memory: a device's window is not.
fn map_entry(resource: &Resource) -> Option<MemoryRange> {
    let kind = match resource.name.as_str() {
        "Reserved" | "reserved" => MemoryKind::Reserved,
        name => Some(MemoryKind::named(name)).filter(|kind| *kind != MemoryKind::Reserved)?,
    };
    MemoryRange::new(resource.first, resource.last, kind)
}

impl Machine {
    /// Whether the kernel added memory that EFI reports to its memory map (`add_efi_memmap`). The
    /// firmware's map does not show it.
    fn adds_efi_memory(&self) -> bool {
        let line = self.command_line.as_deref().unwrap_or_default();
        line.split(u8::is_ascii_whitespace).any(|parameter| parameter == b"add_efi_memmap")
    }

    /// The memory map, if the kernel shows its addresses.
    ///
    /// # Errors
    /// [`Unknown`]: it could not be read, or the addresses are hidden.
    pub fn visible_memory(&self) -> Result<&MemoryMap, Unknown<'_>> {
        let memory = self.memory.as_ref().map_err(Unknown::Memory)?;
        if memory.is_hidden() { Err(Unknown::Hidden) } else { Ok(memory) }
    }

    /// The facts that a plan needs.
    ///
    /// # Errors
    /// [`Unknown`]: as of [`visible_memory`](Self::visible_memory). Other facts may be missing.
    pub fn for_plan(&self) -> Result<plan::Machine, Unknown<'_>> {
        let memory = self.visible_memory()?;
        let entry = |range: &crate::firmware_map::FirmwareRange| {
            MemoryRange::new(range.first, range.last, MemoryKind::named(&range.kind))
        };
        let firmware: Vec<MemoryRange> = match &self.firmware_map {
            Ok(map) if !self.adds_efi_memory() => map.iter().filter_map(entry).collect(),
            Ok(_) | Err(Error::Absent { .. }) => kernels_map(memory),
            Err(error) => return Err(Unknown::Memory(error)),
        };
        let boot = self.boot_data.as_ref().ok();
        let notes = self.crash_notes.as_ref().ok();
        Ok(plan::Machine {
            ram: memory.system_ram(),
            firmware,
            rsdp: boot.and_then(|boot| boot.rsdp),
            screen: boot.and_then(|boot| boot.screen),
            vmcoreinfo: notes.and_then(|notes| notes.vmcoreinfo),
            virtual_map: VirtualMap::default(),
            crash: memory.crash_kernel(),
            cpu_notes: notes.map(|notes| notes.cpus.clone()).unwrap_or_default(),
            boot_params: boot.map(|boot| boot.params.clone()),
            efi: self.efi.as_ref().ok().and_then(Option::clone),
            setup_data: self.setup_data.as_ref().map(Vec::clone).unwrap_or_default(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(text: &str) -> Vec<(u64, u64, MemoryKind)> {
        let memory = crate::iomem::parse(text).unwrap();
        kernels_map(&memory).iter().map(|range| (range.first(), range.last(), range.kind())).collect()
    }

    #[test]
    fn memory_counts_anywhere_in_the_tree() {
        use MemoryKind::{Ram, Reserved};
        let text = "00100000-3fffffff : System RAM\n  01000000-01ffffff : Kernel code\n\
                    40000000-febfffff : PCI Bus 0000:00\n  b0000000-bfffffff : PCI MMCONFIG 0000 [bus \
                    00-ff]\n    \
                    b0000000-bfffffff : Reserved\n100000000-13fffffff : CXL Window 0\n  \
                    100000000-13fffffff : region0\n    100000000-13fffffff : System RAM\n\
                    140000000-17fffffff : System RAM (kmem)\n";
        let expected = [
            (0x10_0000, 0x3fff_ffff, Ram),
            (0xb000_0000, 0xbfff_ffff, Reserved),
            (0x1_0000_0000, 0x1_3fff_ffff, Ram),
        ];
        assert_eq!(map(text), expected);
    }

    #[test]
    fn a_resource_of_another_kind_is_taken_out_of_the_one_it_lies_in() {
        use MemoryKind::{AcpiNvs, Ram, Reserved};
        let text = "0-ffff : System RAM\n  0-fff : Reserved\n  4000-7fff : reserved\n    4000-4fff : \
            Reserved\n    \
                    5000-5fff : ACPI Non-volatile Storage\n  f000-ffff : Reserved\n10000-1ffff : System \
                    RAM\n";
        let expected = [
            (0, 0xfff, Reserved),
            (0x1000, 0x3fff, Ram),
            (0x4000, 0x4fff, Reserved),
            (0x5000, 0x5fff, AcpiNvs),
            (0x6000, 0x7fff, Reserved),
            (0x8000, 0xefff, Ram),
            (0xf000, 0xffff, Reserved),
            (0x1_0000, 0x1_ffff, Ram),
        ];
        assert_eq!(map(text), expected);
    }
}
