//! Loads with invalid segments, fields, ranges and pointers.

use std::mem::offset_of;

use abi::device::{LOAD, Load, Range, Segment, load_flag, mode, reason};
use anyhow::{Context as _, Result, ensure};
use kimage::Error;
use rustix::io::Errno;

use super::{Answer, END, GOOD, Tester};
use crate::raw::bytes;

/// The reasons of `kimage`.
const UNALIGNED: u64 = number(&Error::Unaligned { segment: 0, mem: 0, memsz: 0 });
const BUFFER_TOO_LONG: u64 = number(&Error::BufferTooLong { segment: 0, bufsz: 0, memsz: 0 });
const TOO_HIGH: u64 = number(&Error::TooHigh { segment: 0, mem: 0, memsz: 0 });
const NOT_ALLOWED: u64 = number(&Error::NotAllowed { segment: 0, mem: 0, memsz: 0, address: 0 });
const OVERLAP: u64 = number(&Error::Overlap { segments: [0; 2], start: 0, end: 0 });
const ENTRY_OUTSIDE: u64 = number(&Error::EntryOutside { entry: 0 });
const NOT_CANONICAL: u64 = number(&Error::NotCanonical { virt: 0, bytes: 0, levels: 0 });

const fn number(error: &Error) -> u64 {
    error.reason() as u64
}

/// A load and the expected answer.
pub(super) struct Attempt {
    pub(super) what: &'static str,
    pub(super) segments: Vec<Segment>,
    pub(super) vouched: Vec<Range>,
    pub(super) load: Load,
    pub(super) expected: Answer,
}

impl Tester {
    pub(super) fn good(&self) -> Attempt {
        let load = Load {
            size: size_of::<Load>() as u64,
            entry: GOOD,
            mode: mode::LONG,
            flags: load_flag::CLAIM,
            ..Load::default()
        };
        let segments = vec![Segment { buf: self.arena.buffer(), bufsz: 0, mem: GOOD, memsz: 0x1000 }];
        Attempt { what: "good", segments, vouched: Vec::new(), load, expected: Ok(()) }
    }

    pub(super) fn loads(&mut self) -> Result<()> {
        for attempt in self.bad_segments().into_iter().chain(self.bad_fields()).chain(self.bad_ranges()) {
            self.attempt(&attempt)?;
        }
        self.bad_pointers()?;
        self.answer_that_cannot_be_given()?;
        let good = self.good();
        self.attempt(&good)
    }

    /// Segments and ranges are in the arena, one after the other.
    pub(super) fn attempt(&mut self, attempt: &Attempt) -> Result<()> {
        let mut load = attempt.load;
        if load.segments == 0 {
            load.segments = self.arena.buffer();
            load.segment_count = attempt.segments.len() as u64;
        }
        if load.vouched == 0 {
            load.vouched = load.segments + 32 * load.segment_count;
            load.vouched_count = attempt.vouched.len() as u64;
        }
        let segments = attempt.segments.iter().flat_map(bytes);
        self.arena.put(&segments.chain(attempt.vouched.iter().flat_map(bytes)).collect::<Vec<u8>>());
        self.expect(attempt.what, LOAD, &load, offset_of!(Load, diagnosis), attempt.expected)?;
        if attempt.expected.is_ok() {
            self.device.unload().with_context(|| format!("{}: not loaded", attempt.what))?;
        }
        Ok(())
    }

    fn with_segment(
        &self,
        what: &'static str,
        change: impl FnOnce(&mut Segment),
        expected: Answer,
    ) -> Attempt {
        let mut attempt = Attempt { what, expected, ..self.good() };
        change(&mut attempt.segments[0]);
        attempt
    }

