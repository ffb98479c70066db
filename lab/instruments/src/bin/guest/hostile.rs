//! Wrong requests: each is refused with the right errno and reason, and nothing happens.

use std::mem::offset_of;

use abi::device::{
    ATTACH, CALL, Call, Diagnosis, IMAGES, INFO, Info, KEEP, LOAD, List, Load, NOTE, Name, Note, RANGES,
    READ, Range, SLOTS, Segment, Transfer, UNLOAD, WRITE, load_flag, mode, quiesce, reason,
};
use anyhow::{Context as _, Result, ensure};
use rustix::io::Errno;
use sys::Device;

use crate::image::Plan;
use crate::memory::Before;
use crate::numbers::{Numbers, argument};
use crate::raw::{Arena, Request, bytes, diagnosis};

/// `kimage`'s reasons, by number.
const UNALIGNED: u64 = 1;
const BUFFER_TOO_LONG: u64 = 2;
const TOO_HIGH: u64 = 3;
const NOT_ALLOWED: u64 = 4;
const OVERLAP: u64 = 5;
const ENTRY_OUTSIDE: u64 = 6;
const NOT_CANONICAL: u64 = 12;

/// A device, memory to ask from, and how many requests were made.
struct Tester {
    device: Device,
    arena: Arena,
    made: u64,
}

/// `hostile`: all of them, twice, with nothing lost.
pub(crate) fn hostile(_: &[String]) -> Result<()> {
    let mut tester = Tester { device: Device::open()?, arena: Arena::new()?, made: 0 };
    let before = Before::now(&tester.device)?;
    for _ in 0..2 {
        tester.numbers()?;
        tester.sizes()?;
        tester.loads()?;
        tester.without_image()?;
        tester.with_image()?;
    }
    println!("{} requests, as they should be", tester.made);
    before.check(&tester.device, 64)
}

/// What is expected: an errno with a reason, or none.
type Answer = Result<(), (Errno, u64)>;

impl Tester {
    /// Numbers that are no request's.
    fn numbers(&mut self) -> Result<()> {
        for number in [12, 13, 255].map(|low| 0xb9 << 8 | low).into_iter().chain([
            0,
            0x5401,
            LOAD | 0xc008_0000,
            u32::MAX,
        ]) {
            self.made += 1;
            let result = self.arena.ask_at(&self.device, number, self.arena.buffer());
            ensure!(result == Err(Errno::NOTTY), "request {number:#x}: {result:?}");
        }
        Ok(())
    }

    /// Structures that are too short, too long, of the future, half or not at all there.
    fn sizes(&mut self) -> Result<()> {
        for (number, first, size) in STRUCTURES {
            self.sizes_of(number, first, size)
                .with_context(|| format!("request {number:#x} of {size} bytes"))?;
        }
        Ok(())
    }

    fn sizes_of(&mut self, number: u32, first: usize, size: usize) -> Result<()> {
        for (told, there, last, expected) in [
            (0, 64, 0, Err(Errno::INVAL)),
            (8, 64, 0, Err(Errno::INVAL)),
            (first - 8, size, 0, Err(Errno::INVAL)),
            (first - 1, size, 0, Err(Errno::INVAL)),
            (size + 8, size + 8, 1, Err(Errno::TOOBIG)),
            (4096, 4096, 1, Err(Errno::TOOBIG)),
            (4097, 4096, 0, Err(Errno::TOOBIG)),
            (usize::MAX, 4096, 0, Err(Errno::TOOBIG)),
            (size, size - 8, 0, Err(Errno::FAULT)),
            (4096, size, 0, Err(Errno::FAULT)),
        ] {
            let mut words = vec![0; there];
            words[..8].copy_from_slice(&(told as u64).to_le_bytes());
            words[there - 1] |= last;
            let (result, after) = self.ask(number, &words, true, false);
            ensure!(result == expected, "{told} bytes of {there}: {result:?} instead of {expected:?}");
            if expected == Err(Errno::TOOBIG) && number != INFO {
                let said = diagnosis(&after, first - size_of::<Diagnosis>());
                let numbers = [told, first, size, 0, 0].map(|number| number as u64);
                ensure!(said == Diagnosis { reason: reason::BAD_SIZE, numbers }, "{told} bytes: {said:x?}");
            }
        }
        for address in [0, 7, self.arena.hole(), 1 << 63, 0xffff_8880_0000_0000, u64::MAX - 7] {
            self.made += 1;
            let result = self.arena.ask_at(&self.device, number, address);
            ensure!(result == Err(Errno::FAULT), "at {address:#x}: {result:?}");
        }
        self.of_other_times(number, first, size)
    }

