//! The calls of a block, from the first step to the last.

use core::ops::Range;

use abi::Field;
use abi::bios::{
    self as field, BUFFER, EBDA_AFTER, EBDA_BEFORE, EBDA_ROOM, EBDA_SEGMENT, ENTRY, LOW_BUFFER, LOW_SIZE,
    LOW_STACK, LOW_STUB, PAGE_0_AFTER, PAGE_0_BEFORE, SAVED_BUFFER, SAVED_LOW, UPPER, UPPER_BEFORE,
    UPPER_SIZE, call, flag, kind, registers, stub, why,
};

use crate::block::{self, Block, Registers, registers_at, store_registers};
use crate::hardware::{Hardware, TICK};
use crate::interrupts::{Interrupts, open_a20};
use crate::program;
use crate::state::{EFER, State};

/// CR4: VMX is on. It forbids real mode (Intel SDM volume 3, 23.8).
const CR4_VMXE: u64 = 1 << 13;
/// EFER: SVM is on.
const EFER_SVME: u64 = 1 << 12;
/// EFLAGS: trap, interrupts enabled.
const TRAP: u16 = 1 << 8;
const INTERRUPTS: u16 = 1 << 9;
const PAGE: u64 = 0x1000;
/// Read-only memory: option ROMs, then the BIOS. Vectors can also name the RAM above, past 1 MiB.
#[expect(clippy::cast_possible_truncation, reason = "it ends at 1 MiB")]
const ROM: Range<u32> = UPPER as u32..(UPPER + UPPER_SIZE) as u32;
/// Address and segment of the stub.
#[expect(clippy::cast_possible_truncation, reason = "it lies below 1 MiB")]
const STUB: u32 = LOW_STUB as u32;
const STUB_SEGMENT: u32 = STUB / 16;
/// Addresses of the vectors.
const VECTORS: u64 = 256;

/// Makes the calls of a block. `memory` is the address of the image, of which `bytes` are the first
/// page. Returns one of [`why`], which is also stored in the block.
pub fn run(bytes: &mut [u8; ENTRY], memory: u64, hardware: &mut impl Hardware) -> u32 {
    let Some(mut block) = Block::new(bytes) else { return why::SENSELESS };
    block.set(field::stamp(0), hardware.time());
    for out in [field::DONE, field::NMIS, field::TICKS] {
        block.set(out, 0);
    }
    let result = match refusal(hardware) {
        Some(refusal) => refusal,
        None if block.has(flag::RUN_DISK) => program::run(&mut block, memory, hardware),
        None => Session::new(&block, memory, hardware).run(&mut block),
    };
    block.set(field::stamp(3), hardware.time());
    block.set(field::WHY, result);
    result
}

/// Why the BIOS cannot be called here.
fn refusal(hardware: &mut impl Hardware) -> Option<u32> {
    let [_, cr4] = hardware.control();
    if cr4 & CR4_VMXE != 0 || hardware.register(EFER) & EFER_SVME != 0 {
        return Some(why::VIRTUALIZATION);
    }
    let is_empty = (0..VECTORS).all(|vector| hardware.read(vector * 4) == 0);
    is_empty.then_some(why::NO_BIOS)
}

struct Session<'h, H> {
    hardware: &'h mut H,
    memory: u64,
    interrupts: Interrupts,
    /// Bytes of the buffer.
    length: u64,
    keeps_upper: bool,
    /// The vector of IRQ 0 before ours.
    old_tick: u32,
}

impl<'h, H: Hardware> Session<'h, H> {
    fn new(block: &Block<'_>, memory: u64, hardware: &'h mut H) -> Self {
        let interrupts = Interrupts::of(block);
        let length = block.get(field::BUFFER_LENGTH).into();
        let old_tick = hardware.read(u64::from(TICK) * 4);
        let keeps_upper = block.has(flag::KEEP_UPPER);
        Self { hardware, memory, interrupts, length, keeps_upper, old_tick }
    }

