//! A disk that is run: its boot sector and what that loads get the machine as the BIOS would give
//! it to them, but for the disks and the memory, which are the running kernel's.
//!
//! All of base memory is kept before, and put back afterwards, with upper memory and the devices
//! that a call of the BIOS may change too. A service of ours leaves real mode for this code and
//! goes back, as a call that was made from there.

use abi::Field;
use abi::bios::disk::{self as field, BASE_MEMORY, STUB_SIZE};
use abi::bios::{self as block_field, UPPER, UPPER_BEFORE, UPPER_SIZE, stub, why};

use crate::block::Block;
use crate::disk::Disk;
use crate::guest::{Guest, MIB, Memory};
use crate::hardware::{Hardware, TICK};
use crate::interrupts::{Interrupts, open_a20};
use crate::memory::{self, Answer};
use crate::state::{State, rtc, set_rtc};

const SECTOR: u64 = field::SECTOR as u64;
/// Where the BIOS puts the boot sector.
const BOOT: u64 = 0x7c00;
/// The BIOS's variables: equipment, KiB of base memory, number of hard disks, where to go on after
/// a restart.
const EQUIPMENT: u64 = 0x410;
const BASE_SIZE: u64 = 0x413;
const HARD_DISKS: u64 = 0x475;
const RESTART_ADDRESS: u64 = 0x467;
/// The clock's memory: what the BIOS does after a restart, and there: jump to an address.
const RESTART_CODE: u8 = 0x0f;
const JUMP: u8 = 0x0a;
/// System control port B; its bits 0 and 1 drive the speaker.
const SPEAKER: u16 = 0x61;
const SPEAKER_BITS: u8 = 3;
/// The vector of INT 15h.
const INT_15: u64 = 0x15 * 4;

/// Runs the disk of a block. Returns one of [`why`].
pub(crate) fn run(block: &mut Block<'_>, image: u64, hardware: &mut impl Hardware) -> u32 {
    let memory = Memory { stub: block.get(field::STUB).into(), end: block.get(field::MEMORY_END).max(MIB) };
    let room = memory.stub + STUB_SIZE as u64;
    if !memory.stub.is_multiple_of(0x1000) || memory.stub < 0x1_0000 || room > BASE_MEMORY as u64 {
        return why::SENSELESS;
    }
    if u64::from(hardware.read(BASE_SIZE) & 0xffff) * 1024 < room {
        return why::BASE_MEMORY;
    }
    let interrupts = Interrupts::of(block);
    let disk = Disk::new(block, memory);
    let kept = block.get(field::KEPT);
    Program { hardware, image, kept, memory, interrupts, disk, old_15: 0 }.run(block)
}

struct Program<'h, H> {
    hardware: &'h mut H,
    image: u64,
    kept: u64,
    memory: Memory,
    interrupts: Interrupts,
    disk: Disk,
    old_15: u32,
}

