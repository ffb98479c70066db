use abi::boot_params::{self, E820_ENTRIES_MAX, E820_TABLE, SCREEN_INFO_SIZE, SIZE};
use abi::setup_header::{self as header, loader};
use abi::{Field, Number, e820};
use kernel_file::BzImage;
use kernel_file::bzimage::Protocol;

use crate::MemoryRange;

/// The protocol that brought `acpi_rsdp_addr`.
const WITH_RSDP: Protocol = Protocol { major: 2, minor: 14 };

/// The page that a kernel is handed: its own setup header, and zero where nothing is set.
pub(super) struct BootParams {
    bytes: [u8; SIZE],
    protocol: Protocol,
}

impl BootParams {
    pub(super) fn new(kernel: &BzImage<'_>) -> Self {
        let mut params = Self { bytes: [0; SIZE], protocol: kernel.protocol };
        let place =
            params.bytes.get_mut(header::START..).and_then(|rest| rest.get_mut(..kernel.header.len()));
        if let Some(place) = place {
            place.copy_from_slice(kernel.header);
        }
        params.set(header::TYPE_OF_LOADER, loader::KEXEC << 4);
        params
    }

    pub(super) const fn into_bytes(self) -> [u8; SIZE] {
        self.bytes
    }

    /// The 64-bit entry point needs no word of it; what reads it knows addresses below 4 GiB only.
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

    pub(super) fn set_rsdp(&mut self, address: u64) {
        if self.protocol >= WITH_RSDP {
            self.set(boot_params::ACPI_RSDP_ADDR, address);
        }
    }

    pub(super) fn set_screen(&mut self, screen: &[u8; SCREEN_INFO_SIZE]) {
        if let Some((place, _)) = self.bytes.split_first_chunk_mut() {
            *place = *screen;
        }
    }

    /// As many entries of the memory map as there is room for.
    pub(super) fn set_memory(&mut self, memory: &[MemoryRange]) {
        let here = memory.get(..E820_ENTRIES_MAX).unwrap_or(memory);
        self.set(boot_params::E820_ENTRIES, u8::try_from(here.len()).unwrap_or(u8::MAX));
        let table = self.bytes.get_mut(E820_TABLE..).unwrap_or(&mut []);
        for (place, &range) in table.chunks_exact_mut(e820::SIZE).zip(here) {
            place.copy_from_slice(&e820_entry(range));
        }
    }

    fn set_halves(&mut self, low: Field<u32>, high: Field<u32>, number: u64) {
        #[expect(clippy::cast_possible_truncation, reason = "the other half follows")]
        self.set(low, number as u32);
        self.set(high, (number >> 32) as u32);
    }

    fn set<T: Number>(&mut self, field: Field<T>, number: T) {
        let written = field.write(&mut self.bytes, number);
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