    fn run(mut self, block: &mut Block<'_>) -> u32 {
        let Interrupts { hpet, clock, .. } = self.interrupts;
        let before = State::read(self.hardware, hpet, clock);
        before.store(block.bytes_at(field::BEFORE, field::state::SIZE));
        self.keep();
        self.hardware.lay_stub(STUB);
        self.clear_stub();
        self.copy(BUFFER, LOW_BUFFER, self.length);
        let pins = self.interrupts.to_bios(self.hardware, &before);
        let vectors = self.hook();

        block.set(field::stamp(1), self.hardware.time());
        let result = self.calls(block);
        block.set(field::stamp(2), self.hardware.time());

        State::read(self.hardware, hpet, clock).store(block.bytes_at(field::BETWEEN, field::state::SIZE));
        open_a20(self.hardware, &before);
        self.hardware.copy(0, self.memory + PAGE_0_AFTER as u64, PAGE);
        let (start, size) = self.extended_area();
        self.hardware.copy(start, self.memory + EBDA_AFTER as u64, size);
        block.set(field::NMIS, self.field(stub::NMIS));
        block.set(field::TICKS, self.field(stub::TICKS));
        self.hardware.copy(LOW_BUFFER as u64, self.memory + BUFFER as u64, self.length);
        if result == why::DEADLINE || result & why::EXCEPTION != 0 {
            self.undo();
        } else {
            self.unhook(vectors);
        }
        self.put_back();
        self.interrupts.to_linux(self.hardware, &before, &pins);
        State::read(self.hardware, hpet, clock).store(block.bytes_at(field::AFTER, field::state::SIZE));
        result
    }

    /// Copies from the image to low memory.
    fn copy(&mut self, from: usize, to: usize, bytes: u64) {
        self.hardware.copy(self.memory + from as u64, to as u64, bytes);
    }

    /// Keeps what the calls may change: the low pages, the buffer's place, and the BIOS's own data.
    fn keep(&mut self) {
        let memory = self.memory;
        self.hardware.copy(LOW_STACK as u64, memory + SAVED_LOW as u64, LOW_SIZE as u64);
        self.hardware.copy(LOW_BUFFER as u64, memory + SAVED_BUFFER as u64, self.length);
        self.hardware.copy(0, memory + PAGE_0_BEFORE as u64, PAGE);
        if self.keeps_upper {
            self.hardware.copy(UPPER as u64, memory + UPPER_BEFORE as u64, UPPER_SIZE as u64);
        }
        let (start, size) = self.extended_area();
        self.hardware.copy(start, memory + EBDA_BEFORE as u64, size);
    }

    fn put_back(&mut self) {
        self.copy(SAVED_LOW, LOW_STACK, LOW_SIZE as u64);
        self.copy(SAVED_BUFFER, LOW_BUFFER, self.length);
    }

    /// Puts the BIOS's own data back after a call that was ended in the middle of something: it
    /// may hold a lock, or have moved the top of a stack of its own. Of upper memory only words
    /// that differ are written: they are in RAM, whatever else there is.
    fn undo(&mut self) {
        self.copy(PAGE_0_BEFORE, 0, PAGE);
        let (start, size) = self.extended_area();
        self.copy(EBDA_BEFORE, usize::try_from(start).unwrap_or(0), size);
        let size = if self.keeps_upper { UPPER_SIZE as u64 } else { 0 };
        for offset in (0..size).step_by(4) {
            let before = self.hardware.read(self.memory + UPPER_BEFORE as u64 + offset);
            if self.hardware.read(UPPER as u64 + offset) != before {
                self.hardware.write(UPPER as u64 + offset, before);
            }
        }
    }

    /// Address and size of the extended BIOS data area, as page 0 named it before the calls. Its
    /// first byte is its size in KiB.
    fn extended_area(&mut self) -> (u64, u64) {
        let word = self.hardware.read(self.memory + (PAGE_0_BEFORE + 0x40c) as u64);
        let start = u64::from(word >> 16) * 16;
        if !(0x8_0000..0xa_0000).contains(&start) {
            return (0, 0);
        }
        let kibibytes = u64::from(self.hardware.read(start) & 0xff);
        (start, (kibibytes * 1024).min(EBDA_ROOM as u64).min(0xa_0000 - start))
    }

    /// Replaces vectors by the stub's handlers. Returns what they were.
    fn hook(&mut self) -> [(u8, u32); 6] {
        self.set_field(stub::OLD_TICK, self.old_tick);
        let handlers = self.hardware.handlers().all;
        handlers.map(|(vector, offset)| {
            let place = u64::from(vector) * 4;
            let old = self.hardware.read(place);
            self.hardware.write(place, STUB_SEGMENT << 16 | u32::from(offset));
            (vector, old)
        })
    }

    /// Puts vectors back, unless a call replaced them.
    fn unhook(&mut self, vectors: [(u8, u32); 6]) {
        for (vector, old) in vectors {
            let place = u64::from(vector) * 4;
            if self.hardware.read(place) >> 16 == STUB_SEGMENT {
                self.hardware.write(place, old);
            }
        }
    }

    fn calls(&mut self, block: &mut Block<'_>) -> u32 {
        for number in 0..block.calls() {
            let result = self.call(block.call(number));
            block.set(field::DONE, u32::try_from(number).unwrap_or(0) + 1);
            if result != why::DONE {
                return result;
            }
        }
        why::DONE
    }

