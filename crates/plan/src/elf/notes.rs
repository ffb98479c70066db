//! ELF boot notes as in Eric Biederman's proposal (`draft-biederman-elf-boot`): a header, then
//! notes without names.

use std::borrow::Cow;

use phys::PhysRange;

use crate::{Part, Segment};

const MAGIC: u32 = 0x0e1f_b007;
const HEADER: usize = 12;
const RECORDS: u16 = 3;
const LOADER_NAME: u32 = 2;
const LOADER_VERSION: u32 = 3;
const COMMAND_LINE: u32 = 4;
/// Bytes of the stack, on which 32-bit code finds the address of the notes.
const STACK: u64 = 4096;
/// Bytes from the stack pointer to the end of the stack.
const ARGUMENTS: u64 = 16;

/// Name of their segment.
pub(super) const NAME: &str = "boot notes";

/// Boot notes, and the stack after them.
pub(super) struct Notes {
    bytes: Vec<u8>,
}

impl Notes {
    pub(super) fn new(command_line: &[u8]) -> Self {
        Self { bytes: bytes(command_line) }
    }

    /// Bytes of the notes and the stack.
    pub(super) const fn size(&self) -> u64 {
        (self.bytes.len() as u64).next_multiple_of(16) + STACK
    }

    /// Offset of the arguments on the stack: return address 0, then the address of the notes.
    const fn arguments(&self) -> u64 {
        self.size() - ARGUMENTS
    }

    /// The stack pointer for 32-bit code.
    pub(super) const fn stack(&self, address: u64) -> u64 {
        address + self.arguments()
    }

    pub(super) const fn parts(&self, address: u64) -> [Part; 2] {
        [
            Part { name: NAME, address, size: self.bytes.len() as u64 },
            Part { name: "arguments on the stack", address: self.stack(address), size: 8 },
        ]
    }

    pub(super) fn segment(&self, range: PhysRange) -> Segment<'static> {
        let mut bytes = self.bytes.clone();
        bytes.resize(usize::try_from(self.arguments() + 4).unwrap_or(bytes.len()), 0);
        bytes.extend_from_slice(&u32::try_from(range.start().get()).unwrap_or(0).to_le_bytes());
        Segment { name: NAME, range, bytes: Cow::Owned(bytes) }
    }
}

fn bytes(command_line: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; HEADER];
    note(&mut bytes, LOADER_NAME, b"kjump");
    note(&mut bytes, LOADER_VERSION, env!("CARGO_PKG_VERSION").as_bytes());
    note(&mut bytes, COMMAND_LINE, command_line);
    let size = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    let header = |sum: u16| {
        let [a, b] = sum.to_le_bytes();
        let [c, d] = RECORDS.to_le_bytes();
        [MAGIC.to_le_bytes(), size.to_le_bytes(), [a, b, c, d]].concat()
    };
    set(&mut bytes, &header(0));
    let sum = checksum(&bytes);
    set(&mut bytes, &header(sum));
    bytes
}

fn set(bytes: &mut [u8], header: &[u8]) {
    for (place, byte) in bytes.iter_mut().zip(header) {
        *place = *byte;
    }
}

/// Appends a note with a text and its terminating zero.
fn note(bytes: &mut Vec<u8>, kind: u32, text: &[u8]) {
    let size = u32::try_from(text.len() + 1).unwrap_or(u32::MAX);
    bytes.extend([0, size, kind].iter().flat_map(|word: &u32| word.to_le_bytes()));
    bytes.extend_from_slice(text);
    bytes.push(0);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
}

/// The checksum of RFC 1071.
fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks(2).map(|pair| match *pair {
        [low, high] => u64::from(u16::from_le_bytes([low, high])),
        [low] => low.into(),
        _ => 0,
    });
    let mut sum: u64 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_16_bit_words_of_all_notes_sum_up_to_ones() {
        for line in [b"".as_slice(), b"x", b"console=ttyS0 quiet"] {
            let bytes = bytes(line);
            assert_eq!(checksum(&bytes), 0);
            assert_eq!(bytes[..4], MAGIC.to_le_bytes());
            assert_eq!(bytes[4..8], u32::try_from(bytes.len()).unwrap().to_le_bytes());
            let text = bytes.windows(line.len() + 1).any(|part| part.strip_suffix(&[0]) == Some(line));
            assert!(text);
        }
    }

    #[test]
    fn a_32_bit_stack_holds_the_address_of_the_notes_as_an_argument() {
        let line = b"words";
        let notes = Notes::new(line);
        let range = PhysRange::around_bytes(0x20_0000, notes.size()).unwrap();
        let (segment, stack) = (notes.segment(range), notes.stack(0x20_0000));
        let at = usize::try_from(stack - 0x20_0000).unwrap();
        assert_eq!(segment.bytes[at..at + 8], [0, 0, 0, 0, 0, 0, 0x20, 0]);
        assert!(stack.is_multiple_of(16) && segment.bytes.len() as u64 <= range.bytes());
    }
}
