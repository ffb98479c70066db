//! What the new kernel is told of the running one's memory.

use std::time::SystemTime;

use anyhow::Context;
use machine::Machine;
use plan::elfcorehdr::VirtualMap;
use plan::{View, ViewPlace};
use sys::Device;
use vmcore::notes;

use crate::kernel::kcore;
use crate::terminal::report;

/// What the running kernel says of itself, for whoever reads its memory.
#[derive(Default)]
pub(super) struct Described {
    /// The VMCOREINFO note, with its header.
    note: Vec<u8>,
    /// Where it has its memory.
    virtual_map: VirtualMap,
}

impl Described {
    /// Reads it; where that cannot be done the memory is shown without.
    pub(super) fn read(machine: &Machine) -> Self {
        match kcore::open() {
            Ok(core) => Self {
                note: notes::vmcoreinfo(core.notes()).map(|found| timed(found.contents)).unwrap_or_default(),
                virtual_map: kcore::map_of(&core, machine),
            },
            Err(error) => {
                let effect = "/proc/vmcore of the new kernel will not say whose memory it is";
                report::complain("kjump", &format!("{error:#}; {effect}"));
                Self::default()
            }
        }
    }

    pub(super) const fn view(&self) -> View {
        View { vmcoreinfo: self.note.len() as u64 }
    }

    /// Tells it the kernel that is loaded.
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
            // The kernel can do without, and finds zeroes in its place.
            Err(error) => {
                report::complain("kjump", &format!("{error}; the new kernel will have no /proc/vmcore"));
                return Ok(());
            }
        };
        let told = || -> Result<(), sys::Refusal> {
            device.write(place.header(), &header)?;
            if let Some(room) = place.vmcoreinfo() {
                device.write(room.address, &self.note)?;
            }
            match machine.cpu_notes.first() {
                Some(note) => device.keep_note_at(note.address, note.size),
                None => Ok(()),
            }
        };
        told().context("telling the new kernel of this one's memory")
    }
}

/// The note with the time of the kernel's rest, as of a crash: those who read it then look for the CPU's registers where
/// a crash leaves them.
fn timed(text: &[u8]) -> Vec<u8> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |time| time.as_secs());
    notes::vmcoreinfo_note(&[text, format!("CRASHTIME={now}\n").as_bytes()].concat())
}
