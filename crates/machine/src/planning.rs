//! From what was read to what a plan needs.

use plan::elfcorehdr::VirtualMap;
use plan::{MemoryKind, MemoryRange};

use crate::iomem::MemoryMap;
use crate::{Error, Machine};

/// Why nothing can be planned for a machine.
#[derive(Debug, thiserror::Error)]
pub enum Unknown<'a> {
    /// What is where in memory is not known.
    #[error(transparent)]
    Memory(&'a Error),
    /// The kernel shows no addresses.
    #[error("the kernel shows no addresses in /proc/iomem; run as root, with CAP_SYS_ADMIN")]
    Hidden,
}

/// The memory map as the kernel shows it, for kernels that do not tell the firmware's (`CONFIG_FIRMWARE_MEMMAP`).
fn kernels_map(memory: &MemoryMap) -> Vec<MemoryRange> {
    let whole = memory.resources().iter().filter(|resource| resource.depth == 0);
    let range = |resource: &crate::iomem::Resource| {
        let kind = match resource.name.as_str() {
            _ if resource.is_system_ram() => MemoryKind::Ram,
            // A device's window is no memory, and is not told.
            "Reserved" | "reserved" => MemoryKind::Reserved,
            name => Some(MemoryKind::named(name)).filter(|kind| *kind != MemoryKind::Reserved)?,
        };
        MemoryRange::new(resource.first, resource.last, kind)
    };
    whole.filter_map(range).collect()
}

impl Machine {
    /// Whether the kernel added memory that EFI knows of to what it was told, which the firmware's map does not show.
    fn adds_efi_memory(&self) -> bool {
        let line = self.command_line.as_deref().unwrap_or("");
        line.split_whitespace().any(|word| word == "add_efi_memmap")
    }

    /// What a plan needs to know of this machine.
    ///
    /// # Errors
    /// [`Unknown`]: the memory map could not be read. The rest may be missing.
    pub fn for_plan(&self) -> Result<plan::Machine, Unknown<'_>> {
        let memory = self.memory.as_ref().map_err(Unknown::Memory)?;
        if memory.is_hidden() {
            return Err(Unknown::Hidden);
        }
        let told = |range: &crate::firmware_map::FirmwareRange| {
            MemoryRange::new(range.first, range.last, MemoryKind::named(&range.kind))
        };
        let firmware: Vec<MemoryRange> = match &self.firmware_map {
            Ok(map) if !self.adds_efi_memory() => map.iter().filter_map(told).collect(),
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
