//! Requests with random fields.

use abi::device::{ATTACH, CALL, LOAD, Load, Name, Segment};
use anyhow::{Result, ensure};
use sys::Device;

use super::{END, GOOD, STRUCTURES, Tester};
use crate::memory::Before;
use crate::numbers::{Numbers, argument};
use crate::raw::{Arena, Request, bytes};

/// Values for fields, in addition to addresses in the arena.
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

/// `random COUNT SEED`: all kinds of requests with odd values, except calls, which would run the
/// image.
pub(crate) fn random(arguments: &[String]) -> Result<()> {
    let (count, seed) = (argument(arguments, 0, "COUNT")?, argument(arguments, 1, "SEED")?);
    let mut tester = Tester { device: Device::open()?, arena: Arena::new()?, made: 0 };
    let before = Before::now(&tester.device)?;
    let mut numbers = Numbers(seed);
    let mut done = 0;
    for _ in 0..count {
        done += u64::from(tester.request_at_random(&mut numbers));
    }
    println!("{count} requests, {done} of them succeeded");
    ensure!(done > 0 && done < count, "all requests had the same result");
    // Names outlive the file; each exists at most once.
    for name in ODD {
        tester.unload_kept(name)?;
    }
    drop(std::mem::replace(&mut tester.device, Device::open()?));
    before.check(&tester.device, 64)
}

impl Tester {
    fn request_at_random(&mut self, numbers: &mut Numbers) -> bool {
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
        let (number, _, size) = STRUCTURES[(numbers.next() % STRUCTURES.len() as u64) as usize];
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

    /// Unloads the image that is kept under the name with this word, if there is one.
    fn unload_kept(&mut self, word: u64) -> Result<()> {
        let other = Device::open()?;
        let name = Name { size: size_of::<Name>() as u64, name: [word, 0, 0, 0], ..Name::default() };
        let request = Request { number: ATTACH, bytes: &bytes(&name), no_room: true, read_only: false };
        if self.arena.ask(&other, &request).0.is_ok() {
            other.unload()?;
        }
        Ok(())
    }
}
