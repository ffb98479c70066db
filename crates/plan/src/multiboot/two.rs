//! The boot information of version 2: a size, then tags, each at a multiple of 8.

use super::{BootInformation, LOADER, kind, lower_and_upper, word};

const END: u32 = 0;
const COMMAND_LINE: u32 = 1;
const LOADER_NAME: u32 = 2;
const MODULE: u32 = 3;
const MEMORY: u32 = 4;
const MAP: u32 = 6;
const LOAD_BASE: u32 = 21;

pub(super) fn bytes(information: &BootInformation<'_>) -> Vec<u8> {
    let mut bytes = vec![0; 8];
    let (lower, upper) = lower_and_upper(information.memory);
    tag(&mut bytes, MEMORY, &[lower.to_le_bytes(), upper.to_le_bytes()].concat());
    let entries = information.memory.iter().flat_map(|range| {
        [range.first().to_le_bytes(), range.size().to_le_bytes(), u64::from(kind(*range)).to_le_bytes()]
            .concat()
    });
    let map: Vec<u8> =
        [24_u32.to_le_bytes(), 0_u32.to_le_bytes()].concat().into_iter().chain(entries).collect();
    tag(&mut bytes, MAP, &map);
    if let Some(base) = information.base {
        tag(&mut bytes, LOAD_BASE, &word(base));
    }
    tag(&mut bytes, COMMAND_LINE, &text(information.command_line));
    tag(&mut bytes, LOADER_NAME, &text(LOADER));
    for (start, end, string) in &information.modules {
        tag(&mut bytes, MODULE, &[word(*start).as_slice(), &word(*end), &text(string)].concat());
    }
    tag(&mut bytes, END, &[]);
    let size = word(bytes.len() as u64);
    for (place, byte) in bytes.iter_mut().zip(size) {
        *place = byte;
    }
    bytes
}

fn text(text: &[u8]) -> Vec<u8> {
    [text, &[0]].concat()
}

fn tag(bytes: &mut Vec<u8>, kind: u32, data: &[u8]) {
    bytes.extend(kind.to_le_bytes());
    bytes.extend(word(8 + data.len() as u64));
    bytes.extend_from_slice(data);
    bytes.resize(bytes.len().next_multiple_of(8), 0);
}