    /// Fewer bytes than the module knows, down to those of the first version, are as good as zeroes, and so are more:
    /// the answer is the same.
    fn of_other_times(&mut self, number: u32, first: usize, size: usize) -> Result<()> {
        let answers = [first, size, size + 8, 4096].map(|told| {
            let mut words = vec![0; told];
            words[..8].copy_from_slice(&(told as u64).to_le_bytes());
            let (result, after) = self.ask(number, &words, true, false);
            (result, after[8..first].to_vec())
        });
        ensure!(answers.iter().all(|answer| *answer == answers[0]), "zeroes matter: {answers:x?}");
        Ok(())
    }

    fn ask(
        &mut self,
        number: u32,
        bytes: &[u8],
        no_room: bool,
        read_only: bool,
    ) -> (Result<(), Errno>, Vec<u8>) {
        self.made += 1;
        self.arena.ask(&self.device, &Request { number, bytes, no_room, read_only })
    }

    /// Makes a request of a structure whose diagnosis is at this offset, and compares the answer.
    fn expect<T: Copy>(
        &mut self,
        what: &str,
        number: u32,
        structure: &T,
        offset: usize,
        expected: Answer,
    ) -> Result<Diagnosis> {
        let (result, after) = self.ask(number, &bytes(structure), true, false);
        let said = diagnosis(&after, offset);
        let answer = result.map_err(|errno| (errno, said.reason));
        ensure!(answer == expected, "{what}: {answer:?} instead of {expected:?}, {said:x?}");
        Ok(said)
    }
}

/// Every request that has a structure, and the size of that: in the first version, and now. The diagnosis ends the first.
const STRUCTURES: [(u32, usize, usize); 11] = [
    (INFO, Info::FIRST_SIZE as usize, size_of::<Info>()),
    (LOAD, size_of::<Load>(), size_of::<Load>()),
    (READ, size_of::<Transfer>(), size_of::<Transfer>()),
    (WRITE, size_of::<Transfer>(), size_of::<Transfer>()),
    (CALL, Call::FIRST_SIZE as usize, size_of::<Call>()),
    (KEEP, size_of::<Name>(), size_of::<Name>()),
    (ATTACH, size_of::<Name>(), size_of::<Name>()),
    (IMAGES, size_of::<List>(), size_of::<List>()),
    (RANGES, size_of::<List>(), size_of::<List>()),
    (SLOTS, size_of::<List>(), size_of::<List>()),
    (NOTE, size_of::<Note>(), size_of::<Note>()),
];

/// Where good destinations are.
const GOOD: u64 = 0x30_0000;
const END: u64 = 1 << 52;

/// A load, and what is expected of it.
struct Attempt {
    what: &'static str,
    segments: Vec<Segment>,
    vouched: Vec<Range>,
    load: Load,
    expected: Answer,
}

