//! The program on a disk: the memory that it is given, the block that runs it, and how it ended.

use abi::bios::disk::{self as field, RANGE_SIZE, RANGES, RANGES_MAX, STUB_SIZE};
use abi::bios::{ENTRY, flag, why};
use abi::{Field, Number};

use crate::block::{self, Results};
use crate::disk::Disk;
use crate::e820::Range;
use crate::need::{Facts, Level, Setup};

/// First address of memory above base memory and ROMs.
pub const MIB: u64 = 1 << 20;
const BASE_MEMORY_END: u64 = field::BASE_MEMORY as u64;
/// RAM, and memory that is reserved, in the memory map.
const RAM: u32 = 1;
const RESERVED: u32 = 2;
/// What the 8259s let through: the clock, the keyboard, the second 8259, the real-time clock, the
/// mouse. Disks and other devices are the kernel's.
const OPEN: u16 = 1 << 0 | 1 << 1 | 1 << 2 | 1 << 8 | 1 << 12;

/// Why a machine has no memory for a program.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Lack {
    /// No map.
    #[error("the kernel does not show the firmware's memory map in /sys/firmware/memmap")]
    Map,
    /// Base memory.
    #[error("the firmware's memory map has {0} KiB of base memory, and a program needs at least 128 KiB")]
    Base(u64),
    /// The map.
    #[error("the firmware's memory map has {0} ranges, and there is room for {RANGES_MAX}")]
    Ranges(usize),
}

/// The memory of a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Memory {
    /// The end of base memory that it has.
    pub base_end: u64,
    /// First address after what it has above 1 MiB; that if it has none.
    pub end: u64,
    /// The map that it gets.
    pub ranges: Vec<Range>,
}

impl Memory {
    /// By the firmware's map, sorted by address. RAM from 1 MiB up to `end` is the program's.
    ///
    /// # Errors
    /// Every [`Lack`].
    pub fn new(firmware: &[Range], end: u64) -> Result<Self, Lack> {
        if firmware.is_empty() {
            return Err(Lack::Map);
        }
        let base = firmware.iter().find(|range| range.start == 0 && range.kind == RAM);
        let base = base.map_or(0, |range| range.length).min(BASE_MEMORY_END);
        let base_end = base.saturating_sub(STUB_SIZE as u64) & !0xfff;
        if base_end < 128 << 10 {
            return Err(Lack::Base(base / 1024));
        }
        let mut ranges = vec![
            Range { start: 0, length: base_end, kind: RAM },
            Range { start: base_end, length: BASE_MEMORY_END - base_end, kind: RESERVED },
        ];
        for range in firmware.iter().filter(|range| range.start >= BASE_MEMORY_END) {
            ranges.extend(split(*range, end));
        }
        if ranges.len() > RANGES_MAX {
            return Err(Lack::Ranges(ranges.len()));
        }
        Ok(Self { base_end, end, ranges })
    }
}

/// A range as the program gets it: its own memory, and the rest reserved.
fn split(range: Range, end: u64) -> impl Iterator<Item = Range> {
    let after = range.start.saturating_add(range.length);
    let middle = if range.kind == RAM { end.clamp(range.start, after) } else { range.start };
    let rest = if range.kind == RAM { RESERVED } else { range.kind };
    let parts = [(range.start, middle, RAM), (middle, after, rest)];
    parts.into_iter().filter(|(start, end, _)| start < end).map(|(start, end, kind)| Range {
        start,
        length: end - start,
        kind,
    })
}

/// A program to run.
#[derive(Clone, Copy, Debug)]
pub struct Program<'a> {
    /// The disk.
    pub disk: &'a Disk,
    /// Its memory.
    pub memory: &'a Memory,
    /// Address of the place where base memory is kept.
    pub kept: u64,
    /// Address of the disk's bytes.
    pub contents: u64,
    /// Milliseconds after which it is ended, 0 for never.
    pub deadline: u64,
}