impl<H: Hardware> Program<'_, H> {
    fn run(mut self, block: &mut Block<'_>) -> u32 {
        let Interrupts { hpet, .. } = self.interrupts;
        let before = State::read(self.hardware, hpet, true);
        before.store(block.bytes_at(block_field::BEFORE, block_field::state::SIZE));
        let others = self.keep();
        self.prepare(block);
        let pins = self.interrupts.to_bios(self.hardware, &before);
        block.set(block_field::stamp(1), self.hardware.time());
        let result = self.until_it_ends(block);
        block.set(block_field::stamp(2), self.hardware.time());

        State::read(self.hardware, hpet, true)
            .store(block.bytes_at(block_field::BETWEEN, block_field::state::SIZE));
        open_a20(self.hardware, &before);
        self.report(block);
        self.put_back(others);
        self.interrupts.to_linux(self.hardware, &before, &pins);
        State::read(self.hardware, hpet, true)
            .store(block.bytes_at(block_field::AFTER, block_field::state::SIZE));
        result
    }

    /// Keeps memory. Returns the code for a restart and the speaker's bits.
    fn keep(&mut self) -> (u8, u8) {
        self.hardware.copy(0, self.kept, BASE_MEMORY as u64);
        self.hardware.copy(UPPER as u64, self.image + UPPER_BEFORE as u64, UPPER_SIZE as u64);
        (rtc(self.hardware, RESTART_CODE), self.hardware.input(SPEAKER) & SPEAKER_BITS)
    }

    /// Of upper memory only words that differ are written: they are in RAM, whatever else there is.
    fn put_back(&mut self, (restart, speaker): (u8, u8)) {
        self.hardware.copy(self.kept, 0, BASE_MEMORY as u64);
        for offset in (0..UPPER_SIZE as u64).step_by(4) {
            let before = self.hardware.read(self.image + UPPER_BEFORE as u64 + offset);
            if self.hardware.read(UPPER as u64 + offset) != before {
                self.hardware.write(UPPER as u64 + offset, before);
            }
        }
        set_rtc(self.hardware, RESTART_CODE, restart);
        let now = self.hardware.input(SPEAKER);
        self.hardware.output(SPEAKER, now & !SPEAKER_BITS | speaker);
    }

    /// Base memory as the program finds it: the stub at its top, vectors that lead to it, variables
    /// that name one disk, the boot sector.
    fn prepare(&mut self, block: &mut Block<'_>) {
        #[expect(clippy::cast_possible_truncation, reason = "it lies below 1 MiB")]
        let at = self.memory.stub as u32;
        let segment = (at / 16) << 16;
        self.hardware.lay_stub(at);
        for offset in (stub::WHY.offset()..stub::DESCRIPTORS_LIMIT.offset() - 2).step_by(4) {
            self.set(Field::at(offset), 0);
        }
        self.set(stub::DEADLINE, block.get(field::DEADLINE));
        let old_tick = self.hardware.read(u64::from(TICK) * 4);
        self.set(stub::OLD_TICK, old_tick);
        self.old_15 = self.hardware.read(INT_15);
        self.set(stub::OLD_15, self.old_15);
        let services = self.hardware.services();
        let handlers = self.hardware.handlers().all;
        for (vector, offset) in handlers.into_iter().chain(services.interrupts) {
            self.hardware.write(u64::from(vector) * 4, segment | u32::from(offset));
        }
        self.hardware.write(RESTART_ADDRESS, segment | u32::from(services.restarted));
        set_rtc(self.hardware, RESTART_CODE, JUMP);
        self.set_variables(at);
        self.hardware.copy(block.get(field::CONTENTS), BOOT, SECTOR);
    }

    fn set_variables(&mut self, stub: u32) {
        // Bit 0: there are floppy disk drives, of which bits 6 and 7 count all but one.
        let equipment = self.hardware.read(EQUIPMENT) & !0xc1 | u32::from(!self.disk.is_hard());
        self.hardware.write(EQUIPMENT, equipment);
        let base = self.hardware.read(BASE_SIZE) & 0xffff_0000 | (stub / 1024);
        self.hardware.write(BASE_SIZE, base);
        let disks = self.hardware.read(HARD_DISKS) & 0xffff_ff00 | u32::from(self.disk.is_hard());
        self.hardware.write(HARD_DISKS, disks);
    }

    fn until_it_ends(&mut self, block: &mut Block<'_>) -> u32 {
        let stub = self.memory.stub;
        Guest::at_boot(stub, self.disk.drive()).starts(self.hardware);
        loop {
            self.hardware.real_mode();
            let ended = self.field(stub::WHY);
            if ended != why::DONE {
                return ended;
            }
            let mut guest = Guest::at_service(stub, self.hardware);
            match self.field(stub::SERVICE) {
                0x13 => self.disk.serve(&mut guest, self.hardware),
                0x15 => match memory::serve(block, self.memory, &mut guest, self.hardware) {
                    Answer::Done => {}
                    Answer::PassOn => {
                        guest.passes_on(self.old_15, self.hardware);
                        continue;
                    }
                    Answer::Keys => return why::KEYS,
                },
                0x18 => return why::INT_18,
                0x19 => return why::INT_19,
                _ => return why::RESTART,
            }
            guest.returns(self.hardware);
        }
    }

    fn report(&mut self, block: &mut Block<'_>) {
        block.set(block_field::NMIS, self.field(stub::NMIS));
        block.set(block_field::TICKS, self.field(stub::TICKS));
        let ended_early = self.field(stub::WHY) != why::DONE;
        let place = if ended_early { self.field(stub::WHERE) } else { self.field(stub::FRAME) };
        block.set(field::WHERE, place);
        block.set(field::REQUESTS, self.disk.requests);
        block.set(field::FAILED, self.disk.failed);
        block.set(field::READ, self.disk.read);
        block.set(field::WRITTEN, self.disk.written);
    }

    fn field(&mut self, field: Field<u32>) -> u32 {
        self.hardware.read(self.memory.stub + field.offset() as u64)
    }

    fn set(&mut self, field: Field<u32>, value: u32) {
        self.hardware.write(self.memory.stub + field.offset() as u64, value);
    }
}

#[cfg(test)]
#[path = "program_tests.rs"]
mod tests;
