//! A disk that is run in place of calls ([`flag::RUN_DISK`](super::flag::RUN_DISK)): the fields of
//! the block from [`CALLS`] on.
//!
//! The bytes of the disk lie anywhere in memory. So does the room for what was in base memory,
//! which the program on the disk has for itself, but for the two pages of the stub at its top.

use super::{CALLS, ENTRY};
use crate::field::{Field, are_apart};

/// Address of [`BASE_MEMORY`] bytes, where base memory is kept meanwhile.
pub const KEPT: Field<u64> = Field::at(CALLS);
/// Address of the disk's bytes.
pub const CONTENTS: Field<u64> = Field::at(CALLS + 0x08);
/// Sectors of the disk.
pub const SECTORS: Field<u64> = Field::at(CALLS + 0x10);
/// First address after the memory above 1 MiB that the program has, 1 MiB if it has none.
pub const MEMORY_END: Field<u64> = Field::at(CALLS + 0x18);
/// Address of the stub, a multiple of 4 KiB: the end of the base memory that the program has.
pub const STUB: Field<u32> = Field::at(CALLS + 0x20);
/// Ticks of IRQ 0 (18.2 a second) after which the program is ended, 0 for never.
pub const DEADLINE: Field<u32> = Field::at(CALLS + 0x24);
/// Cylinders.
pub const CYLINDERS: Field<u32> = Field::at(CALLS + 0x28);
/// Heads.
pub const HEADS: Field<u16> = Field::at(CALLS + 0x2c);
/// Sectors of a track.
pub const TRACK: Field<u16> = Field::at(CALLS + 0x2e);
/// The BIOS's number of the disk: 0 for a floppy disk, 0x80 for a hard disk.
pub const DRIVE: Field<u8> = Field::at(CALLS + 0x30);
/// The type of a floppy disk drive, as INT 13h 08h returns it.
pub const FLOPPY_TYPE: Field<u8> = Field::at(CALLS + 0x31);
/// How many ranges the memory map has.
pub const RANGE_COUNT: Field<u16> = Field::at(CALLS + 0x32);

/// Out: where the program was ended, as offset and segment.
pub const WHERE: Field<u32> = Field::at(CALLS + 0x34);
/// Out: calls of INT 13h.
pub const REQUESTS: Field<u32> = Field::at(CALLS + 0x38);
/// Out: those of them that failed.
pub const FAILED: Field<u32> = Field::at(CALLS + 0x3c);
/// Out: sectors that were read.
pub const READ: Field<u64> = Field::at(CALLS + 0x40);
/// Out: sectors that were written.
pub const WRITTEN: Field<u64> = Field::at(CALLS + 0x48);

/// The ranges of the memory map that the program gets, one after the other.
pub const RANGES: usize = CALLS + 0x50;
/// Bytes of a range, in the layout of INT 15h E820h (ACPI specification, 15.1): start, length,
/// type.
pub const RANGE_SIZE: usize = 20;
/// Most ranges.
pub const RANGES_MAX: usize = (ENTRY - RANGES) / RANGE_SIZE;

/// Bytes of base memory, from address 0 on.
pub const BASE_MEMORY: usize = 0xa_0000;
/// Bytes of the stub, with its fields.
pub const STUB_SIZE: usize = 0x2000;
/// Bytes of a sector.
pub const SECTOR: u16 = 512;

const _: () = {
    let spans = [
        KEPT.span(),
        CONTENTS.span(),
        SECTORS.span(),
        MEMORY_END.span(),
        STUB.span(),
        DEADLINE.span(),
        CYLINDERS.span(),
        HEADS.span(),
        TRACK.span(),
        DRIVE.span(),
        FLOPPY_TYPE.span(),
        RANGE_COUNT.span(),
        WHERE.span(),
        REQUESTS.span(),
        FAILED.span(),
        READ.span(),
        WRITTEN.span(),
        (RANGES, RANGES + RANGES_MAX * RANGE_SIZE),
    ];
    assert!(are_apart(&spans, ENTRY) && KEPT.offset() == CALLS);
};
