use abi::boot_params::E820_ENTRIES_MAX;
use abi::setup_data::{self, kind};
use abi::{e820, efi};

use super::Told;
use crate::linux::boot_params::e820_entry;
use crate::{Efi, SetupData};

/// Bytes that something told speaks of by their address.
pub(super) struct Blob {
    pub(super) name: &'static str,
    /// Its kind, if it is a setup_data.
    pub(super) kind: Option<u32>,
    data: Vec<u8>,
}

/// Alignment of each.
const ALIGN: u64 = 16;

impl Blob {
    pub(super) fn size(&self) -> u64 {
        let header = if self.kind.is_some() { setup_data::HEADER_SIZE as u64 } else { 0 };
        header + self.data.len() as u64
    }

    /// Its bytes, with the address of the next setup_data or 0.
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

/// Everything that is told in bytes of its own, in order.
pub(super) fn all(told: &Told) -> Vec<Blob> {
    let more = told.memory.get(E820_ENTRIES_MAX..).filter(|more| !more.is_empty()).map(|more| Blob {
        name: "more of the memory map",
        kind: Some(kind::E820_EXT),
        data: more.iter().flat_map(|&range| e820_entry(range)).collect(),
    });
    debug_assert!(more.as_ref().is_none_or(|more| more.data.len().is_multiple_of(e820::SIZE)));
    let efi = told.efi.iter().flat_map(|efi| [efi_map(efi), efi_setup(efi)]);
    more.into_iter().chain(efi).chain(told.setup_data.iter().map(again)).collect()
}

fn efi_map(efi: &Efi) -> Blob {
    Blob { name: "EFI memory descriptors", kind: None, data: efi.map.concat() }
}

fn efi_setup(efi: &Efi) -> Blob {
    let mut data = vec![0; efi::setup::SIZE];
    let written = efi::setup::VENDOR.write(&mut data, efi.vendor)
        && efi::setup::RUNTIME.write(&mut data, efi.runtime)
        && efi::setup::TABLES.write(&mut data, efi.tables)
        && efi::setup::SMBIOS.write(&mut data, efi.smbios);
    debug_assert!(written, "abi asserts that every field lies in it");
    Blob { name: "EFI tables", kind: Some(kind::EFI), data }
}

fn again(data: &SetupData) -> Blob {
    let name = match data.kind {
        kind::DTB => "device tree",
        kind::PCI => "PCI option ROM",
        kind::APPLE_PROPERTIES => "Apple properties",
        kind::JAILHOUSE => "Jailhouse's data",
        kind::CC_BLOB => "Confidential Computing blob",
        kind::RNG_SEED => "random seed",
        _ => "setup_data",
    };
    Blob { name, kind: Some(data.kind), data: data.bytes.clone() }
}

/// A seed for the random number generator.
pub(in crate::linux) fn seed(bytes: [u8; 32]) -> SetupData {
    SetupData { kind: kind::RNG_SEED, bytes: bytes.to_vec() }
}

/// Where each starts, the first at or behind an offset.
pub(super) fn offsets(first: u64, blobs: &[Blob]) -> impl Iterator<Item = u64> + use<'_> {
    blobs.iter().scan(first, |next, blob| {
        let offset = next.next_multiple_of(ALIGN);
        *next = offset + blob.size();
        Some(offset)
    })
}
