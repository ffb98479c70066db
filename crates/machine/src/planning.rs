//! From what was read to what a plan needs.

use plan::{MemoryKind, MemoryRange};

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

impl Machine {
    /// What a plan needs to know of this machine.
    ///
    /// # Errors
    /// [`Unknown`]: memory map or firmware map could not be read. The rest may be missing.
    pub fn for_plan(&self) -> Result<plan::Machine, Unknown<'_>> {
        let memory = self.memory.as_ref().map_err(Unknown::Memory)?;
        if memory.is_hidden() {
            return Err(Unknown::Hidden);
        }
        let firmware = self.firmware_map.as_ref().map_err(Unknown::Memory)?.iter();
        let told = |range: &crate::firmware_map::FirmwareRange| {
            MemoryRange::new(range.first, range.last, MemoryKind::named(&range.kind))
        };
        let boot = self.boot_data.as_ref().ok();
        let notes = self.crash_notes.as_ref().ok();
        Ok(plan::Machine {
            ram: memory.system_ram(),
            firmware: firmware.filter_map(told).collect(),
            rsdp: boot.and_then(|boot| boot.rsdp),
            screen: boot.and_then(|boot| boot.screen),
            vmcoreinfo: notes.and_then(|notes| notes.vmcoreinfo),
            crash: memory.crash_kernel(),
            cpu_notes: notes.map(|notes| notes.cpus.clone()).unwrap_or_default(),
            boot_params: boot.map(|boot| boot.params.clone()),
            efi: self.efi.as_ref().ok().and_then(Option::clone),
            setup_data: self.setup_data.as_ref().map(Vec::clone).unwrap_or_default(),
        })
    }
}
