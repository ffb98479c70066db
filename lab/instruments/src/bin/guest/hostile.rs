//! Invalid requests: each is refused with the right errno and reason, and has no effect.

mod loads;
mod names;
mod random;
mod sizes;
mod transfers;

use std::mem::offset_of;

use abi::device::{
    ATTACH, CALL, Call, Diagnosis, IMAGES, INFO, Info, KEEP, LOAD, List, Load, NOTE, Name, Note, RANGES,
    READ, SLOTS, Segment, Transfer, UNLOAD, WRITE, WRITE_LIST, load_flag, quiesce, reason, status,
};
use anyhow::{Result, bail, ensure};
use rustix::io::Errno;
use sys::Device;
use sys::device::{Destination, LoadRequest};

use crate::image::Plan;
use crate::memory::Before;
use crate::raw::{Arena, Request, bytes, diagnosis};
use loads::Attempt;

pub(crate) use random::random;

/// A device, the memory that requests name, and the number of requests made.
struct Tester {
    device: Device,
    arena: Arena,
    made: u64,
}

/// `hostile`: all of them, twice; no memory is lost.
pub(crate) fn hostile(_: &[String]) -> Result<()> {
    let mut tester = Tester { device: Device::open()?, arena: Arena::new()?, made: 0 };
    let before = Before::now(&tester.device)?;
    for _ in 0..2 {
        tester.numbers()?;
        tester.sizes()?;
        tester.loads()?;
        tester.without_image()?;
        tester.with_image()?;
        tester.unfilled()?;
    }
    println!("{} requests answered as expected", tester.made);
    before.check(&tester.device, 64)
}

/// The expected answer: success, or an errno with a reason.
type Answer = Result<(), (Errno, u64)>;

/// Every request with a structure, and the size of the structure in the first version and today.
/// The diagnosis is the last field of the first version.
const STRUCTURES: [(u32, usize, usize); 12] = [
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
    (WRITE_LIST, size_of::<List>(), size_of::<List>()),
];

/// A valid destination.
const GOOD: u64 = 0x30_0000;
const END: u64 = 1 << 52;

impl Tester {
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

    /// Makes a request with a structure whose diagnosis is at this offset, and compares the answer.
    fn expect<T: Copy>(
        &mut self,
        what: &str,
        number: u32,
        structure: &T,
        offset: usize,
        expected: Answer,
    ) -> Result<Diagnosis> {
        let (result, after) = self.ask(number, &bytes(structure), true, false);
        let found = diagnosis(&after, offset);
        let answer = result.map_err(|errno| (errno, found.reason));
        ensure!(answer == expected, "{what}: {answer:?} instead of {expected:?}, {found:x?}");
        Ok(found)
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
        self.list("no image", WRITE_LIST, (buffer, 1, 0), not_loaded)?;
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
        let good = self.good();
        let again = Attempt { what: "again", expected: Err((Errno::BUSY, reason::ALREADY_LOADED)), ..good };
        self.attempt(&again)?;
        let bad_pointer = Err((Errno::FAULT, reason::BAD_POINTER));
        for entries in [0, self.arena.hole() - 8, 1 << 63, 0xffff_8880_0000_0000] {
            self.list("images to nowhere", IMAGES, (entries, u64::MAX, 0), bad_pointer)?;
            self.list("ranges to nowhere", RANGES, (entries, u64::MAX, load.id), bad_pointer)?;
            self.list("slots to nowhere", SLOTS, (entries, u64::MAX, load.id), bad_pointer)?;
            self.list("pieces from nowhere", WRITE_LIST, (entries, 1, 0), bad_pointer)?;
        }
        for number in [RANGES, SLOTS] {
            let entries = self.arena.buffer();
            self.list("more room than is mapped", number, (entries, u64::MAX, load.id), Ok(()))?;
            self.list("no room", number, (0, 0, load.id), Ok(()))?;
        }
        // The value could not be returned, so the image is not called.
        let unheard = Call { size: size_of::<Call>() as u64, quiesce: quiesce::NONE, ..Call::default() };
        let (result, _) = self.ask(CALL, &bytes(&unheard), true, true);
        ensure!(result == Err(Errno::FAULT), "a call that cannot be answered: {result:?}");
        let calls = self.device.call([0; 6], quiesce::NONE)?.calls;
        ensure!(calls == 1, "{calls} calls, the one that could not be answered among them");
        Ok(self.device.unload()?)
    }

