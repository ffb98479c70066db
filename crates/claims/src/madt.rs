//! The I/O APICs, and the timer's interrupt, in the ACPI table that lists interrupt controllers
//! (MADT, ACPI 6.5, 5.2.12).
//!
//! The table comes from firmware: a length in it may be anything.

/// The table's header, the local APIC's address, flags.
const ENTRIES: usize = 44;
/// Entry type of an I/O APIC: type, length, identifier, reserved, address (4 bytes), interrupt base
/// (4 bytes).
const IO_APIC: u8 = 1;
const IO_APIC_LENGTH: usize = 12;
const ADDRESS: usize = 4;
const BASE: usize = 8;
/// Entry type of an interrupt that is not connected as in the first PCs: type, length, bus, its
/// number there, global number (4 bytes), flags (2 bytes).
const OVERRIDE: u8 = 2;
const OVERRIDE_LENGTH: usize = 10;
const GLOBAL: usize = 4;

/// The physical addresses of the I/O APICs' registers, in the table's order. Ends at the first
/// entry that is too short to be one or that reaches beyond the table.
pub fn io_apics(table: &[u8]) -> impl Iterator<Item = u32> {
    Entries(table.get(ENTRIES..).unwrap_or_default())
        .filter_map(|entry| match entry.first() {
            Some(&IO_APIC) if entry.len() >= IO_APIC_LENGTH => entry.get(ADDRESS..)?.first_chunk().copied(),
            _ => None,
        })
        .map(u32::from_le_bytes)
}

/// The address of the I/O APIC whose first pin is global interrupt 0.
#[must_use]
pub fn first_io_apic(table: &[u8]) -> Option<u32> {
    Entries(table.get(ENTRIES..).unwrap_or_default()).find_map(|entry| match entry.first() {
        Some(&IO_APIC) if word(entry, BASE)? == 0 => word(entry, ADDRESS),
        _ => None,
    })
}

/// The global number of the timer's interrupt: ISA interrupt 0.
#[must_use]
pub fn timer_interrupt(table: &[u8]) -> u32 {
    let overridden = Entries(table.get(ENTRIES..).unwrap_or_default()).find_map(|entry| match *entry {
        [OVERRIDE, _, 0, 0, ..] if entry.len() >= OVERRIDE_LENGTH => word(entry, GLOBAL),
        _ => None,
    });
    overridden.unwrap_or(0)
}

fn word(entry: &[u8], offset: usize) -> Option<u32> {
    entry.get(offset..)?.first_chunk().copied().map(u32::from_le_bytes)
}

/// The rest of the table, cut into entries.
struct Entries<'table>(&'table [u8]);

impl<'table> Iterator for Entries<'table> {
    type Item = &'table [u8];

    fn next(&mut self) -> Option<&'table [u8]> {
        const HEADER: usize = 2;
        let length = usize::from(*self.0.get(1)?);
        if length < HEADER {
            return None;
        }
        let (entry, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    extern crate std;

    fn table(entries: &[&[u8]]) -> Vec<u8> {
        [&[0xff; ENTRIES], entries.concat().as_slice()].concat()
    }

    fn addresses(table: &[u8]) -> Vec<u32> {
        io_apics(table).collect()
    }

    const LOCAL_APIC: &[u8] = &[0, 8, 0, 0, 1, 0, 0, 0];
    const FIRST: &[u8] = &[1, 12, 0, 0, 0, 0, 0xc0, 0xfe, 0, 0, 0, 0];
    const SECOND: &[u8] = &[1, 12, 1, 0, 0, 0x10, 0xc0, 0xfe, 24, 0, 0, 0];

    #[test]
    fn io_apics_are_found_among_other_entries() {
        let table = table(&[LOCAL_APIC, FIRST, LOCAL_APIC, SECOND]);
        assert_eq!(addresses(&table), [0xfec0_0000, 0xfec0_1000]);
    }

    #[test]
    fn the_first_io_apic_has_interrupt_0() {
        assert_eq!(first_io_apic(&table(&[LOCAL_APIC, SECOND, FIRST])), Some(0xfec0_0000));
        assert_eq!(first_io_apic(&table(&[SECOND])), None);
        assert_eq!(first_io_apic(&table(&[&FIRST[..11]])), None);
    }

    #[test]
    fn the_timer_may_be_connected_elsewhere() {
        let timer = &[2, 10, 0, 0, 2, 0, 0, 0, 0, 0];
        let clock = &[2, 10, 0, 8, 8, 0, 0, 0, 0, 0];
        assert_eq!(timer_interrupt(&table(&[FIRST, clock, timer])), 2);
        assert_eq!(timer_interrupt(&table(&[FIRST, clock])), 0);
        assert_eq!(timer_interrupt(&table(&[&[2, 9, 0, 0, 2, 0, 0, 0, 0]])), 0);
        assert_eq!(timer_interrupt(&[]), 0);
    }

    #[test]
    fn an_entry_may_be_longer_than_this_version_knows() {
        let long = &[1, 14, 0, 0, 0, 0, 0xc0, 0xfe, 0, 0, 0, 0, 9, 9];
        assert_eq!(addresses(&table(&[long, SECOND])), [0xfec0_0000, 0xfec0_1000]);
    }

    #[test]
    fn an_io_apic_without_room_for_an_address_is_skipped() {
        assert_eq!(addresses(&table(&[&[1, 11, 0, 0, 0, 0, 0xc0, 0xfe, 0, 0, 0], SECOND])), [0xfec0_1000]);
        assert_eq!(addresses(&table(&[&[1, 2], SECOND])), [0xfec0_1000]);
    }

    #[test]
    fn an_entry_without_a_length_ends_the_table() {
        assert_eq!(addresses(&table(&[FIRST, &[5, 0], SECOND])), [0xfec0_0000]);
        assert_eq!(addresses(&table(&[FIRST, &[5, 1], SECOND])), [0xfec0_0000]);
    }

    #[test]
    fn an_entry_beyond_the_end_is_not_read() {
        let whole = table(&[FIRST, SECOND]);
        for length in 0..whole.len() {
            let found = addresses(&whole[..length]);
            assert_eq!(found.len(), usize::from(length >= ENTRIES + 12), "{length} bytes");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_to_an_end(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            prop_assert!(io_apics(&bytes).count() <= bytes.len() / IO_APIC_LENGTH);
            let _ = (first_io_apic(&bytes), timer_interrupt(&bytes));
        }

        #[test]
        fn entries_of_any_length_do_not_hide_the_next(lengths in prop::collection::vec(2_u8..=255, 0..20)) {
            let mut bytes = table(&[]);
            for length in lengths {
                bytes.extend([9, length]);
                bytes.resize(bytes.len() + usize::from(length) - 2, 1);
            }
            bytes.extend(FIRST);
            prop_assert_eq!(addresses(&bytes), [0xfec0_0000]);
        }
    }
}
