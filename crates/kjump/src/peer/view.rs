//! What the new kernel is given to read the running kernel's memory by.

use std::time::SystemTime;

use anyhow::Context;
use machine::Machine;
use plan::elfcorehdr::VirtualMap;
use plan::{View, ViewPlace};
use sys::Device;
use vmcore::notes;

use crate::kernel::kcore;
use crate::terminal::report;

/// The description of the running kernel that a reader of its memory needs.
#[derive(Default)]
pub(super) struct RunningKernel {
    /// The VMCOREINFO note, with its header.
    note: Vec<u8>,
    /// The virtual addresses of its memory.
    virtual_map: VirtualMap,
}

impl RunningKernel {
    /// Reads the description. If that fails, the memory is shown without one.
    pub(super) fn read(machine: &Machine) -> Self {
        match kcore::open() {
            Ok(core) => Self {
                note: notes::vmcoreinfo(core.notes()).map(|found| timed(found.contents)).unwrap_or_default(),
                virtual_map: kcore::map_of(&core, machine),
            },
            Err(error) => {
                let effect =
                    "/proc/vmcore of the new kernel will not identify the kernel whose memory it shows";
                report::complain("kjump", &format!("{error:#}; {effect}"));
                Self::default()
            }
        }
    }

    /// `mailbox` is its size in bytes.
    pub(super) const fn view(&self, mailbox: u64) -> View {
        View { vmcoreinfo: self.note.len() as u64, mailbox }
    }

    /// Writes the description into the kernel that is loaded.
    pub(super) fn show(
        self,
        device: &Device,
        image: u64,
        place: ViewPlace,
        machine: plan::Machine,
    ) -> anyhow::Result<()> {
        let machine = plan::Machine { virtual_map: self.virtual_map, ..machine };
        let slots = device.slots(image)?;
        let header = match place.elfcorehdr(&machine, &slots) {
            Ok(header) => header,
            // The kernel works without an ELF core header, and finds zeros in its place.
            Err(error) => {
                report::complain("kjump", &format!("{error}; the new kernel will have no /proc/vmcore"));
                return Ok(());
            }
        };
        let write = || -> Result<(), sys::Refusal> {
            device.write(place.header(), &header)?;
            if let Some(room) = place.vmcoreinfo() {
                device.write(room.address, &self.note)?;
            }
            match machine.cpu_notes.first() {
                Some(note) => device.keep_note_at(note.address, note.size),
                None => Ok(()),
            }
        };
        write().context("describing this kernel's memory to the new one")
    }
}

/// The note with the time at which the kernel is suspended as the time of its crash: readers then
/// look for the CPU's registers where a crash leaves them.
fn timed(text: &[u8]) -> Vec<u8> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |time| time.as_secs());
    notes::vmcoreinfo_note(&[text, format!("CRASHTIME={now}\n").as_bytes()].concat())
}
