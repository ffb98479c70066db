use abi::boot_params::E820_ENTRIES_MAX;
use abi::efi;
use abi::setup_data::{self, kind};

use crate::linux::boot_params::e820_entry;
use crate::linux::facts::HandoffFacts;
use crate::{Efi, MemoryRange, SetupData};

/// Bytes that `boot_params` or another blob points to.
pub(super) struct Blob {
    pub(super) name: &'static str,
    /// Offset in the handoff.
    pub(super) offset: u64,
    /// The kind of a setup_data.
    kind: Option<u32>,
    data: Vec<u8>,
}

/// Alignment of a blob.
const ALIGN: u64 = 16;

impl Blob {
    const fn new(name: &'static str, kind: Option<u32>, data: Vec<u8>) -> Self {
        Self { name, offset: 0, kind, data }
    }

    pub(super) const fn is_setup_data(&self) -> bool {
        self.kind.is_some()
    }

    pub(super) fn end(&self) -> u64 {
        self.offset + self.size()
    }

    pub(super) fn size(&self) -> u64 {
        let header = if self.kind.is_some() { setup_data::HEADER_SIZE as u64 } else { 0 };
        header + self.data.len() as u64
    }

    /// Its bytes, with the address of the next setup_data, or 0.
    pub(super) fn bytes(&self, next: u64) -> Vec<u8> {
        let Some(kind) = self.kind else { return self.data.clone() };
        let mut bytes = vec![0; setup_data::HEADER_SIZE];
        let length = u32::try_from(self.data.len()).unwrap_or(u32::MAX);
        let written = setup_data::NEXT.write(&mut bytes, next)
            && setup_data::KIND.write(&mut bytes, kind)
            && setup_data::LENGTH.write(&mut bytes, length);
        debug_assert!(written, "abi asserts that every field lies in the header");
        bytes.extend_from_slice(&self.data);
        bytes
    }
}

/// All blobs in order, the first at or after an offset.
pub(super) fn all(facts: &HandoffFacts<'_>, offset: u64) -> Vec<Blob> {
    let more = facts.memory.get(E820_ENTRIES_MAX..).filter(|more| !more.is_empty());
    let efi = facts.efi.iter().flat_map(|efi| [efi_map(efi), efi_setup(efi)]);
    let setup_data = facts.setup_data.iter().map(|data| setup_data_blob(data));
    let mut blobs: Vec<_> = more.map(memory_map).into_iter().chain(efi).chain(setup_data).collect();
    let mut next = offset;
    for blob in &mut blobs {
        blob.offset = next.next_multiple_of(ALIGN);
        next = blob.end();
    }
    blobs
}

/// The ranges that do not fit in `boot_params`.
fn memory_map(ranges: &[MemoryRange]) -> Blob {
    let entries = ranges.iter().flat_map(|&range| e820_entry(range));
    Blob::new("more of the memory map", Some(kind::E820_EXT), entries.collect())
}

fn efi_map(efi: &Efi) -> Blob {
    Blob::new("EFI memory descriptors", None, efi.map.concat())
}

fn efi_setup(efi: &Efi) -> Blob {
    let mut data = vec![0; efi::setup::SIZE];
    let written = efi::setup::VENDOR.write(&mut data, efi.vendor)
        && efi::setup::RUNTIME.write(&mut data, efi.runtime)
        && efi::setup::TABLES.write(&mut data, efi.tables)
        && efi::setup::SMBIOS.write(&mut data, efi.smbios);
    debug_assert!(written, "abi asserts that every field lies in the structure");
    Blob::new("EFI tables", Some(kind::EFI), data)
}

fn setup_data_blob(data: &SetupData) -> Blob {
    let name = match data.kind {
        kind::DTB => "device tree",
        kind::PCI => "PCI option ROM",
        kind::APPLE_PROPERTIES => "Apple properties",
        kind::JAILHOUSE => "Jailhouse's data",
        kind::CC_BLOB => "Confidential Computing blob",
        kind::RNG_SEED => "random seed",
        _ => "setup_data",
    };
    Blob::new(name, Some(data.kind), data.bytes.clone())
}
