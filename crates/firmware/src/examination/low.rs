//! Low memory as calls left it: interrupt vectors, and the BIOS's variables.

use std::fmt::Write;
use std::ops::RangeInclusive;

use abi::Field;
use abi::bios::{LOW_STUB, why};

use super::Finding;
use crate::block::Results;

/// Bytes of all interrupt vectors.
const VECTORS: usize = 0x400;
/// The segment of the image's own handlers, and the vectors that lead to them during the calls.
const STUB: usize = LOW_STUB / 16;
const HOOKED: [usize; 6] = [0, 2, 6, 8, 12, 13];
/// Variables that change by themselves, or by the calls of the steps (IBM, "Personal System/2 and
/// Personal Computer BIOS Interface Technical Reference", BIOS data area).
const LIVELY: [RangeInclusive<usize>; 5] = [
    // The keyboard's flags and buffer.
    0x417..=0x43d,
    // A diskette drive's motor, counted down by each tick, and its last status.
    0x440..=0x448,
    // The ticks since midnight, whether they passed it, whether Break was pressed.
    0x46c..=0x471,
    // The status of the last call for a disk.
    0x474..=0x474,
    // More flags of the keyboard; the wait that is under way.
    0x496..=0x4a0,
];
/// Most differences that are named.
const MOST: usize = 8;
/// Most bytes of one that are printed.
const BYTES: usize = 8;

/// What is different in page 0 after calls. After those that were ended early the image has put
/// all of it back.
#[must_use]
pub fn changes(results: &Results, before: &[u8], after: &[u8]) -> Vec<String> {
    if results.why == why::DEADLINE || results.why & why::EXCEPTION != 0 {
        return Vec::new();
    }
    let mut changes = vectors(before, after);
    changes.extend(variables(before, after));
    if changes.len() > MOST {
        let more = changes.len() - MOST;
        changes.truncate(MOST);
        changes.push(format!("{more} more places in page 0"));
    }
    changes
}

/// A line about the extended BIOS data area, of which each BIOS has its own use.
#[must_use]
pub fn extended(steps: &[(&str, usize)]) -> (&'static str, Finding) {
    let changed = steps.iter().filter(|(_, bytes)| *bytes > 0);
    let changed: Vec<String> =
        changed.map(|(step, bytes)| format!("{bytes} bytes changed by {step}")).collect();
    let seen = if changed.is_empty() { "nothing changed".into() } else { changed.join("; ") };
    ("extended BIOS data area", Finding::seen(seen))
}

fn vectors(before: &[u8], after: &[u8]) -> Vec<String> {
    let vector = |page: &[u8], number| Field::<u32>::at(number * 4).read(page).unwrap_or(0);
    let is_ours = |number, vector: u32| HOOKED.contains(&number) && (vector >> 16) as usize == STUB;
    let place = |vector: u32| format!("{:04x}:{:04x}", vector >> 16, vector & 0xffff);
    (0..VECTORS / 4)
        .map(|number| (number, vector(before, number), vector(after, number)))
        .filter(|&(number, was, is)| was != is && !is_ours(number, is))
        .map(|(number, was, is)| {
            format!("interrupt vector {number:#04x} was {}, and is {}", place(was), place(is))
        })
        .collect()
}

/// Bytes next to each other are one difference.
fn variables(before: &[u8], after: &[u8]) -> Vec<String> {
    let differs =
        |at: usize| before.get(at) != after.get(at) && !LIVELY.iter().any(|lively| lively.contains(&at));
    let (mut changes, mut at) = (Vec::new(), VECTORS);
    let end = before.len().min(after.len());
    while at < end {
        let length = (at..end).take_while(|&at| differs(at)).count();
        if length > 0 {
            let bytes = at..at + length;
            let (was, is) = (hexadecimal(&before[bytes.clone()]), hexadecimal(&after[bytes]));
            changes.push(format!("{at:#x} (BIOS's variables) was {was}, and is {is}"));
        }
        at += length.max(1);
    }
    changes
}

fn hexadecimal(bytes: &[u8]) -> String {
    let mut text = String::new();
    for byte in bytes.iter().take(BYTES) {
        let _ = write!(text, "{}{byte:02x}", if text.is_empty() { "" } else { " " });
    }
    if bytes.len() > BYTES { text + " ..." } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn after(change: impl Fn(&mut [u8])) -> Vec<String> {
        let before = vec![0x11; 0x1000];
        let mut after = before.clone();
        change(&mut after);
        changes(&Results::default(), &before, &after)
    }

    #[test]
    fn a_vector_and_a_variable_that_differ_are_named_with_both_values() {
        let changes = after(|page| {
            page[0x15 * 4..0x16 * 4].copy_from_slice(&0x2000_0004_u32.to_le_bytes());
            page[0x413..0x415].copy_from_slice(&[0, 2]);
            page[0xfff] = 0x12;
        });
        assert_eq!(
            changes,
            [
                "interrupt vector 0x15 was 1111:1111, and is 2000:0004",
                "0x413 (BIOS's variables) was 11 11, and is 00 02",
                "0xfff (BIOS's variables) was 11, and is 12",
            ]
        );
    }

    #[test]
    fn handlers_ticks_and_keys_are_not_differences() {
        let changes = after(|page| {
            page[0x06 * 4..0x07 * 4].copy_from_slice(&0x1100_0140_u32.to_le_bytes());
            for place in [0x417, 0x41a, 0x43d, 0x440, 0x46c, 0x470, 0x474, 0x4a0] {
                page[place] = 0;
            }
        });
        assert_eq!(changes, Vec::<String>::new());
        // Ours where it was not put.
        assert_eq!(after(|page| page[0x15 * 4..0x16 * 4].copy_from_slice(&[0, 0, 0, 0x11])).len(), 1);
        for place in [0x416, 0x43e, 0x43f, 0x449, 0x46b, 0x472, 0x473, 0x475, 0x495, 0x4a1] {
            assert_eq!(after(|page| page[place] = 0).len(), 1, "{place:#x}");
        }
    }

    #[test]
    fn after_an_early_end_all_was_put_back() {
        let results = Results { why: why::DEADLINE, ..Results::default() };
        assert!(changes(&results, &[0; 0x1000], &[1; 0x1000]).is_empty());
    }

    #[test]
    fn many_differences_are_counted() {
        let all = after(|page| page.iter_mut().skip(0x500).step_by(2).for_each(|byte| *byte = 0));
        assert_eq!(all.len(), MOST + 1);
        assert_eq!(all[MOST], "1400 more places in page 0");
        assert!(after(|page| page[0x500..].fill(0))[0].ends_with("is 00 00 00 00 00 00 00 00 ..."));
    }

    proptest! {
        #[test]
        fn pages_of_any_length_are_compared(
            before in proptest::collection::vec(any::<u8>(), 0..0x500),
            after in proptest::collection::vec(any::<u8>(), 0..0x500),
        ) {
            prop_assert!(changes(&Results::default(), &before, &after).len() <= MOST + 1);
        }
    }
}
