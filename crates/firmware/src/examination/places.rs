//! What lies at fixed places of low memory: interrupt vectors, the BIOS's variables, ROMs.

use abi::{Field, Number};

use super::{Finding, Known};
use crate::rom;

/// Vectors that the BIOS serves: its ticks, its services, its clock.
const SERVED: [u8; 12] = [0x08, 0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x19, 0x1a, 0x70];

/// How many of the vectors point into ROM.
pub(super) fn vectors(page_0: &[u8]) -> Finding {
    let vector = |number: u8| Field::<u32>::at(usize::from(number) * 4).read(page_0).unwrap_or(0);
    let address = |vector: u32| u64::from(vector >> 16) * 16 + u64::from(vector & 0xffff);
    // A vector can also name RAM above the ROMs, past 1 MiB.
    let rom = rom::START..rom::START + rom::SIZE as u64;
    let in_rom = |number: &&u8| rom.contains(&address(vector(**number)));
    let bad: Vec<String> = SERVED
        .iter()
        .filter(|number| !in_rom(number))
        .map(|&number| {
            let vector = vector(number);
            format!("{number:#04x} at {:04x}:{:04x}", vector >> 16, vector & 0xffff)
        })
        .collect();
    let expected = "all in ROM";
    let seen = if bad.is_empty() { expected.into() } else { format!("not in ROM: {}", bad.join(", ")) };
    Finding::equal(seen, expected)
}

/// Whether a vector points into an option ROM, below the BIOS itself.
pub(super) fn is_in_option_rom(page_0: &[u8], number: u8) -> bool {
    const BIOS: u64 = 0xf_0000;
    let vector = Field::<u32>::at(usize::from(number) * 4).read(page_0).unwrap_or(0);
    let address = u64::from(vector >> 16) * 16 + u64::from(vector & 0xffff);
    (rom::START..BIOS).contains(&address)
}

/// A variable of the BIOS.
pub(super) fn variable<T: Number>(page_0: &[u8], at: usize) -> Option<T> {
    Field::<T>::at(at).read(page_0)
}

/// Lines about the ROMs and tables, before all steps and after them.
#[must_use]
pub fn roms(known: &Known, after: Option<&[u8]>) -> Vec<(&'static str, Finding)> {
    let Some(before) = &known.rom else {
        return vec![("ROMs", Finding::seen("the kernel does not let /dev/mem be read"))];
    };
    let count = |wrong: Vec<String>, all: usize| {
        let seen = if wrong.is_empty() {
            format!("{all} of {all} right")
        } else {
            format!("{} of {all} right; wrong: {}", all - wrong.len(), wrong.join(", "))
        };
        Finding::equal(seen, format!("{all} of {all} right"))
    };
    let mut options = rom::option_roms(before);
    options.retain(|rom| rom.has_code);
    let wrong = options.iter().filter(|rom| rom.is_wrong());
    let wrong = wrong.map(|rom| format!("{:#x}, written to since it was loaded", rom.address)).collect();
    // Once it has run, an option ROM may keep variables in itself: a wrong sum is not a fault.
    let options = Finding::seen(count(wrong, options.len()).seen);
    let mut lines = vec![("checksums of option ROMs", options)];
    let anchors = rom::anchors(before);
    let wrong = anchors.iter().filter(|anchor| anchor.sum != 0);
    let wrong = wrong.map(|anchor| format!("{} at {:#x}", anchor.name, anchor.address)).collect();
    lines.push(("checksums of tables", count(wrong, anchors.len())));
    if let Some(after) = after {
        let sum = |rom: &[u8]| format!("sum {:#018x}", rom::bios_sum(rom));
        lines.push(("BIOS ROM", Finding::equal(sum(after), sum(before))));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::examination::Verdict;

    #[test]
    fn a_vector_into_ram_is_named() {
        let mut page: Vec<u8> = 0xf000_e000_u32.to_le_bytes().repeat(1024);
        assert_eq!(vectors(&page).verdict, Verdict::Same);
        page[0x12 * 4..0x13 * 4].copy_from_slice(&0x2000_0004_u32.to_le_bytes());
        assert_eq!(vectors(&page).seen, "not in ROM: 0x12 at 2000:0004");
        page[0x12 * 4..0x13 * 4].copy_from_slice(&0xffff_0010_u32.to_le_bytes());
        assert_eq!(vectors(&page).seen, "not in ROM: 0x12 at ffff:0010");
        page[0x10 * 4..0x11 * 4].copy_from_slice(&0xc000_0010_u32.to_le_bytes());
        assert!(is_in_option_rom(&page, 0x10) && !is_in_option_rom(&page, 0x13));
        assert_eq!(vectors(&[]).verdict, Verdict::Different);
    }

    #[test]
    fn an_option_rom_may_change_and_the_bios_may_not() {
        let mut bytes = vec![0; rom::SIZE];
        bytes[..4].copy_from_slice(&[0x55, 0xaa, 1, 9]);
        let known = Known { rom: Some(bytes.clone()), ..Known::default() };
        let lines = roms(&known, Some(&bytes));
        assert_eq!(lines[0].1.seen, "0 of 1 right; wrong: 0xc0000, written to since it was loaded");
        assert_eq!(lines[0].1.verdict, Verdict::Seen);
        assert_eq!(lines[2].1.verdict, Verdict::Same);
        bytes[rom::SIZE - 1] = 1;
        assert_eq!(roms(&known, Some(&bytes))[2].1.verdict, Verdict::Different);
        assert_eq!(roms(&Known::default(), None)[0].1.verdict, Verdict::Seen);
    }
}