/// The block that runs it.
#[must_use]
pub fn render(facts: &Facts, program: &Program<'_>) -> Vec<u8> {
    let Facts { hpet, io_apic, vectors, .. } = *facts;
    let flags = flag::RUN_DISK | flag::KEEP_UPPER | flag::KEEP_CLOCK;
    let setup = Setup { flags, hpet, io_apic, vectors, mask: !OPEN }.at(Level::Suspend);
    let mut bytes = block::render(&setup, &[], 0);
    let Program { disk, memory, .. } = *program;
    put(&mut bytes, field::KEPT, program.kept);
    put(&mut bytes, field::CONTENTS, program.contents);
    put(&mut bytes, field::SECTORS, disk.sectors);
    put(&mut bytes, field::MEMORY_END, memory.end);
    put(&mut bytes, field::STUB, u32::try_from(memory.base_end).unwrap_or(0));
    put(&mut bytes, field::DEADLINE, ticks(program.deadline));
    put(&mut bytes, field::CYLINDERS, disk.cylinders);
    put(&mut bytes, field::HEADS, disk.heads);
    put(&mut bytes, field::TRACK, disk.track);
    put(&mut bytes, field::DRIVE, disk.drive());
    put(&mut bytes, field::FLOPPY_TYPE, disk.floppy_type);
    put(&mut bytes, field::RANGE_COUNT, u16::try_from(memory.ranges.len()).unwrap_or(0));
    for (range, at) in memory.ranges.iter().zip((RANGES..ENTRY).step_by(RANGE_SIZE)) {
        put(&mut bytes, Field::at(at), range.start);
        put(&mut bytes, Field::at(at + 8), range.length);
        put(&mut bytes, Field::at(at + 16), range.kind);
    }
    bytes
}

/// Ticks of 54.9 ms, rounded up: 65536 / 1193182 s each; 0 for no deadline.
fn ticks(milliseconds: u64) -> u32 {
    let ticks = milliseconds.saturating_mul(1_193_182).div_ceil(65_536 * 1000);
    u32::try_from(ticks).unwrap_or(u32::MAX)
}

/// The block is whole.
fn put<T: Number>(bytes: &mut [u8], field: Field<T>, value: T) {
    let is_inside = field.write(bytes, value);
    debug_assert!(is_inside);
}

/// How a program ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Of the calls that it stands in the place of.
    pub results: Results,
    /// Where it was.
    pub place: u32,
    /// Calls of INT 13h.
    pub requests: u32,
    /// Those that failed.
    pub failed: u32,
    /// Sectors that were read.
    pub read: u64,
    /// Sectors that were written.
    pub written: u64,
}

impl Ended {
    /// Reads a block; `None` if the bytes are not all of one.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Option<Self> {
        Some(Self {
            results: Results::read(bytes)?,
            place: field::WHERE.read(bytes)?,
            requests: field::REQUESTS.read(bytes)?,
            failed: field::FAILED.read(bytes)?,
            read: field::READ.read(bytes)?,
            written: field::WRITTEN.read(bytes)?,
        })
    }

    /// How it ended, in a word, if it was started.
    #[must_use]
    pub const fn end(&self) -> Option<End> {
        Some(match self.results.why {
            why::INT_19 => End::Int19,
            why::INT_18 => End::Int18,
            why::KEYS => End::Keys,
            why::RESTART => End::Restart,
            why::DEADLINE => End::Deadline,
            code if code & why::EXCEPTION != 0 && code < why::DEADLINE => End::Exception,
            _ => return None,
        })
    }
}

/// The ways to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// INT 19h: it is done.
    Int19,
    /// INT 18h: it could not do its work.
    Int18,
    /// Ctrl-Alt-Del.
    Keys,
    /// It restarted the CPU.
    Restart,
    /// The deadline.
    Deadline,
    /// An exception.
    Exception,
}

impl End {
    /// The name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Int19 => "INT 19h",
            Self::Int18 => "INT 18h",
            Self::Keys => "Ctrl-Alt-Del",
            Self::Restart => "restart",
            Self::Deadline => "deadline",
            Self::Exception => "exception",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::Kind;
    use proptest::prelude::*;

    fn range(start: u64, end: u64, kind: u32) -> Range {
        Range { start, length: end - start, kind }
    }

    fn firmware() -> Vec<Range> {
        vec![
            range(0, 0x9_fc00, 1),
            range(0x9_fc00, 0xa_0000, 2),
            range(0xf_0000, 0x10_0000, 2),
            range(0x10_0000, 0x1ffe_0000, 1),
            range(0x1ffe_0000, 0x2000_0000, 3),
        ]
    }