    /// An image that was loaded unfilled is neither read nor called before each page was written.
    fn unfilled(&mut self) -> Result<()> {
        let flags = load_flag::CLAIM | load_flag::UNFILLED;
        let good = self.good();
        let load = Load { flags, ..good.load };
        let bytes = vec![Segment { bufsz: 1, ..good.segments[0] }];
        let with_bytes = Err((Errno::INVAL, reason::BAD_FIELD));
        self.attempt(&Attempt { what: "bytes", segments: bytes, load, expected: with_bytes, ..self.good() })?;
        let segments = [Destination { bytes: &[], address: GOOD, size: 0x3000 }];
        let request = LoadRequest { segments: &segments, vouched: &[], entry: GOOD, mode: load.mode, flags };
        self.device.load(&request)?;
        let mut ret = vec![0xc3; 0x1000];
        for (left, pieces) in [
            (3, vec![(GOOD, &ret[1..]), (GOOD + 0xfff, &ret[..2])]),
            (2, vec![(GOOD + 0x1000, &ret[..])]),
            (2, vec![(GOOD + 0x1000, &ret[..]), (GOOD + 8, &[]), (GOOD + 0x1fff, &ret[..])]),
        ] {
            self.device.write_list(&pieces)?;
            let refusals = [
                self.device.call([0; 6], quiesce::NONE).map(drop),
                self.device.read(GOOD + 0x1000, &mut [0; 8]),
            ];
            for refusal in refusals {
                let found = refusal.err().map(|refusal| (refusal.errno, refusal.diagnosis));
                let Some((errno, Diagnosis { reason, numbers: [count, all, ..] })) = found else {
                    bail!("an image was used of which {left} pages were not written")
                };
                let expected = (Errno::INVAL.raw_os_error(), reason::NOT_WRITTEN, left, 3);
                ensure!((errno, reason, count, all) == expected, "{errno} {reason}: {count} of {all}");
            }
        }
        let outside =
            self.device.write_list(&[(GOOD, &ret[..]), (GOOD + 0x2000, &ret[..]), (GOOD + 0x3000, &[1])]);
        let reason = outside.err().map(|refusal| refusal.diagnosis.reason);
        ensure!(reason == Some(reason::NOT_IN_IMAGE), "a piece outside: {reason:?}");
        let call = self.device.call([0; 6], quiesce::NONE)?;
        ensure!(call.status == status::RETURNED, "the image ended with {}", call.status);
        ret.fill(0);
        self.device.read(GOOD + 0x2000, &mut ret)?;
        ensure!(ret == [0xc3; 0x1000], "the last page is not what was written");
        self.made += 9;
        Ok(self.device.unload()?)
    }

    fn call(&mut self, what: &str, quiesce: u64, expected: Answer) -> Result<()> {
        let call = Call { size: size_of::<Call>() as u64, quiesce, ..Call::default() };
        self.expect(what, CALL, &call, offset_of!(Call, diagnosis), expected).map(drop)
    }

    fn list(&mut self, what: &str, number: u32, list: (u64, u64, u64), expected: Answer) -> Result<()> {
        let (entries, capacity, id) = list;
        let list = List { size: size_of::<List>() as u64, entries, capacity, id, ..List::default() };
        self.expect(what, number, &list, offset_of!(List, diagnosis), expected).map(drop)
    }
}