impl Tester {
    fn good(&self) -> Attempt {
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

    fn loads(&mut self) -> Result<()> {
        for attempt in self.bad_segments().into_iter().chain(self.bad_fields()).chain(self.bad_ranges()) {
            self.attempt(&attempt)?;
        }
        self.bad_pointers()?;
        self.answer_that_cannot_be_given()?;
        let good = self.good();
        self.attempt(&good)
    }

    /// Segments and ranges lie in the arena, one behind the other.
    fn attempt(&mut self, attempt: &Attempt) -> Result<()> {
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
            self.with_load("unknown flag", |load| load.flags |= 1 << 4, bad_field),
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
            self.with_load("entry behind", |load| load.entry = GOOD + 0x1000, outside),
            self.with_load("entry nowhere", |load| load.entry = u64::MAX, outside),
            self.with_load(
                "32-bit entry high",
                |load| (load.mode, load.entry) = (mode::PROTECTED, 1 << 32),
                entry_too_high,
            ),
            self.with_load("all segments there can be", segments(u64::MAX), bad_field),
            self.with_load("so many segments that their size wraps", segments(1 << 59), bad_field),
            self.with_load("many segments nowhere", segments(100_000), bad_pointer),
            self.with_load(
                "all ranges there can be",
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
            self.with_range("vouched all there can be", 0, u64::MAX, ram),
            self.with_range("vouched half pages", 0xb_0800, 0xb_1000, bad),
            self.with_range("vouched backwards", 0xb_2000, 0xb_1000, bad),
            self.with_range("vouched nothing", 0xb_2000, 0xb_2000, bad),
            self.with_range("vouched too high", END, END + 0x1000, bad),
            self.with_range("vouched video memory", 0xb_0000, 0xc_0000, Ok(())),
            self.with_range("vouched what page tables cannot map", END - 0x1000, END, self.unmappable()),
        ]
    }

    /// What kernels with four levels of page tables cannot map, those with five can.
    fn unmappable(&self) -> Answer {
        let five = self.device.info().is_ok_and(|info| info.paging_levels == 5);
        if five { Ok(()) } else { Err((Errno::ADDRNOTAVAIL, NOT_CANONICAL)) }
    }

    /// Bytes that are nowhere, or end in the middle: the address is named.
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

    /// Where the answer cannot be written, the caller does not know that something was loaded: nothing is.
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

    fn transfer(
        &mut self,
        what: &str,
        number: u32,
        transfer: (u64, u64, u64),
        expected: Answer,
    ) -> Result<Diagnosis> {
        let (address, buffer, length) = transfer;
        let transfer =
            Transfer { size: size_of::<Transfer>() as u64, address, buffer, length, ..Transfer::default() };
        self.expect(what, number, &transfer, offset_of!(Transfer, diagnosis), expected)
    }

    fn call(&mut self, what: &str, quiesce: u64, expected: Answer) -> Result<()> {
        let call = Call { size: size_of::<Call>() as u64, quiesce, ..Call::default() };
        self.expect(what, CALL, &call, offset_of!(Call, diagnosis), expected).map(drop)
    }

    fn name(&mut self, number: u32, name: [u64; 4], expected: Answer) -> Result<()> {
        let structure = Name { size: size_of::<Name>() as u64, name, ..Name::default() };
        let what = format!("request {number:#x} of name {name:x?}");
        self.expect(&what, number, &structure, offset_of!(Name, diagnosis), expected).map(drop)
    }

    fn list(&mut self, what: &str, number: u32, list: (u64, u64, u64), expected: Answer) -> Result<()> {
        let (entries, capacity, id) = list;
        let list = List { size: size_of::<List>() as u64, entries, capacity, id, ..List::default() };
        self.expect(what, number, &list, offset_of!(List, diagnosis), expected).map(drop)
    }

    fn without_image(&mut self) -> Result<()> {
        let not_loaded = Err((Errno::NOENT, reason::NOT_LOADED));
        let buffer = self.arena.buffer();
        for number in [READ, WRITE] {
            self.transfer("no image", number, (GOOD, buffer, 8), not_loaded)?;
        }
        for level in [quiesce::AUTO, quiesce::SUSPEND, 99] {
            self.call("no image", level, not_loaded)?;
        }
        self.name(KEEP, [0x61, 0, 0, 0], not_loaded)?;
        self.made += 1;
        let unloaded = self.arena.ask_at(&self.device, UNLOAD, buffer);
        ensure!(unloaded == Err(Errno::NOENT), "nothing was unloaded: {unloaded:?}");
        self.name(ATTACH, [0x61, 0, 0, 0], Err((Errno::NOENT, reason::NO_SUCH_IMAGE)))?;
        self.note("no image", GOOD, 0x400, not_loaded)?;
        for number in [RANGES, SLOTS] {
            let no_such_image = Err((Errno::NOENT, reason::NO_SUCH_IMAGE));
            self.list("no such image", number, (buffer, 1, u64::MAX), no_such_image)?;
        }
        self.list("room for nothing", IMAGES, (0, 0, 0), Ok(()))
    }

    fn with_image(&mut self) -> Result<()> {
        let load = Plan::code(&[0xc3], GOOD, kernel_file::Mode::Long)?
            .with(GOOD + 0x5000, 0x3000)
            .load_into(&self.device)?;
        self.bad_transfers()?;
        self.bad_names()?;
        self.bad_notes()?;
        let bad_quiesce = Err((Errno::INVAL, reason::BAD_FIELD));
        for level in [4, 64, u64::MAX] {
            self.call("no such level", level, bad_quiesce)?;
        }
        let late =
            Call { size: size_of::<Call>() as u64, quiesce: quiesce::NONE, deadline: 1, ..Call::default() };
        self.expect("a deadline and no guard", CALL, &late, offset_of!(Call, diagnosis), bad_quiesce)?;
        let good = self.good();
        let again = Attempt { what: "again", expected: Err((Errno::BUSY, reason::ALREADY_LOADED)), ..good };
        self.attempt(&again)?;
        let bad_pointer = Err((Errno::FAULT, reason::BAD_POINTER));
        for entries in [0, self.arena.hole() - 8, 1 << 63, 0xffff_8880_0000_0000] {
            self.list("images to nowhere", IMAGES, (entries, u64::MAX, 0), bad_pointer)?;
            self.list("ranges to nowhere", RANGES, (entries, u64::MAX, load.id), bad_pointer)?;
            self.list("slots to nowhere", SLOTS, (entries, u64::MAX, load.id), bad_pointer)?;
        }
        for number in [RANGES, SLOTS] {
            let entries = self.arena.buffer();
            self.list("more room than there is", number, (entries, u64::MAX, load.id), Ok(()))?;
            self.list("no room", number, (0, 0, load.id), Ok(()))?;
        }
        // Its value would be lost, so it is not called.
        let unheard = Call { size: size_of::<Call>() as u64, quiesce: quiesce::NONE, ..Call::default() };
        let (result, _) = self.ask(CALL, &bytes(&unheard), true, true);
        ensure!(result == Err(Errno::FAULT), "a call that cannot be answered: {result:?}");
        let calls = self.device.call([0; 6], quiesce::NONE)?.calls;
        ensure!(calls == 1, "{calls} calls, the one that could not be answered among them");
        Ok(self.device.unload()?)
    }

    fn bad_transfers(&mut self) -> Result<()> {
        let outside = Err((Errno::ADDRNOTAVAIL, reason::NOT_IN_IMAGE));
        let (buffer, hole) = (self.arena.buffer(), self.arena.hole());
        for number in [READ, WRITE] {
            for (address, length) in [
                (GOOD - 1, 1),
                (GOOD - 1, 2),
                (GOOD + 0xfff, 2),
                (GOOD + 0x1000, 1),
                (GOOD, 0x6000),
                (GOOD, u64::MAX),
                (GOOD, 1 << 52),
                (u64::MAX, 1),
                (u64::MAX, u64::MAX),
                (END, 8),
            ] {
                self.transfer("outside", number, (address, buffer, length), outside)?;
            }
            for (theirs, length, bad) in [
                (0, 1, 0),
                (hole, 1, hole),
                (hole - 0x1000, 0x1001, hole),
                (1 << 63, 1, 1 << 63),
                (0xffff_8880_0000_0000, 0x2000, 0xffff_8880_0000_0000),
            ] {
                let bad_pointer = Err((Errno::FAULT, reason::BAD_POINTER));
                let said =
                    self.transfer("to nowhere", number, (GOOD + 0x5000, theirs, length), bad_pointer)?;
                ensure!(said.numbers[0] == bad, "{bad:#x} is bad, and {:#x} was named", said.numbers[0]);
            }
            self.transfer("nothing", number, (GOOD, 0, 0), Ok(()))?;
        }
        Ok(())
    }

    fn note(&mut self, what: &str, address: u64, length: u64, expected: Answer) -> Result<()> {
        let note = Note { size: size_of::<Note>() as u64, address, length, ..Note::default() };
        self.expect(what, NOTE, &note, offset_of!(Note, diagnosis), expected).map(drop)
    }

    /// A note would be written there by the next call that suspends the system; none is made.
    fn bad_notes(&mut self) -> Result<()> {
        let bad = Err((Errno::ADDRNOTAVAIL, reason::BAD_NOTE));
        for (what, address, length) in [
            ("unaligned", GOOD + 2, 0x400),
            ("too short", GOOD, Note::ROOM - 1),
            ("empty", GOOD, 0),
            ("in two pages", GOOD + 0xf00, 0x101),
            ("longer than a page", GOOD, 0x1001),
            ("as long as can be", GOOD, u64::MAX),
            ("in video memory", 0xa_0000, 0x400),
            ("at the local APIC", 0xfee0_0000, 0x400),
            ("beyond all memory", 1 << 45, 0x400),
            ("beyond all addresses", u64::MAX - 3, 0x400),
            ("at a virtual address", 0xffff_8880_0000_0000, 0x400),
        ] {
            self.note(what, address, length, bad)?;
        }
        Ok(())
    }

    fn bad_names(&mut self) -> Result<()> {
        let all = u64::from_le_bytes(*b"abcdefgh");
        for name in [
            [0; 4],
            [0x20, 0, 0, 0],
            [0x7f, 0, 0, 0],
            [0x0a61, 0, 0, 0],
            [0x61_0061, 0, 0, 0],
            [0x61, 0, 0, 1],
            [all; 4],
            [u64::MAX; 4],
        ] {
            self.name(KEEP, name, Err((Errno::INVAL, reason::BAD_NAME)))?;
        }
        self.name(ATTACH, [0x61, 0, 0, 0], Err((Errno::BUSY, reason::ALREADY_LOADED)))
    }
}

/// Values that requests are made of, besides those of the arena.
const ODD: [u64; 20] = [
    0,
    1,
    2,
    3,
    7,
    8,
    31,
    32,
    64,
    0xfff,
    0x1000,
    0x2000,
    0xa_0000,
    GOOD,
    GOOD + 0x1000,
    1 << 32,
    END - 0x1000,
    END,
    1 << 63,
    u64::MAX,
];

/// `random COUNT SEED`: requests of odd values; none but calls of images, which would do as they are told.
pub(crate) fn random(arguments: &[String]) -> Result<()> {
    let (count, seed) = (argument(arguments, 0, "COUNT")?, argument(arguments, 1, "SEED")?);
    let mut tester = Tester { device: Device::open()?, arena: Arena::new()?, made: 0 };
    let before = Before::now(&tester.device)?;
    let mut numbers = Numbers(seed);
    let mut done = 0;
    for _ in 0..count {
        done += u64::from(tester.anything(&mut numbers));
    }
    println!("{count} requests, {done} of them carried out");
    ensure!(done > 0 && done < count, "this tries one side only");
    // A name outlives the file; there is at most one of each.
    for name in ODD {
        tester.forget(name)?;
    }
    drop(std::mem::replace(&mut tester.device, Device::open()?));
    before.check(&tester.device, 64)
}

impl Tester {
    fn anything(&mut self, numbers: &mut Numbers) -> bool {
        let good = self.good();
        let pointers =
            [self.arena.buffer(), self.arena.buffer() + 4096 - 32, self.arena.hole() - 8, self.arena.hole()];
        let mut odd = || match numbers.next() % 3 {
            0 => pointers[(numbers.next() % 4) as usize],
            _ => ODD[(numbers.next() % ODD.len() as u64) as usize],
        };
        let segments: Vec<Segment> =
            (0..4).map(|_| Segment { buf: odd(), bufsz: odd(), mem: odd(), memsz: odd() }).collect();
        let words = [(); 24].map(|()| odd());
        self.arena.put(&segments.iter().flat_map(bytes).collect::<Vec<u8>>());
        let (number, _, size) = STRUCTURES[(numbers.next() % 11) as usize];
        if numbers.next() % 4 == 0 {
            let load =
                Load { segments: self.arena.buffer(), segment_count: numbers.next() % 3 + 1, ..good.load };
            self.arena.put(&bytes(&good.segments[0]));
            return self.ask(LOAD, &bytes(&load), true, false).0.is_ok();
        }
        if numbers.next() % 16 == 0 || number == CALL {
            return self.device.unload().is_ok();
        }
        let mut bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        bytes.resize(size, 0);
        bytes[..8].copy_from_slice(&(size as u64).to_le_bytes());
        self.ask(number, &bytes, true, false).0.is_ok()
    }

    /// Unloads what is kept under a name of such words, if it is one.
    fn forget(&mut self, word: u64) -> Result<()> {
        let other = Device::open()?;
        let name = Name { size: size_of::<Name>() as u64, name: [word, 0, 0, 0], ..Name::default() };
        let request = Request { number: ATTACH, bytes: &bytes(&name), no_room: true, read_only: false };
        if self.arena.ask(&other, &request).0.is_ok() {
            other.unload()?;
        }
        Ok(())
    }
}