    fn bad_segments(&self) -> Vec<Attempt> {
        let not_available = |reason| Err((Errno::ADDRNOTAVAIL, reason));
        let end_of_ram = |segment: &mut Segment| (segment.mem, segment.memsz) = (1 << 20, 1 << 51);
        let overlap = |mem, memsz| {
            let mut attempt =
                Attempt { what: "overlap", expected: Err((Errno::INVAL, OVERLAP)), ..self.good() };
            attempt.segments.insert(0, Segment { mem, memsz, ..Segment::default() });
            attempt
        };
        vec![
            self.with_segment("mem unaligned", |segment| segment.mem += 8, not_available(UNALIGNED)),
            self.with_segment("memsz unaligned", |segment| segment.memsz += 1, not_available(UNALIGNED)),
            self.with_segment(
                "bufsz > memsz",
                |segment| segment.bufsz = 0x1001,
                Err((Errno::INVAL, BUFFER_TOO_LONG)),
            ),
            self.with_segment(
                "bufsz huge",
                |segment| segment.bufsz = u64::MAX,
                Err((Errno::INVAL, BUFFER_TOO_LONG)),
            ),
            self.with_segment("video memory", |segment| segment.mem = 0xa_0000, not_available(NOT_ALLOWED)),
            self.with_segment("local APIC", |segment| segment.mem = 0xfee0_0000, not_available(NOT_ALLOWED)),
            self.with_segment(
                "beyond all memory",
                |segment| segment.mem = 1 << 45,
                not_available(NOT_ALLOWED),
            ),
            self.with_segment("partly beyond", end_of_ram, not_available(NOT_ALLOWED)),
            self.with_segment("too high", |segment| segment.mem = END, not_available(TOO_HIGH)),
            self.with_segment(
                "end too high",
                |segment| (segment.mem, segment.memsz) = (END - 0x1000, 0x2000),
                not_available(TOO_HIGH),
            ),
            self.with_segment(
                "wraps",
                |segment| (segment.mem, segment.memsz) = (u64::MAX - 0xfff, 0x2000),
                not_available(TOO_HIGH),
            ),
            self.with_segment(
                "wraps to itself",
                |segment| segment.memsz = u64::MAX - 0xfff,
                not_available(TOO_HIGH),
            ),
            self.with_segment("nothing", |segment| segment.memsz = 0, not_available(ENTRY_OUTSIDE)),
            overlap(GOOD, 0x1000),
            overlap(GOOD - 0x1000, 0x2000),
            overlap(GOOD - 0x1000, 0x10_0000),
        ]
    }

    fn with_load(&self, what: &'static str, change: impl FnOnce(&mut Load), expected: Answer) -> Attempt {
        let mut attempt = Attempt { what, expected, ..self.good() };
        change(&mut attempt.load);
        attempt
    }

    fn bad_fields(&self) -> Vec<Attempt> {
        let bad_field = Err((Errno::INVAL, reason::BAD_FIELD));
        let outside = Err((Errno::ADDRNOTAVAIL, ENTRY_OUTSIDE));
        let segments = |count| move |load: &mut Load| (load.segments, load.segment_count) = (1, count);
        let bad_pointer = Err((Errno::FAULT, reason::BAD_POINTER));
        let entry_too_high = Err((Errno::ADDRNOTAVAIL, reason::ENTRY_TOO_HIGH));
        vec![
            self.with_load("unknown flag", |load| load.flags |= 1 << 40, bad_field),
            self.with_load(
                "guarded from nowhere",
                |load| load.flags = load_flag::GUARDED_FROM_THERE,
                bad_field,
            ),
            self.with_load(
                "guarded in 32-bit mode",
                |load| (load.flags, load.mode) = (load_flag::GUARD, mode::PROTECTED),
                bad_field,
            ),
            self.with_load("all flags", |load| load.flags = u64::MAX, bad_field),
            self.with_load("mode 0", |load| load.mode = 0, bad_field),
            self.with_load("mode 16", |load| load.mode = 16, bad_field),
            self.with_load("mode 64 and more", |load| load.mode |= 1 << 32, bad_field),
            self.with_load("entry after the end", |load| load.entry = GOOD + 0x1000, outside),
            self.with_load("entry nowhere", |load| load.entry = u64::MAX, outside),
            self.with_load(
                "32-bit entry high",
                |load| (load.mode, load.entry) = (mode::PROTECTED, 1 << 32),
                entry_too_high,
            ),
            self.with_load("maximum segment count", segments(u64::MAX), bad_field),
            self.with_load("segment count whose size wraps", segments(1 << 59), bad_field),
            self.with_load("many segments nowhere", segments(100_000), bad_pointer),
            self.with_load(
                "maximum range count",
                |load| (load.vouched, load.vouched_count) = (1, u64::MAX),
                bad_field,
            ),
            self.with_load(
                "many ranges nowhere",
                |load| (load.vouched, load.vouched_count) = (1, 100_000),
                bad_pointer,
            ),
        ]
    }

