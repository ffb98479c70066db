//! The headers of multiboot kernels, and how they are loaded: specifications 0.6.96 and 2.0,
//! section 3.1.

mod load;

use abi::Field;

pub use load::{Kernel, load};

/// A version of the specification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Multiboot {
    /// Version 1, the magic of which is 0x1badb002.
    One,
    /// Version 2, the magic of which is 0xe85250d6.
    Two,
}

/// A header in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Its version.
    pub version: Multiboot,
    /// Its offset in the file.
    pub offset: usize,
    /// Version 1: its flags. Version 2: the architecture, 0 for x86.
    pub word: u32,
    /// Its size in bytes with tags or address fields, all of them in the file.
    pub size: usize,
}

const MAGIC: Field<u32> = Field::at(0);
const SECOND: Field<u32> = Field::at(4);
const THIRD: Field<u32> = Field::at(8);
const FOURTH: Field<u32> = Field::at(12);

const MAGIC_1: u32 = 0x1bad_b002;
/// The header of version 1 lies within this number of bytes.
const REACH_1: usize = 8192;
const ALIGN_1: usize = 4;
/// Bit of the flags: there are address fields.
const HAS_ADDRESSES: u32 = 1 << 16;
/// Bit of the flags: there are video fields, after the address fields.
const HAS_VIDEO: u32 = 1 << 2;

const MAGIC_2: u32 = 0xe852_50d6;
const REACH_2: usize = 32768;
const ALIGN_2: usize = 8;
const LEAST_2: usize = 16;

/// The multiboot header of a file. Version 2 is preferred if it has both.
#[must_use]
pub fn find(file: &[u8]) -> Option<Header> {
    find_version(file, Multiboot::Two).or_else(|| find_version(file, Multiboot::One))
}

/// The header of this version.
#[must_use]
pub fn find_version(file: &[u8], version: Multiboot) -> Option<Header> {
    match version {
        Multiboot::One => search(file, REACH_1, ALIGN_1, first),
        Multiboot::Two => search(file, REACH_2, ALIGN_2, second),
    }
}

/// The first valid header within reach.
fn search(
    file: &[u8],
    reach: usize,
    align: usize,
    parse: fn(&[u8]) -> Option<(u32, usize)>,
) -> Option<Header> {
    let version = if align == ALIGN_2 { Multiboot::Two } else { Multiboot::One };
    let within = file.get(..reach).unwrap_or(file);
    (0..within.len()).step_by(align).find_map(|offset| {
        let (word, size) = parse(within.get(offset..)?)?;
        Some(Header { version, offset, word, size })
    })
}

fn first(header: &[u8]) -> Option<(u32, usize)> {
    let (magic, flags, checksum) = (MAGIC.read(header)?, SECOND.read(header)?, THIRD.read(header)?);
    let size = match (flags & HAS_VIDEO != 0, flags & HAS_ADDRESSES != 0) {
        (true, _) => 48,
        (false, true) => 32,
        (false, false) => 12,
    };
    let sum = magic.wrapping_add(flags).wrapping_add(checksum);
    (magic == MAGIC_1 && sum == 0 && size <= header.len()).then_some((flags, size))
}

fn second(header: &[u8]) -> Option<(u32, usize)> {
    let (magic, architecture) = (MAGIC.read(header)?, SECOND.read(header)?);
    let (size, checksum) = (THIRD.read(header)?, FOURTH.read(header)?);
    let sum = magic.wrapping_add(architecture).wrapping_add(size).wrapping_add(checksum);
    let size = size as usize;
    (magic == MAGIC_2 && sum == 0 && (LEAST_2..=header.len()).contains(&size)).then_some((architecture, size))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    fn header_1(flags: u32, size: usize) -> Vec<u8> {
        let mut header = words(&[MAGIC_1, flags, 0_u32.wrapping_sub(MAGIC_1.wrapping_add(flags))]);
        header.resize(size, 0);
        header
    }

    fn header_2(size: u32) -> Vec<u8> {
        let mut header = words(&[MAGIC_2, 0, size, 0_u32.wrapping_sub(MAGIC_2.wrapping_add(size))]);
        header.resize(size.max(16) as usize, 0);
        header
    }

    fn at(offset: usize, header: &[u8]) -> Vec<u8> {
        [vec![0; offset], header.to_vec()].concat()
    }

    #[test]
    fn a_header_is_found_where_it_may_be() {
        let found = find(&at(0x104, &header_1(3, 12))).unwrap();
        assert_eq!(found, Header { version: Multiboot::One, offset: 0x104, word: 3, size: 12 });
        let found = find(&at(32768 - 24, &header_2(24))).unwrap();
        assert_eq!(found, Header { version: Multiboot::Two, offset: 32744, word: 0, size: 24 });
        let both = [at(0, &header_1(0, 16)), header_2(16)].concat();
        assert_eq!(find(&both).unwrap().version, Multiboot::Two);
        for version in [Multiboot::One, Multiboot::Two] {
            assert_eq!(find_version(&both, version).unwrap().version, version);
        }
    }

    #[test]
    fn a_header_too_far_from_the_start_or_misaligned_is_ignored() {
        assert_eq!(find(&at(8192 - 8, &header_1(0, 12))), None);
        assert_eq!(find(&at(8192, &header_1(0, 12))), None);
        assert_eq!(find(&at(32768 - 16, &header_2(24))), None);
        assert_eq!(find(&at(2, &header_1(0, 12))), None);
        assert_eq!(find(&at(4, &header_2(16))), None);
    }

    #[test]
    fn a_header_with_a_wrong_checksum_or_truncated_is_ignored() {
        let mut wrong = header_1(0, 12);
        wrong[8] ^= 1;
        assert_eq!(find(&wrong), None);
        assert_eq!(find(&header_1(HAS_ADDRESSES, 31)), None);
        assert_eq!(find(&header_1(HAS_ADDRESSES, 32)).unwrap().size, 32);
        assert_eq!(find(&header_1(HAS_ADDRESSES | HAS_VIDEO, 32)), None);
        assert_eq!(find(&header_2(24)[..20]), None);
        assert_eq!(find(&header_2(8)), None);
    }
}
