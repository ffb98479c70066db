use crate::digest::{self, Digest, PAGE, Schedule};
use crate::{Block, Region};

/// The part of a load that has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// Some byte that the digest is over.
    Digest {
        /// The expected digest.
        loaded: [u8; 32],
        /// The computed digest.
        found: [u8; 32],
    },
    /// A byte that was zero.
    NotZero {
        /// Where it is sought.
        region: Region,
    },
}

/// Checks all regions of a block; `memory` returns a number of bytes at an address.
///
/// # Errors
/// [`Damage`].
pub fn verify<'m>(block: &Block<'_>, memory: impl Fn(u64, u64) -> &'m [u8]) -> Result<(), Damage> {
    let found = digest(block, &memory);
    if found != *block.digest() {
        return Err(Damage::Digest { loaded: *block.digest(), found });
    }
    let is_clean =
        |region: &Region| digest::is_zero(memory(region.start.wrapping_add(region.bytes), region.zeros));
    match block.regions().find(|region| !is_clean(region)) {
        None => Ok(()),
        Some(region) => Err(Damage::NotZero { region }),
    }
}

/// The digest over what a block describes, as it is now.
fn digest<'m>(block: &Block<'_>, memory: impl Fn(u64, u64) -> &'m [u8]) -> [u8; 32] {
    let schedule = Schedule::new(block.key());
    let mut digest = Digest::new();
    block.description().into_iter().for_each(|part| digest.describe(part));
    for region in block.regions() {
        for page in memory(region.start, region.bytes).chunks(PAGE) {
            digest.tags(&[schedule.tag(page)]);
        }
    }
    digest.finish()
}

#[cfg(test)]
#[allow(clippy::cast_possible_truncation, reason = "the host has 64 bits")]
mod tests {
    use super::*;
    use abi::purgatory::{DIGEST, ENTRY, KEY, MAGIC, MAGIC_NUMBER, PAUSE, REGION_COUNT, REGIONS, region};
    use proptest::prelude::*;

    /// A block over regions of this memory, sealed as a tool does.
    fn sealed(memory: &[u8], regions: &[(u64, u64, u64)]) -> [u8; ENTRY] {
        let mut bytes = [0; ENTRY];
        assert!(MAGIC.write(&mut bytes, MAGIC_NUMBER));
        assert!(REGION_COUNT.write(&mut bytes, regions.len() as u64));
        bytes[KEY..KEY + 32].copy_from_slice(&[0x5a; 32]);
        for (entry, &(start, count, zeros)) in bytes[REGIONS..].chunks_mut(region::SIZE).zip(regions) {
            assert!(region::START.write(entry, start));
            assert!(region::BYTES.write(entry, count));
            assert!(region::ZEROS.write(entry, zeros));
        }
        let digest = digest(&Block::new(&bytes).unwrap(), |start, size| at(memory, start, size));
        bytes[DIGEST..DIGEST + 32].copy_from_slice(&digest);
        bytes
    }

    fn at(memory: &[u8], start: u64, size: u64) -> &[u8] {
        &memory[start as usize..][..size as usize]
    }

    fn check(block: &[u8; ENTRY], memory: &[u8]) -> Result<(), Damage> {
        verify(&Block::new(block).unwrap(), |start, size| at(memory, start, size))
    }

    const REGIONS_HERE: [(u64, u64, u64); 3] = [(0, 5000, 3192), (9000, 4096, 0), (14_000, 1, 0)];

    fn memory() -> Vec<u8> {
        let mut memory: Vec<u8> = (0..14_001_u32).map(|number| (number % 253) as u8).collect();
        memory[5000..8192].fill(0);
        memory
    }

    #[test]
    fn memory_as_it_was_loaded_is_passed() {
        let memory = memory();
        assert_eq!(check(&sealed(&memory, &REGIONS_HERE), &memory), Ok(()));
    }

    #[test]
    fn bytes_are_no_block_without_the_word_or_with_too_many_regions() {
        let good = sealed(&memory(), &REGIONS_HERE);
        for (offset, byte) in [(0, 0), (REGION_COUNT.offset() + 1, 1), (REGION_COUNT.offset() + 7, 1)] {
            let mut bytes = good;
            bytes[offset] = byte;
            assert!(Block::new(&bytes).is_none());
        }
    }

    #[test]
    fn what_is_told_besides_the_bytes_is_checked_too() {
        let memory = memory();
        let mut block = sealed(&memory, &REGIONS_HERE);
        assert!(PAUSE.write(&mut block, 1));
        assert!(matches!(check(&block, &memory), Err(Damage::Digest { .. })));
    }

    proptest! {
        #[test]
        fn one_changed_bit_anywhere_is_found(place: prop::sample::Index, bit in 0..8_u8) {
            let mut memory = memory();
            let block = sealed(&memory, &REGIONS_HERE);
            let covered: Vec<usize> = (0..8192).chain(9000..13_096).chain([14_000]).collect();
            let place = covered[place.index(covered.len())];
            memory[place] ^= 1 << bit;
            let damage = check(&block, &memory).unwrap_err();
            prop_assert_eq!(matches!(damage, Damage::NotZero { .. }), (5000..8192).contains(&place));
        }
    }
}
