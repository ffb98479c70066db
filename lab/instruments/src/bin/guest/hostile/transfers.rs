//! Transfers outside an image or to nowhere, and notes at addresses that cannot hold one.

use std::mem::offset_of;

use abi::device::{Diagnosis, NOTE, Note, READ, Transfer, WRITE, reason};
use anyhow::{Result, ensure};
use rustix::io::Errno;

use super::{Answer, END, GOOD, Tester};

impl Tester {
    pub(super) fn transfer(
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

    pub(super) fn bad_transfers(&mut self) -> Result<()> {
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
                let found = self.transfer(
                    "to an unmapped address",
                    number,
                    (GOOD + 0x5000, theirs, length),
                    bad_pointer,
                )?;
                ensure!(
                    found.numbers[0] == bad,
                    "{bad:#x} is unmapped, but {:#x} was reported",
                    found.numbers[0]
                );
            }
            self.transfer("nothing", number, (GOOD, 0, 0), Ok(()))?;
        }
        Ok(())
    }

    pub(super) fn note(&mut self, what: &str, address: u64, length: u64, expected: Answer) -> Result<()> {
        let note = Note { size: size_of::<Note>() as u64, address, length, ..Note::default() };
        self.expect(what, NOTE, &note, offset_of!(Note, diagnosis), expected).map(drop)
    }

    /// The next call that suspends the system would write the note to this address; there is no
    /// such call.
    pub(super) fn bad_notes(&mut self) -> Result<()> {
        let bad = Err((Errno::ADDRNOTAVAIL, reason::BAD_NOTE));
        for (what, address, length) in [
            ("unaligned", GOOD + 2, 0x400),
            ("too short", GOOD, Note::ROOM - 1),
            ("empty", GOOD, 0),
            ("in two pages", GOOD + 0xf00, 0x101),
            ("longer than a page", GOOD, 0x1001),
            ("of maximum length", GOOD, u64::MAX),
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
}
