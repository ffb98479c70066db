//! Everything that a kernel is passed, in one segment:
//!
//! ```text
//! +0       boot_params, a page
//! +0x1000  command line with a terminating zero
//! then     blobs: EFI's memory descriptors, setup_data chained to each other
//! ```

mod blob;

use abi::boot_params::SIZE;

use super::boot_params::BootParams;
use super::command_line::CommandLine;
use super::facts::HandoffFacts;
use super::kernel::KernelTraits;
use super::neighbours::Neighbours;
use crate::Part;
use blob::Blob;

/// A handoff without the addresses in it.
pub(super) struct Handoff {
    params: BootParams,
    command_line: CommandLine,
    blobs: Vec<Blob>,
}

/// Offset of the command line.
const COMMAND_LINE: u64 = SIZE as u64;

impl Handoff {
    pub(super) fn new(
        traits: &KernelTraits<'_>,
        command_line: CommandLine,
        facts: &HandoffFacts<'_>,
    ) -> Self {
        let blobs = blob::all(facts, line_end(&command_line));
        Self { params: BootParams::new(traits, facts), command_line, blobs }
    }

    pub(super) const fn command_line(&self) -> &CommandLine {
        &self.command_line
    }

    pub(super) const fn command_line_at(address: u64) -> u64 {
        address + COMMAND_LINE
    }

    pub(super) fn size(&self) -> u64 {
        self.blobs.last().map_or_else(|| line_end(&self.command_line), Blob::end)
    }

    pub(super) fn parts(&self, address: u64) -> Vec<Part> {
        let part = |name, offset, size| Part { name, address: address + offset, size };
        let length = self.command_line.text().len() as u64;
        let fixed = [part("boot_params", 0, SIZE as u64), part("command line", COMMAND_LINE, length + 1)];
        let blobs = self.blobs.iter().map(|blob| part(blob.name, blob.offset, blob.size()));
        fixed.into_iter().chain(blobs).collect()
    }

    /// Its bytes at this address.
    pub(super) fn bytes(&self, address: u64, neighbours: Neighbours) -> Vec<u8> {
        let mut bytes = self.boot_params(address, neighbours).bytes().to_vec();
        bytes.extend_from_slice(self.command_line.text());
        let mut chain = self.setup_data(address).skip(1);
        for blob in &self.blobs {
            bytes.resize(usize::try_from(blob.offset).unwrap_or(bytes.len()), 0);
            let next = if blob.is_setup_data() { chain.next().unwrap_or(0) } else { 0 };
            bytes.extend(blob.bytes(next));
        }
        // Zeros after the command line, if no blob follows.
        bytes.resize(usize::try_from(self.size()).unwrap_or(bytes.len()), 0);
        bytes
    }

    fn boot_params(&self, address: u64, neighbours: Neighbours) -> BootParams {
        let mut params = self.params.clone();
        params.set_kernel(neighbours.kernel);
        params.set_command_line(Self::command_line_at(address));
        if let Some((initrd, size)) = neighbours.initrd {
            params.set_initrd(initrd, size);
        }
        params.set_setup_data(self.setup_data(address).next().unwrap_or(0));
        if let Some(map) = self.blobs.iter().find(|blob| !blob.is_setup_data()) {
            params.set_efi_map(address + map.offset, map.size());
        }
        params
    }

    /// The address of each setup_data.
    fn setup_data(&self, address: u64) -> impl Iterator<Item = u64> {
        self.blobs.iter().filter(|blob| blob.is_setup_data()).map(move |blob| address + blob.offset)
    }
}

/// The offset of the first byte after the command line and its zero.
fn line_end(command_line: &CommandLine) -> u64 {
    COMMAND_LINE + command_line.text().len() as u64 + 1
}
