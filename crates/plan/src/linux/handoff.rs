//! All that a kernel is told, in one segment:
//!
//! ```text
//! +0       boot_params, a page
//! +0x1000  command line with a zero behind it
//! then     whatever else there is: EFI's memory descriptors, setup_data chained to each other
//! ```

mod blob;

use abi::boot_params::{SCREEN_INFO_SIZE, SIZE};
use phys::PhysRange;

use super::boot_params::BootParams;
use super::command_line::CommandLine;
use super::kernel::Form;
use crate::{Efi, MemoryRange, Part, SetupData};
use blob::Blob;
pub(super) use blob::seed;

/// What is told besides the kernel itself, its command line and its initrd. Nothing of it depends on an address.
#[derive(Default)]
pub(super) struct Told {
    pub(super) memory: Vec<MemoryRange>,
    pub(super) rsdp: Option<u64>,
    pub(super) screen: Option<[u8; SCREEN_INFO_SIZE]>,
    /// The running kernel's own, of which some parts are told again.
    pub(super) before: Option<Vec<u8>>,
    pub(super) efi: Option<Efi>,
    pub(super) setup_data: Vec<SetupData>,
}

/// What is told, and every address that it speaks of.
pub(super) struct Handoff<'h> {
    pub(super) range: PhysRange,
    pub(super) kernel: &'h Form<'h>,
    pub(super) kernel_at: u64,
    /// Address and bytes.
    pub(super) initrd: Option<(u64, u64)>,
    pub(super) command_line: &'h CommandLine,
    pub(super) told: &'h Told,
}

impl Handoff<'_> {
    /// Bytes that it takes, which do not depend on an address.
    pub(super) fn size(command_line: &CommandLine, told: &Told) -> u64 {
        let blobs = blob::all(told);
        let last = blob::offsets(behind_line(command_line), &blobs).zip(&blobs).last();
        last.map_or(behind_line(command_line), |(offset, blob)| offset + blob.size())
    }

    pub(super) const fn boot_params_at(&self) -> u64 {
        self.range.start().get()
    }

    pub(super) const fn command_line_at(&self) -> u64 {
        self.boot_params_at() + COMMAND_LINE
    }

    pub(super) fn parts(&self) -> Vec<Part> {
        let part = |name, address, size| Part { name, address, size };
        let length = self.command_line.text().len() as u64;
        let blobs = blob::all(self.told);
        let more = self.placed(&blobs).map(|(address, blob)| part(blob.name, address, blob.size()));
        [
            part("boot_params", self.boot_params_at(), SIZE as u64),
            part("command line", self.command_line_at(), length + 1),
        ]
        .into_iter()
        .chain(more)
        .collect()
    }

    fn placed<'b>(&self, blobs: &'b [Blob]) -> impl Iterator<Item = (u64, &'b Blob)> + use<'b> {
        let start = self.boot_params_at();
        blob::offsets(behind_line(self.command_line), blobs).map(move |offset| start + offset).zip(blobs)
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        let blobs = blob::all(self.told);
        let mut bytes = self.boot_params(&blobs).into_bytes().to_vec();
        bytes.extend_from_slice(self.command_line.text());
        bytes.extend((0..=self.command_line.room()).map(|_| 0));
        let mut chain =
            self.placed(&blobs).filter(|(_, blob)| blob.kind.is_some()).map(|(address, _)| address).skip(1);
        for (address, blob) in self.placed(&blobs) {
            let offset = usize::try_from(address - self.boot_params_at()).unwrap_or(bytes.len());
            bytes.resize(offset, 0);
            let next = if blob.kind.is_some() { chain.next().unwrap_or(0) } else { 0 };
            bytes.extend(blob.bytes(next));
        }
        bytes
    }

    fn boot_params(&self, blobs: &[Blob]) -> BootParams {
        let mut params = BootParams::new(self.kernel);
        if let Some(before) = &self.told.before {
            params.set_before(before);
        }
        params.set_kernel(self.kernel_at);
        params.set_command_line(self.command_line_at());
        if let Some((address, size)) = self.initrd {
            params.set_initrd(address, size);
        }
        let first = self.placed(blobs).find(|(_, blob)| blob.kind.is_some());
        params.set_setup_data(first.map_or(0, |(address, _)| address));
        params.set_memory(&self.told.memory);
        if let Some(rsdp) = self.told.rsdp {
            params.set_rsdp(rsdp);
        }
        if let Some(screen) = &self.told.screen {
            params.set_screen(screen);
        }
        if let Some((address, map)) = self.placed(blobs).find(|(_, blob)| blob.kind.is_none()) {
            params.set_efi_map(address, map.size());
        } else {
            params.clear_efi();
        }
        params
    }
}

const COMMAND_LINE: u64 = SIZE as u64;

/// The offset of the first byte behind the command line and its zero.
fn behind_line(command_line: &CommandLine) -> u64 {
    COMMAND_LINE + command_line.text().len() as u64 + command_line.room() + 1
}
