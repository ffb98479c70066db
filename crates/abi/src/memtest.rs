//! Memory tested in place: a block at the start of the image that does it, filled in by the
//! program.
//!
//! ```text
//! 0x0000  block: the fields below, the ranges, the pages that were left out, the wrong words, the
//!         bad pages
//! 0x7000  code and constants, entered at the first byte in 64-bit mode
//! 0xa000  variables and the stack, zero at first
//! 0xe000  what was in the page under test
//! 0xf000
//! ```

use crate::field::{Field, are_apart};

/// Offset of the code, which is also the entry point.
pub const ENTRY: usize = 0x7000;
/// Offset of the first byte that changes while it runs.
pub const VARIABLES: usize = 0xa000;
/// Offset of the contents of the page under test.
pub const KEPT: usize = 0xe000;
/// All of the image's memory.
pub const MEMORY: usize = 0xf000;

/// First word of a block.
pub const MAGIC_NUMBER: u64 = u64::from_le_bytes(*b"kjmpmemt");

/// [`MAGIC_NUMBER`].
pub const MAGIC: Field<u64> = Field::at(0x00);
/// How many ranges there are.
pub const RANGE_COUNT: Field<u64> = Field::at(0x08);
/// Ticks of the time stamp counter after which it returns; 0 for no end.
pub const BUDGET: Field<u64> = Field::at(0x10);
/// Patterns that are written, a bit each: [`pattern`].
pub const PATTERNS: Field<u64> = Field::at(0x18);
/// Seed of the random pattern.
pub const SEED: Field<u64> = Field::at(0x20);
/// 1: cache lines are flushed between writing and reading.
pub const FLUSH: Field<u64> = Field::at(0x28);
/// Address of a word of which a bit is inverted between writing and reading, 0 for none. It proves
/// that a wrong word is found.
pub const INJECT: Field<u64> = Field::at(0x30);
/// In and out: the range that it goes on with, and the first page in it that was not tested.
pub const POSITION_RANGE: Field<u64> = Field::at(0x38);
/// See [`POSITION_RANGE`].
pub const POSITION: Field<u64> = Field::at(0x40);
/// Out: pages that were tested by this call.
pub const TESTED: Field<u64> = Field::at(0x48);
/// In and out: pages that were left out, as they were in use by the test itself.
pub const LEFT_OUT_COUNT: Field<u64> = Field::at(0x50);
/// In and out: wrong words.
pub const WRONG_COUNT: Field<u64> = Field::at(0x58);
/// In and out: pages with wrong words.
pub const BAD_COUNT: Field<u64> = Field::at(0x60);
/// In and out: ticks that each pattern took.
pub const TIMES: usize = 0x68;

/// The ranges: first address, end.
pub const RANGES: usize = 0x200;
/// Most ranges.
pub const RANGES_MAX: usize = 64;
/// Addresses of the pages that were left out.
pub const LEFT_OUT: usize = 0x800;
/// Most pages that can be left out.
pub const LEFT_OUT_MAX: usize = 0x200;
/// The first wrong words.
pub const WRONGS: usize = 0x2000;
/// Most wrong words that are stored.
pub const WRONGS_MAX: usize = 128;
/// The first pages with wrong words, in the order of the test.
pub const BAD: usize = 0x3000;
/// Most pages with wrong words that are stored.
pub const BAD_MAX: usize = 1024;

/// Bits of [`PATTERNS`], by the number of the pattern.
pub mod pattern {
    /// All bits 0.
    pub const ZEROS: u32 = 0;
    /// All bits 1.
    pub const ONES: u32 = 1;
    /// 0x55 in each byte.
    pub const FIVES: u32 = 2;
    /// 0xaa in each byte.
    pub const TENS: u32 = 3;
    /// Each word its own address.
    pub const ADDRESS: u32 = 4;
    /// 0x55, inverted word by word upwards, then back downwards.
    pub const INVERSIONS: u32 = 5;
    /// Pseudo-random words.
    pub const RANDOM: u32 = 6;
    /// How many there are.
    pub const COUNT: u32 = 7;
}

/// A wrong word's fields.
pub mod wrong {
    use crate::field::Field;

    /// Bytes of an entry.
    pub const SIZE: usize = 32;
    /// Physical address.
    pub const ADDRESS: Field<u64> = Field::at(0);
    /// What was written.
    pub const WRITTEN: Field<u64> = Field::at(8);
    /// What was read.
    pub const READ: Field<u64> = Field::at(16);
    /// The pattern.
    pub const PATTERN: Field<u64> = Field::at(24);
}

/// A bad page's fields.
pub mod bad {
    use crate::field::Field;

    /// Bytes of an entry.
    pub const SIZE: usize = 16;
    /// Physical address.
    pub const ADDRESS: Field<u64> = Field::at(0);
    /// The bits that were wrong in any of its words.
    pub const BITS: Field<u64> = Field::at(8);
}

/// What it returns.
pub mod verdict {
    /// All ranges were tested.
    pub const DONE: u64 = 0;
    /// The budget is used up.
    pub const MORE: u64 = 1;
    /// The block is not valid.
    pub const SENSELESS: u64 = 2;
    /// More pages would have to be left out than there is room for.
    pub const TOO_MANY: u64 = 3;
}

const _: () = {
    let spans = [
        MAGIC.span(),
        RANGE_COUNT.span(),
        BUDGET.span(),
        PATTERNS.span(),
        SEED.span(),
        FLUSH.span(),
        INJECT.span(),
        POSITION_RANGE.span(),
        POSITION.span(),
        TESTED.span(),
        LEFT_OUT_COUNT.span(),
        WRONG_COUNT.span(),
        BAD_COUNT.span(),
        (TIMES, TIMES + pattern::COUNT as usize * 8),
        (RANGES, RANGES + RANGES_MAX * 16),
        (LEFT_OUT, LEFT_OUT + LEFT_OUT_MAX * 8),
        (WRONGS, WRONGS + WRONGS_MAX * wrong::SIZE),
        (BAD, BAD + BAD_MAX * bad::SIZE),
    ];
    assert!(are_apart(&spans, ENTRY));
    assert!(ENTRY < VARIABLES && VARIABLES < KEPT && KEPT + 0x1000 == MEMORY);
};
