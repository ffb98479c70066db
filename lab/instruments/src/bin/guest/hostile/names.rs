//! Names that no image can be kept under.

use std::mem::offset_of;

use abi::device::{ATTACH, KEEP, Name, reason};
use anyhow::Result;
use rustix::io::Errno;

use super::{Answer, Tester};

impl Tester {
    pub(super) fn name(&mut self, number: u32, name: [u64; 4], expected: Answer) -> Result<()> {
        let structure = Name { size: size_of::<Name>() as u64, name, ..Name::default() };
        let what = format!("request {number:#x} of name {name:x?}");
        self.expect(&what, number, &structure, offset_of!(Name, diagnosis), expected).map(drop)
    }

    pub(super) fn bad_names(&mut self) -> Result<()> {
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
