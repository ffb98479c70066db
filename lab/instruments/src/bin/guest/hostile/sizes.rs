//! Unknown request numbers, and structures of wrong sizes or at wrong addresses.

use abi::device::{Diagnosis, INFO, LOAD, reason};
use anyhow::{Context as _, Result, ensure};
use rustix::io::Errno;

use super::{STRUCTURES, Tester};
use crate::raw::diagnosis;

impl Tester {
    /// Numbers of no request.
    pub(super) fn numbers(&mut self) -> Result<()> {
        for number in [13, 14, 255].map(|low| 0xb9 << 8 | low).into_iter().chain([
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

    /// Structures that are too short, too long, from a later version, or partly or wholly unmapped.
    pub(super) fn sizes(&mut self) -> Result<()> {
        for (number, first, size) in STRUCTURES {
            self.sizes_of(number, first, size)
                .with_context(|| format!("request {number:#x} of {size} bytes"))?;
        }
        Ok(())
    }

    fn sizes_of(&mut self, number: u32, first: usize, size: usize) -> Result<()> {
        for (claimed, given, last, expected) in [
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
            let mut words = vec![0; given];
            words[..8].copy_from_slice(&(claimed as u64).to_le_bytes());
            words[given - 1] |= last;
            let (result, after) = self.ask(number, &words, true, false);
            ensure!(result == expected, "{claimed} bytes of {given}: {result:?} instead of {expected:?}");
            if expected == Err(Errno::TOOBIG) && number != INFO {
                let found = diagnosis(&after, first - size_of::<Diagnosis>());
                let numbers = [claimed, first, size, 0, 0].map(|number| number as u64);
                ensure!(
                    found == Diagnosis { reason: reason::BAD_SIZE, numbers },
                    "{claimed} bytes: {found:x?}"
                );
            }
        }
        for address in [0, 7, self.arena.hole(), 1 << 63, 0xffff_8880_0000_0000, u64::MAX - 7] {
            self.made += 1;
            let result = self.arena.ask_at(&self.device, number, address);
            ensure!(result == Err(Errno::FAULT), "at {address:#x}: {result:?}");
        }
        self.of_other_times(number, first, size)
    }

    /// A shorter structure, down to the size of the first version, and a longer one whose
    /// additional bytes are zero have the same effect as one with zeros in these fields.
    fn of_other_times(&mut self, number: u32, first: usize, size: usize) -> Result<()> {
        let answers = [first, size, size + 8, 4096].map(|claimed| {
            let mut words = vec![0; claimed];
            words[..8].copy_from_slice(&(claimed as u64).to_le_bytes());
            let (result, after) = self.ask(number, &words, true, false);
            (result, after[8..first].to_vec())
        });
        ensure!(answers.iter().all(|answer| *answer == answers[0]), "the answers differ: {answers:x?}");
        Ok(())
    }
}
