//! ELF boot notes, as Eric Biederman's proposal (`draft-biederman-elf-boot`) lays them out: a header, then notes without
//! names.

use phys::PhysRange;

use super::Notes;

const MAGIC: u32 = 0x0e1f_b007;
const HEADER: usize = 12;
const RECORDS: u16 = 3;
const LOADER_NAME: u32 = 2;
const LOADER_VERSION: u32 = 3;
const COMMAND_LINE: u32 = 4;
/// Room for the stack of code that finds the notes' address on it.
const STACK: u64 = 4096;

/// Bytes of the notes and the stack behind them.
pub(super) fn size(command_line: &[u8]) -> u64 {
    stack_top(bytes(command_line).len() as u64)
}

const fn stack_top(notes: u64) -> u64 {
    notes.next_multiple_of(16) + STACK
}

pub(super) fn segment(range: PhysRange, command_line: &[u8]) -> Notes {
    let mut bytes = bytes(command_line);
    let notes = bytes.len() as u64;
    // Return address 0, and the first argument.
    let stack = stack_top(notes) - 16;
    bytes.resize(usize::try_from(stack + 4).unwrap_or(bytes.len()), 0);
    bytes.extend_from_slice(&u32::try_from(range.start().get()).unwrap_or(0).to_le_bytes());
    Notes::new(range, bytes, notes, stack)
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

/// A note with a text, its zero included.
fn note(bytes: &mut Vec<u8>, kind: u32, text: &[u8]) {
    let size = u32::try_from(text.len() + 1).unwrap_or(u32::MAX);
    bytes.extend([0, size, kind].iter().flat_map(|word: &u32| word.to_le_bytes()));
    bytes.extend_from_slice(text);
    bytes.push(0);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
}

/// RFC 1071.
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
    fn the_words_of_all_notes_sum_up_to_ones() {
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
    fn a_32_bit_stack_has_the_address_of_the_notes_for_an_argument() {
        let line = b"words";
        let range = PhysRange::around_bytes(0x20_0000, size(line)).unwrap();
        let notes = segment(range, line);
        let at = usize::try_from(notes.stack - 0x20_0000).unwrap();
        assert_eq!(notes.segment.bytes[at..at + 8], [0, 0, 0, 0, 0, 0, 0x20, 0]);
        assert!(notes.stack.is_multiple_of(16) && notes.segment.bytes.len() as u64 <= range.bytes());
    }
}