    /// Makes one call; the stub repeats it if it is a loop.
    fn call(&mut self, call: &mut [u8]) -> u32 {
        for out in [call::TIMES, call::WHY, call::WHERE] {
            block::set(call, out, 0);
        }
        block::set(call, call::TIME, 0);
        let arguments = registers_at(call, call::IN);
        let target = match self.target(call) {
            Ok(target) => target,
            Err(vector) => {
                block::set(call, call::WHY, why::VECTOR);
                block::set(call, call::WHERE, vector);
                return why::VECTOR;
            }
        };
        let is_loop = block::get(call, call::KIND) == kind::LOOP;
        let most = if is_loop { block::get(call, call::MOST) } else { 1 };
        if most == 0 {
            return why::DONE;
        }
        self.set_field(stub::TURNS, most.into());
        self.set_field(stub::STEP, block::get(call, call::STEP).into());
        let start = self.hardware.time();
        self.enter(call, &arguments, target);
        let time = self.hardware.time().wrapping_sub(start);
        store_registers(call, call::OUT, &self.registers(stub::OUT));
        block::set(call, call::TIME, time);
        block::set(call, call::TIMES, self.field(stub::TIMES));
        let result = self.field(stub::WHY);
        if result != why::DONE {
            block::set(call, call::WHY, result);
            block::set(call, call::WHERE, self.field(stub::WHERE));
        }
        result
    }

    /// What the call enters, or the interrupt vector that does not point into ROM.
    fn target(&mut self, call: &[u8]) -> Result<u32, u32> {
        if block::get(call, call::KIND) == kind::FAR {
            return Ok(block::get(call, call::TARGET));
        }
        let number = block::get(call, call::NUMBER);
        let is_hooked = self.hardware.handlers().all.iter().any(|(vector, _)| *vector == number);
        // The vector as it was, where it is ours now.
        let place = u64::from(number) * 4;
        let place = if is_hooked { self.memory + PAGE_0_BEFORE as u64 + place } else { place };
        let vector = self.hardware.read(place);
        let address = (vector >> 16) * 16 + (vector & 0xffff);
        if ROM.contains(&address) { Ok(vector) } else { Err(vector) }
    }

    fn enter(&mut self, call: &[u8], arguments: &Registers, target: u32) {
        #[expect(clippy::cast_possible_truncation, reason = "the other flags are not for real mode")]
        let flags = block::get(arguments, registers::EFLAGS) as u16;
        let is_far = block::get(call, call::KIND) == kind::FAR;
        let entry_flags = if is_far { flags } else { flags & !(INTERRUPTS | TRAP) };
        self.set_registers(arguments);
        // Two fields of 16 bits, of which the second is not used.
        self.hardware.write(address(stub::ENTRY_FLAGS), entry_flags.into());
        self.set_field(stub::TARGET, target);
        self.set_field(stub::WHY, why::DONE);
        self.set_field(stub::WHERE, 0);
        self.set_field(stub::TIMES, 0);
        let deadline = u32::from(block::get(call, call::DEADLINE)).max(1);
        self.set_field(stub::TICKS_ALLOWED, deadline);
        self.hardware.real_mode();
    }

    fn clear_stub(&mut self) {
        for field in [stub::WHY, stub::WHERE, stub::NMIS, stub::TICKS, stub::DEADLINE, stub::RESUMES] {
            self.set_field(field, 0);
        }
        for offset in (stub::OUT..stub::OUT + registers::SIZE).step_by(4) {
            self.set_field(Field::at(offset), 0);
        }
    }

    fn registers(&mut self, offset: usize) -> Registers {
        let mut all = [0; registers::SIZE];
        for place in (0..registers::SIZE).step_by(4) {
            let word = self.field(Field::at(offset + place));
            block::set(&mut all, Field::at(place), word);
        }
        all
    }

    fn set_registers(&mut self, all: &Registers) {
        for place in (0..registers::SIZE).step_by(4) {
            self.set_field(Field::at(stub::IN + place), block::get(all, Field::at(place)));
        }
    }

    fn field(&mut self, field: Field<u32>) -> u32 {
        self.hardware.read(address(field))
    }

    fn set_field(&mut self, field: Field<u32>, value: u32) {
        self.hardware.write(address(field), value);
    }
}

/// The address of one of the stub's fields.
fn address<T: Copy>(field: Field<T>) -> u64 {
    (LOW_STUB + field.offset()) as u64
}

const _: () = assert!(EBDA_SEGMENT.offset() == 0x40e);

#[cfg(test)]
#[path = "run_tests.rs"]
mod tests;
