//! What the new kernel is told of the running one's memory.

use std::path::Path;

use anyhow::Context;
use phys::PhysRange;
use plan::linux::{View, ViewPlace};
use sys::Device;

use crate::dump::source;
use crate::report;

/// Where the kernel shows its own memory, with what it says of itself.
const KCORE: &str = "/proc/kcore";

/// What the running kernel says of itself, for whoever reads its memory.
#[derive(Default)]
pub(super) struct Described {
    /// The VMCOREINFO note, with its header.
    note: Vec<u8>,
    /// Where all memory is mapped.
    direct_map: Option<u64>,
}

impl Described {
    /// Reads it; where that cannot be done the memory is shown without.
    pub(super) fn read() -> Self {
        match source::image(Path::new(KCORE)) {
            Ok(core) => Self {
                note: vmcore::notes::vmcoreinfo(core.notes())
                    .map(|found| vmcore::notes::vmcoreinfo_note(found.contents))
                    .unwrap_or_default(),
                direct_map: core
                    .present()
                    .runs()
                    .next()
                    .map(|frames| frames.start << phys::PAGE_SHIFT)
                    .and_then(|first| Some(core.virtual_address(first)?.wrapping_sub(first))),
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
        &self,
        device: &Device,
        image: u64,
        place: ViewPlace,
        ram: &[PhysRange],
    ) -> anyhow::Result<()> {
        let slots = device.slots(image)?;
        let header = match place.elfcorehdr(ram, &slots, self.direct_map) {
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
            device.make_room_for_notes(place.cpu_note().address, place.cpu_note().size)
        };
        told().context("telling the new kernel of this one's memory")
    }
}
