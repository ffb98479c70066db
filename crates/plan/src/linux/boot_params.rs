use abi::boot_params::{self, E820_ENTRIES_MAX, E820_TABLE, SCREEN_INFO_SIZE, SIZE, efi_info};
use abi::setup_header::{self as header, loader};
use abi::{Field, Number, e820, efi};
use kernel_file::bzimage::Protocol;

use super::facts::HandoffFacts;
use super::kernel::KernelTraits;
use crate::MemoryRange;

/// The protocol that added `hardware_subarch`.
const WITH_SUBARCH: Protocol = Protocol { major: 2, minor: 7 };
/// The protocol that added `acpi_rsdp_addr`.
const WITH_RSDP: Protocol = Protocol { major: 2, minor: 14 };

/// The kernel's `boot_params`: its own setup header, and zero where nothing is set.
#[derive(Clone)]
pub(super) struct BootParams {
    bytes: Box<[u8; SIZE]>,
    protocol: Protocol,
}

impl BootParams {
    /// Sets everything but addresses in the load.
    pub(super) fn new(kernel: &KernelTraits<'_>, facts: &HandoffFacts<'_>) -> Self {
        let mut params = Self { bytes: Box::new([0; SIZE]), protocol: kernel.protocol };
        let place =
            params.bytes.get_mut(header::START..).and_then(|rest| rest.get_mut(..kernel.header.len()));
        if let Some(place) = place {
            place.copy_from_slice(&kernel.header);
        }
        params.set(header::TYPE_OF_LOADER, loader::KEXEC << 4);
        if let Some(previous) = facts.previous {
            params.copy_from(previous);
        }
        if facts.efi.is_none() {
            params.clear_efi();
        }
        params.set_memory(facts.memory);
        if let Some(rsdp) = facts.rsdp {
            params.set_rsdp(rsdp);
        }
        if let Some(screen) = facts.screen {
            params.set_screen(screen);
        }
        params
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &*self.bytes
    }

    /// Copies what stays true for the next kernel from the running one's: hardware subarchitecture,
    /// secure boot, EFI tables, the BIOS's disks, the Confidential Computing blob.
    fn copy_from(&mut self, previous: &[u8]) {
        if self.protocol >= WITH_SUBARCH {
            self.copy(previous, header::HARDWARE_SUBARCH);
            self.copy(previous, header::HARDWARE_SUBARCH_DATA);
        }
        self.copy(previous, boot_params::SECURE_BOOT);
        self.copy(previous, boot_params::CC_BLOB_ADDRESS);
        self.copy(previous, boot_params::EDDBUF_ENTRIES);
        self.copy(previous, boot_params::EDD_MBR_SIG_BUF_ENTRIES);
        self.copy_bytes(previous, boot_params::EFI_INFO..boot_params::EFI_INFO + boot_params::EFI_INFO_SIZE);
        self.copy_bytes(
            previous,
            boot_params::EDID_INFO..boot_params::EDID_INFO + boot_params::EDID_INFO_SIZE,
        );
        self.copy_bytes(previous, boot_params::EDD_MBR_SIG_BUFFER..E820_TABLE);
        self.copy_bytes(previous, boot_params::EDDBUF..SIZE);
    }

    /// The address and size of EFI's memory descriptors.
    pub(super) fn set_efi_map(&mut self, address: u64, size: u64) {
        self.set_halves(efi_info::MEMMAP, efi_info::MEMMAP_HI, address);
        self.set(efi_info::MEMMAP_SIZE, u32::try_from(size).unwrap_or(0));
        self.set(efi_info::MEMDESC_SIZE, efi::DESCRIPTOR_SIZE_TOLD);
        self.set(efi_info::MEMDESC_VERSION, efi::DESCRIPTOR_VERSION);
    }

    /// Passes on nothing of EFI.
    fn clear_efi(&mut self) {
        let end = boot_params::EFI_INFO + boot_params::EFI_INFO_SIZE;
        self.bytes.get_mut(boot_params::EFI_INFO..end).unwrap_or(&mut []).fill(0);
    }

    fn copy<T: Number>(&mut self, previous: &[u8], field: Field<T>) {
        if let Some(number) = field.read(previous) {
            self.set(field, number);
        }
    }

    fn copy_bytes(&mut self, previous: &[u8], range: std::ops::Range<usize>) {
        if let (Some(from), Some(to)) = (previous.get(range.clone()), self.bytes.get_mut(range)) {
            to.copy_from_slice(from);
        }
    }

    /// The 64-bit entry point does not need it, and others are below 4 GiB.
    pub(super) fn set_kernel(&mut self, address: u64) {
        self.set(header::CODE32_START, u32::try_from(address).unwrap_or(0));
    }

    pub(super) fn set_command_line(&mut self, address: u64) {
        self.set_halves(header::CMD_LINE_PTR, boot_params::EXT_CMD_LINE_PTR, address);
    }

    pub(super) fn set_initrd(&mut self, address: u64, size: u64) {
        self.set_halves(header::RAMDISK_IMAGE, boot_params::EXT_RAMDISK_IMAGE, address);
        self.set_halves(header::RAMDISK_SIZE, boot_params::EXT_RAMDISK_SIZE, size);
    }

    pub(super) fn set_setup_data(&mut self, address: u64) {
        self.set(header::SETUP_DATA, address);
    }

    fn set_rsdp(&mut self, address: u64) {
        if self.protocol >= WITH_RSDP {
            self.set(boot_params::ACPI_RSDP_ADDR, address);
        }
    }

    fn set_screen(&mut self, screen: &[u8; SCREEN_INFO_SIZE]) {
        if let Some((place, _)) = self.bytes.split_first_chunk_mut() {
            *place = *screen;
        }
    }

    /// The first entries of the memory map, up to the size of the table.
    fn set_memory(&mut self, memory: &[MemoryRange]) {
        let first = memory.get(..E820_ENTRIES_MAX).unwrap_or(memory);
        self.set(boot_params::E820_ENTRIES, u8::try_from(first.len()).unwrap_or(u8::MAX));
        let table = self.bytes.get_mut(E820_TABLE..).unwrap_or(&mut []);
        for (place, &range) in table.chunks_exact_mut(e820::SIZE).zip(first) {
            place.copy_from_slice(&e820_entry(range));
        }
    }

    fn set_halves(&mut self, low: Field<u32>, high: Field<u32>, number: u64) {
        #[expect(clippy::cast_possible_truncation, reason = "the other half follows")]
        self.set(low, number as u32);
        self.set(high, (number >> 32) as u32);
    }

    fn set<T: Number>(&mut self, field: Field<T>, number: T) {
        let written = field.write(&mut *self.bytes, number);
        debug_assert!(written, "abi asserts that every field lies in boot_params");
    }
}

pub(super) fn e820_entry(range: MemoryRange) -> [u8; e820::SIZE] {
    let mut entry = [0; e820::SIZE];
    let written = e820::ADDR.write(&mut entry, range.first())
        && e820::LENGTH.write(&mut entry, range.size())
        && e820::KIND.write(&mut entry, range.kind().number());
    debug_assert!(written, "abi asserts that every field lies in an entry");
    entry
}
