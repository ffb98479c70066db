//! The boot information of version 1: 88 bytes, then the data that they point to.

use super::{BootInformation, LOADER, kind, lower_and_upper, word};

const SIZE: usize = 88;
/// Flags of present fields: memory sizes, command line, modules, memory map, name of the loader.
const MEMORY: u32 = 1 << 0;
const COMMAND_LINE: u32 = 1 << 2;
const MODULES: u32 = 1 << 3;
const MAP: u32 = 1 << 6;
const LOADER_NAME: u32 = 1 << 9;

pub(super) fn bytes(information: &BootInformation<'_>, address: u64) -> Vec<u8> {
    let mut more = More { start: address + SIZE as u64, bytes: Vec::new() };
    let line = more.text(information.command_line);
    let loader = more.text(LOADER);
    let strings: Vec<u64> = information.modules.iter().map(|(_, _, strings)| more.text(strings)).collect();
    let modules = more.align();
    for ((start, end, _), strings) in information.modules.iter().zip(strings) {
        more.bytes.extend([*start, *end, strings, 0].into_iter().flat_map(word));
    }
    let map = more.align();
    for range in information.memory {
        more.bytes.extend(20_u32.to_le_bytes());
        more.bytes.extend(range.first().to_le_bytes());
        more.bytes.extend(range.size().to_le_bytes());
        more.bytes.extend(kind(*range).to_le_bytes());
    }
    let map_size = more.start + more.bytes.len() as u64 - map;
    let (lower, upper) = lower_and_upper(information.memory);
    let flags =
        MEMORY | COMMAND_LINE | MAP | LOADER_NAME | if information.modules.is_empty() { 0 } else { MODULES };
    let mut bytes = vec![0; SIZE];
    let fields = [
        (0, flags.to_le_bytes()),
        (4, lower.to_le_bytes()),
        (8, upper.to_le_bytes()),
        (16, word(line)),
        (20, word(information.modules.len() as u64)),
        (24, word(modules)),
        (44, word(map_size)),
        (48, word(map)),
        (64, word(loader)),
    ];
    for (offset, field) in fields {
        if let Some(place) = bytes.get_mut(offset..offset + 4) {
            place.copy_from_slice(&field);
        }
    }
    bytes.extend(more.bytes);
    bytes
}

/// The data after the 88 bytes.
struct More {
    start: u64,
    bytes: Vec<u8>,
}

impl More {
    /// Adds a zero-terminated text, and returns its address.
    fn text(&mut self, text: &[u8]) -> u64 {
        let address = self.start + self.bytes.len() as u64;
        self.bytes.extend_from_slice(text);
        self.bytes.push(0);
        address
    }

    /// Pads to a multiple of 8, and returns the address.
    fn align(&mut self) -> u64 {
        self.bytes.resize(self.bytes.len().next_multiple_of(8), 0);
        self.start + self.bytes.len() as u64
    }
}
