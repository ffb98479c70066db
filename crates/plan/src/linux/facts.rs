use std::borrow::Cow;

use abi::boot_params::SCREEN_INFO_SIZE;
use abi::setup_data::kind;

use crate::linux::Request;
use crate::linux::kernel::KernelTraits;
use crate::{Efi, Machine, MemoryRange, SetupData};

/// The facts that a kernel is passed besides its command line and its initrd. None depends on an
/// address in the load.
pub(super) struct HandoffFacts<'m> {
    pub(super) memory: &'m [MemoryRange],
    pub(super) rsdp: Option<u64>,
    pub(super) screen: Option<&'m [u8; SCREEN_INFO_SIZE]>,
    /// The running kernel's `boot_params`; some fields are passed on.
    pub(super) previous: Option<&'m [u8]>,
    pub(super) efi: Option<&'m Efi>,
    pub(super) setup_data: Vec<Cow<'m, SetupData>>,
}

impl<'m> HandoffFacts<'m> {
    /// `memory` is the kernel's memory map.
    pub(super) fn new(
        request: &'m Request<'_>,
        traits: &KernelTraits<'_>,
        memory: &'m [MemoryRange],
        machine: &'m Machine,
    ) -> Self {
        let seed = request.seed.map(|seed| SetupData { kind: kind::RNG_SEED, bytes: seed.to_vec() });
        let seed = seed.map(Cow::Owned).into_iter();
        if request.home.is_peer() {
            // The screen, EFI and the BIOS's disks stay with the running kernel.
            let (screen, previous, efi) = (None, None, None);
            return Self { memory, rsdp: machine.rsdp, screen, previous, efi, setup_data: seed.collect() };
        }
        let tree = request.device_tree.iter();
        let tree = tree.map(|bytes| Cow::Owned(SetupData { kind: kind::DTB, bytes: bytes.clone() }));
        let kept = machine.setup_data.iter().filter(|data| outlives_its_kernel(data.kind));
        Self {
            memory,
            rsdp: machine.rsdp,
            screen: machine.screen.as_ref(),
            previous: machine.boot_params.as_deref(),
            efi: machine.efi.as_ref().filter(|_| traits.efi_kexec && !request.no_efi),
            setup_data: seed.chain(tree).chain(kept.map(Cow::Borrowed)).collect(),
        }
    }
}

/// Whether setup_data of the running kernel stays true for the next one. Memory map and EFI tables
/// are made anew, the random seed is used up, and the buffer that IMA's points to has been freed.
const fn outlives_its_kernel(data: u32) -> bool {
    matches!(data, kind::PCI | kind::APPLE_PROPERTIES | kind::JAILHOUSE | kind::CC_BLOB)
}
