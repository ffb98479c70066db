use abi::boot_params::SCREEN_INFO_SIZE;
use abi::efi;
use phys::{PhysRange, RangeSet};

use crate::MemoryRange;
use crate::elfcorehdr::{NoteAt, VirtualMap};

/// What a plan needs to know of the machine. A value: it can be saved, and a plan be made of it elsewhere.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Machine {
    /// The whole pages that the running kernel uses as RAM, in any order.
    pub ram: Vec<PhysRange>,
    /// What the firmware said of memory when the machine was switched on, in any order.
    pub firmware: Vec<MemoryRange>,
    /// Address of the ACPI root pointer, where it is known. Without it a kernel searches the BIOS's memory, where it
    /// is not if the machine was booted by UEFI.
    pub rsdp: Option<u64>,
    /// `screen_info` as the running kernel was given it: where its picture is.
    pub screen: Option<[u8; SCREEN_INFO_SIZE]>,
    /// Where the running kernel describes itself (VMCOREINFO).
    pub vmcoreinfo: Option<NoteAt>,
    /// Where the running kernel writes the registers of its CPUs when it crashes, one after the other.
    pub cpu_notes: Vec<NoteAt>,
    /// Where the running kernel has its memory at virtual addresses, as far as it is known.
    pub virtual_map: VirtualMap,
    /// The pages that the running kernel keeps for a crash kernel; part of its RAM.
    pub crash: Vec<PhysRange>,
    /// `boot_params` as the running kernel was given it, if it is known.
    pub boot_params: Option<Vec<u8>>,
    /// EFI, if the running kernel uses it and all that a next one must be told is known.
    pub efi: Option<Efi>,
    /// The running kernel's setup_data.
    pub setup_data: Vec<SetupData>,
}

/// What a kernel that is started by kexec must be told of EFI: the firmware lets its memory be mapped once only, so that
/// every kernel has to map it where the first one did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Efi {
    /// Address of the vendor's name.
    pub vendor: u64,
    /// Virtual address of the runtime services' table.
    pub runtime: u64,
    /// Address of the table of tables.
    pub tables: u64,
    /// Address of the SMBIOS tables, 0 if it is not known.
    pub smbios: u64,
    /// The memory descriptors of the runtime services, each as EFI lays it out.
    pub map: Vec<[u8; efi::DESCRIPTOR_SIZE]>,
}

/// A fact of `Documentation/arch/x86/boot.rst`'s `setup_data`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetupData {
    /// One of [`abi::setup_data::kind`].
    pub kind: u32,
    /// What it says.
    pub bytes: Vec<u8>,
}

impl Machine {
    /// The pages that are RAM by the word of both the running kernel and the firmware, in rising order.
    ///
    /// A next kernel is told the firmware's map, so it must not be loaded elsewhere.
    #[must_use]
    pub fn usable_ram(&self) -> Vec<PhysRange> {
        let told = self.firmware.iter().filter(|range| range.kind() == crate::MemoryKind::Ram);
        let mut told: Vec<PhysRange> = told.filter_map(|range| range.pages()).collect();
        let mut used = self.ram.clone();
        intersection(RangeSet::sort(&mut told).ranges(), RangeSet::sort(&mut used).ranges())
    }

    /// Bytes of RAM that the running kernel uses.
    #[must_use]
    pub fn ram_bytes(&self) -> u64 {
        self.ram.iter().fold(0, |sum: u64, range| sum.saturating_add(range.bytes()))
    }
}

/// What two lists in rising order have in common. O(n).
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
        let told = |first, last, kind| MemoryRange::new(first, last, kind).unwrap();
        let machine = Machine {
            ram: vec![pages(0x10_0000, 0x80_0000), pages(0x1000, 0x9_f000)],
            firmware: vec![
                told(0x10_0000, 0x1f_ffff, MemoryKind::Ram),
                told(0x20_0000, 0x20_ffff, MemoryKind::Reserved),
                told(0x21_0000, 0xff_ffff, MemoryKind::Ram),
                told(0, 0x9_fbff, MemoryKind::Ram),
            ],
            ..Machine::default()
        };
        let usable = [pages(0x1000, 0x9_f000), pages(0x10_0000, 0x20_0000), pages(0x21_0000, 0x80_0000)];
        assert_eq!(machine.usable_ram(), usable);
        assert_eq!(Machine::default().usable_ram(), []);
    }
}