    #[test]
    fn the_kernels_memory_is_reserved() {
        let memory = Memory::new(&firmware(), 16 << 20).unwrap();
        assert_eq!(memory.base_end, 0x9_d000);
        assert_eq!(
            memory.ranges,
            [
                range(0, 0x9_d000, 1),
                range(0x9_d000, 0xa_0000, 2),
                range(0xf_0000, 0x10_0000, 2),
                range(0x10_0000, 0x100_0000, 1),
                range(0x100_0000, 0x1ffe_0000, 2),
                range(0x1ffe_0000, 0x2000_0000, 3),
            ]
        );
        assert_eq!(Memory::new(&firmware(), MIB).unwrap().ranges[3], range(0x10_0000, 0x1ffe_0000, 2));
    }

    #[test]
    fn a_map_without_base_memory_is_refused() {
        assert_eq!(Memory::new(&[], MIB), Err(Lack::Map));
        assert_eq!(Memory::new(&[range(0, 0x1_0000, 1)], MIB), Err(Lack::Base(64)));
        let many: Vec<Range> = [range(0, 0x9_fc00, 1)]
            .into_iter()
            .chain((0..400).map(|number| range(MIB + number * 0x2000, MIB + number * 0x2000 + 0x1000, 2)))
            .collect();
        assert_eq!(Memory::new(&many, MIB), Err(Lack::Ranges(402)));
    }

    #[test]
    fn the_block_has_what_the_image_reads() {
        let memory = Memory::new(&firmware(), 16 << 20).unwrap();
        let mut sector = vec![0; 512];
        sector[510..].copy_from_slice(&[0x55, 0xaa]);
        let disk = Disk::of(&sector, 1_474_560, Some(Kind::Floppy)).unwrap();
        let [kept, contents, deadline] = [0x300_0000, 0x30a_0000, 1000];
        let program = Program { disk: &disk, memory: &memory, kept, contents, deadline };
        let bytes = render(&Facts { io_apic: 0xfec0_0000, ..Facts::default() }, &program);
        assert_eq!(field::STUB.read(&bytes), Some(0x9_d000));
        assert_eq!((field::DEADLINE.read(&bytes), field::SECTORS.read(&bytes)), (Some(19), Some(2880)));
        assert_eq!(Field::<u64>::at(RANGES + 3 * RANGE_SIZE).read(&bytes), Some(MIB));
        let flags = abi::bios::FLAGS.read(&bytes).unwrap();
        assert!(flags & flag::RUN_DISK != 0 && flags & flag::MASK_IO_APIC != 0);
        let ended = Ended::read(&bytes).unwrap();
        assert_eq!((ended.end(), ended.read), (None, 0));
    }

    #[test]
    fn every_end_has_a_name() {
        let mut bytes = vec![0; ENTRY];
        for (code, name) in [
            (why::INT_19, "INT 19h"),
            (why::INT_18, "INT 18h"),
            (why::KEYS, "Ctrl-Alt-Del"),
            (why::RESTART, "restart"),
            (why::DEADLINE, "deadline"),
            (why::EXCEPTION | 13, "exception"),
        ] {
            assert!(abi::bios::WHY.write(&mut bytes, code));
            assert_eq!(Ended::read(&bytes).unwrap().end().map(End::name), Some(name));
        }
        assert!(abi::bios::WHY.write(&mut bytes, why::NO_BIOS));
        assert_eq!(Ended::read(&bytes).unwrap().end(), None);
    }

    proptest! {
        #[test]
        fn any_map_is_split_or_refused(firmware in proptest::collection::vec(
            (any::<u64>(), any::<u64>(), 0_u32..9), 0..300), end: u64) {
            let firmware: Vec<Range> =
                firmware.into_iter().map(|(start, length, kind)| Range { start, length, kind }).collect();
            if let Ok(memory) = Memory::new(&firmware, end) {
                prop_assert!(memory.ranges.len() <= RANGES_MAX && memory.base_end <= BASE_MEMORY_END);
                let ram = memory.ranges.iter().filter(|range| range.kind == 1 && range.start > 0);
                for range in ram {
                    prop_assert!(range.start + (range.length - 1) < end);
                }
            }
        }
    }
}
