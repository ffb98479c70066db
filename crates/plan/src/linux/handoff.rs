//! All that a kernel is told, in one segment:
//!
//! ```text
//! +0       boot_params, a page
//! +0x1000  trampoline, a page; only for kexec_load without a purgatory
//! then     command line with a zero behind it
//! then     setup_data with the memory map's entries from the 129th on, if there are so many
//! ```

use abi::boot_params::{E820_ENTRIES_MAX, SCREEN_INFO_SIZE, SIZE};
use abi::setup_data::{self, kind};
use abi::{e820, setup_header};
use kernel_file::BzImage;
use phys::PhysRange;

use super::boot_params::{self, BootParams};
use super::command_line::CommandLine;
use super::trampoline;
use crate::{MemoryRange, Part};

/// What is told, and every address that it speaks of.
pub(super) struct Handoff<'h> {
    pub(super) range: PhysRange,
    pub(super) has_trampoline: bool,
    pub(super) kernel: &'h BzImage<'h>,
    pub(super) kernel_at: u64,
    /// Address and bytes.
    pub(super) initrd: Option<(u64, u64)>,
    pub(super) command_line: &'h CommandLine,
    pub(super) memory: &'h [MemoryRange],
    pub(super) rsdp: Option<u64>,
    pub(super) screen: Option<&'h [u8; SCREEN_INFO_SIZE]>,
}

/// Alignment of a setup_data.
const ALIGN: u64 = 16;

impl Handoff<'_> {
    /// Bytes that it takes, which do not depend on an address.
    pub(super) fn size(has_trampoline: bool, command_line: &CommandLine, memory: &[MemoryRange]) -> u64 {
        let more = match more_entries(memory).len() as u64 {
            0 => 0,
            count => setup_data::HEADER_SIZE as u64 + count * e820::SIZE as u64,
        };
        more_offset(has_trampoline, command_line) + more
    }

    pub(super) const fn boot_params_at(&self) -> u64 {
        self.range.start().get()
    }

    /// Of a handoff that has one.
    pub(super) const fn trampoline_at(&self) -> u64 {
        self.boot_params_at() + SIZE as u64
    }

    pub(super) const fn command_line_at(&self) -> u64 {
        self.boot_params_at() + command_line_offset(self.has_trampoline)
    }

    fn more_at(&self) -> Option<u64> {
        let offset = more_offset(self.has_trampoline, self.command_line);
        (!more_entries(self.memory).is_empty()).then(|| self.boot_params_at() + offset)
    }

    pub(super) fn parts(&self) -> Vec<Part> {
        let part = |name, address, size| Part { name, address, size };
        let length = self.command_line.text().len() as u64;
        let mut parts = vec![
            part("boot_params", self.boot_params_at(), SIZE as u64),
            part("command line", self.command_line_at(), length + 1),
        ];
        if self.has_trampoline {
            parts.push(part("trampoline", self.trampoline_at(), trampoline::SIZE));
        }
        if let Some(address) = self.more_at() {
            parts.push(part("more of the memory map", address, self.more().len() as u64));
        }
        parts
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.boot_params().into_bytes().to_vec();
        if self.has_trampoline {
            let entry = self.kernel_at + setup_header::ENTRY_64;
            bytes.extend(trampoline::page(self.trampoline_at(), self.boot_params_at(), entry));
        }
        fill(&mut bytes, command_line_offset(self.has_trampoline));
        bytes.extend_from_slice(self.command_line.text());
        let end = self.command_line.room() + 1;
        bytes.extend((0..end).map(|_| 0));
        if self.more_at().is_some() {
            fill(&mut bytes, more_offset(self.has_trampoline, self.command_line));
            bytes.extend(self.more());
        }
        bytes
    }

    fn boot_params(&self) -> BootParams {
        let mut params = BootParams::new(self.kernel);
        params.set_kernel(self.kernel_at);
        params.set_command_line(self.command_line_at());
        if let Some((address, size)) = self.initrd {
            params.set_initrd(address, size);
        }
        params.set_setup_data(self.more_at().unwrap_or(0));
        params.set_memory(self.memory);
        if let Some(rsdp) = self.rsdp {
            params.set_rsdp(rsdp);
        }
        if let Some(screen) = self.screen {
            params.set_screen(screen);
        }
        params
    }

    /// The setup_data for what does not fit in boot_params.
    fn more(&self) -> Vec<u8> {
        let entries = more_entries(self.memory);
        let mut bytes = vec![0; setup_data::HEADER_SIZE];
        let length = u32::try_from(entries.len() * e820::SIZE).unwrap_or(u32::MAX);
        let written = setup_data::KIND.write(&mut bytes, kind::E820_EXT)
            && setup_data::LENGTH.write(&mut bytes, length);
        debug_assert!(written);
        bytes.extend(entries.iter().flat_map(|&range| boot_params::e820_entry(range)));
        bytes
    }
}

fn more_entries(memory: &[MemoryRange]) -> &[MemoryRange] {
    memory.get(E820_ENTRIES_MAX..).unwrap_or(&[])
}

const fn command_line_offset(has_trampoline: bool) -> u64 {
    if has_trampoline { SIZE as u64 + trampoline::SIZE } else { SIZE as u64 }
}

fn more_offset(has_trampoline: bool, command_line: &CommandLine) -> u64 {
    (command_line_offset(has_trampoline) + command_line.text().len() as u64 + command_line.room() + 1)
        .next_multiple_of(ALIGN)
}

fn fill(bytes: &mut Vec<u8>, offset: u64) {
    bytes.resize(usize::try_from(offset).unwrap_or(bytes.len()), 0);
}