    fn with_range(&self, what: &'static str, start: u64, end: u64, expected: Answer) -> Attempt {
        Attempt { what, vouched: vec![Range { start, end }], expected, ..self.good() }
    }

    fn bad_ranges(&self) -> Vec<Attempt> {
        let ram = Err((Errno::ADDRNOTAVAIL, reason::VOUCHED_RAM));
        let bad = Err((Errno::ADDRNOTAVAIL, reason::BAD_VOUCHED));
        vec![
            self.with_range("vouched RAM", GOOD, GOOD + 0x1000, ram),
            self.with_range("vouched everything", 0, END, ram),
            self.with_range("vouched the maximum", 0, u64::MAX, ram),
            self.with_range("vouched half pages", 0xb_0800, 0xb_1000, bad),
            self.with_range("vouched backwards", 0xb_2000, 0xb_1000, bad),
            self.with_range("vouched nothing", 0xb_2000, 0xb_2000, bad),
            self.with_range("vouched too high", END, END + 0x1000, bad),
            self.with_range("vouched video memory", 0xb_0000, 0xc_0000, Ok(())),
            self.with_range("vouched an unmappable range", END - 0x1000, END, self.unmappable()),
        ]
    }

    /// Kernels with five levels of page tables can map this range, those with four cannot.
    fn unmappable(&self) -> Answer {
        let five = self.device.info().is_ok_and(|info| info.paging_levels == 5);
        if five { Ok(()) } else { Err((Errno::ADDRNOTAVAIL, NOT_CANONICAL)) }
    }

    /// Source bytes at unmapped addresses, or that end in one: the diagnosis has the address.
    fn bad_pointers(&mut self) -> Result<()> {
        let hole = self.arena.hole();
        for (buf, bufsz, bad) in [
            (0, 1, 0),
            (hole, 0x1000, hole),
            (hole - 16, 32, hole - 16),
            (hole - 0x1000, 0x3000, hole),
            (1 << 63, 0x3000, 1 << 63),
            (0xffff_8880_0000_0000, 8, 0xffff_8880_0000_0000),
            (u64::MAX - 7, 0x3000, u64::MAX - 7),
        ] {
            let mut attempt = self.good();
            let first = Segment { mem: GOOD + 0x10_0000, memsz: 0x10_0000, ..Segment::default() };
            attempt.segments = vec![first, Segment { buf, bufsz, mem: GOOD, memsz: 0x10_0000 }];
            attempt.expected = Err((Errno::FAULT, reason::BAD_POINTER));
            attempt.what = "bad pointer";
            self.attempt(&attempt).with_context(|| format!("{buf:#x}, {bufsz:#x} bytes, {bad:#x} is bad"))?;
        }
        Ok(())
    }

    /// If the answer cannot be written, the caller would not know of the image: nothing is loaded.
    fn answer_that_cannot_be_given(&mut self) -> Result<()> {
        let good = self.good();
        let load = Load { segments: self.arena.buffer(), segment_count: 1, ..good.load };
        self.arena.put(&bytes(&good.segments[0]));
        let (result, _) = self.ask(LOAD, &bytes(&load), true, true);
        ensure!(result == Err(Errno::FAULT), "a load that cannot be answered: {result:?}");
        let unloaded = self.device.unload();
        ensure!(unloaded.is_err(), "a load that could not be answered left an image");
        Ok(())
    }
}
