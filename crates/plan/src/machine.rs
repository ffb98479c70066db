use abi::boot_params::SCREEN_INFO_SIZE;
use abi::efi;
use phys::{PhysRange, RangeSet};

use crate::MemoryRange;
use crate::elfcorehdr::{NoteAt, VirtualMap};

/// The facts about a machine that plans depend on. A value: it can be saved, and plans made from it
/// elsewhere.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Machine {
    /// The whole pages that the running kernel uses as RAM, in any order.
    pub ram: Vec<PhysRange>,
    /// The firmware's memory map at boot, in any order.
    pub firmware: Vec<MemoryRange>,
    /// Address of the ACPI root pointer, if known. Without it, a kernel searches the BIOS's memory,
    /// which does not contain it on a machine that booted by UEFI.
    pub rsdp: Option<u64>,
    /// The running kernel's `screen_info` at boot: where the framebuffer is.
    pub screen: Option<[u8; SCREEN_INFO_SIZE]>,
    /// The note in which the running kernel describes itself (VMCOREINFO).
    pub vmcoreinfo: Option<NoteAt>,
    /// The notes in which the running kernel saves the registers of its CPUs when it crashes.
    pub cpu_notes: Vec<NoteAt>,
    /// The virtual addresses of the running kernel's memory, as far as they are known.
    pub virtual_map: VirtualMap,
    /// The pages that the running kernel reserves for a crash kernel; part of its RAM.
    pub crash: Vec<PhysRange>,
    /// The running kernel's `boot_params` at boot, if known.
    pub boot_params: Option<Vec<u8>>,
    /// EFI, if the running kernel uses it and everything that the next one needs is known.
    pub efi: Option<Efi>,
    /// The running kernel's setup_data.
    pub setup_data: Vec<SetupData>,
}

/// The facts about EFI for a kernel started by kexec: the firmware accepts a virtual mapping only
/// once, so that every kernel must map it where the first one did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Efi {
    /// Address of the firmware vendor's name.
    pub vendor: u64,
    /// Virtual address of the runtime services table.
    pub runtime: u64,
    /// Address of the configuration table.
    pub tables: u64,
    /// Address of the SMBIOS tables, 0 if it is not known.
    pub smbios: u64,
    /// The memory descriptors of the runtime services, in EFI's layout.
    pub map: Vec<[u8; efi::DESCRIPTOR_SIZE]>,
}

/// An entry of the `setup_data` list (`Documentation/arch/x86/boot.rst`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetupData {
    /// One of [`abi::setup_data::kind`].
    pub kind: u32,
    /// Its contents.
    pub bytes: Vec<u8>,
}

impl Machine {
    /// The pages that both the running kernel and the firmware report as RAM, in rising order.
    ///
    /// The next kernel gets the firmware's map, so it must not be loaded elsewhere.
    #[must_use]
    pub fn usable_ram(&self) -> Vec<PhysRange> {
        let reported = self.firmware.iter().filter(|range| range.kind() == crate::MemoryKind::Ram);
        let mut reported: Vec<PhysRange> = reported.filter_map(|range| range.pages()).collect();
        let mut used = self.ram.clone();
        intersection(RangeSet::sort(&mut reported).ranges(), RangeSet::sort(&mut used).ranges())
    }

    /// Bytes of RAM that the running kernel uses.
    #[must_use]
    pub fn ram_bytes(&self) -> u64 {
        self.ram.iter().fold(0, |sum: u64, range| sum.saturating_add(range.bytes()))
    }
}

/// The intersection of two lists in rising order. O(n).
fn intersection(mut a: &[PhysRange], mut b: &[PhysRange]) -> Vec<PhysRange> {
    let mut common = Vec::new();
    while let ([first_a, rest_a @ ..], [first_b, rest_b @ ..]) = (a, b) {
        common.extend(first_a.intersection(*first_b));
        if first_a.end() <= first_b.end() {
            a = rest_a;
        } else {
            b = rest_b;
        }
    }
    common
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MemoryKind;
    use crate::testing::pages;

    #[test]
    fn ram_is_usable_where_kernel_and_firmware_agree() {
        let range = |first, last, kind| MemoryRange::new(first, last, kind).unwrap();
        let machine = Machine {
            ram: vec![pages(0x10_0000, 0x80_0000), pages(0x1000, 0x9_f000)],
            firmware: vec![
                range(0x10_0000, 0x1f_ffff, MemoryKind::Ram),
                range(0x20_0000, 0x20_ffff, MemoryKind::Reserved),
                range(0x21_0000, 0xff_ffff, MemoryKind::Ram),
                range(0, 0x9_fbff, MemoryKind::Ram),
            ],
            ..Machine::default()
        };
        let usable = [pages(0x1000, 0x9_f000), pages(0x10_0000, 0x20_0000), pages(0x21_0000, 0x80_0000)];
        assert_eq!(machine.usable_ram(), usable);
        assert_eq!(Machine::default().usable_ram(), []);
    }
}
