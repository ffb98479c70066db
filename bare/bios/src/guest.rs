//! A program in real mode: its registers and its memory, as far as a service uses them.

use abi::bios::{registers, stub};
use abi::{Field, Number};

use crate::block::{self, Registers};
use crate::hardware::Hardware;

/// Carry flag.
const CARRY: u32 = 1 << 0;
/// Trap and interrupt flags, which an interrupt clears.
const MASKED: u32 = 1 << 8 | 1 << 9;
/// First address of memory that real mode reaches only by segments from 0xf001 on.
pub(crate) const MIB: u64 = 1 << 20;

/// The program at an interrupt: what `stub` stored, and what goes on from there.
pub(crate) struct Guest {
    stub: u64,
    registers: Registers,
    /// IP, and CS in the high half, of where it goes on.
    frame: u32,
    flags: u32,
    stack: u32,
}

impl Guest {
    /// The program as it is started: at 0000:7c00, with interrupts enabled.
    pub(crate) fn at_boot(stub: u64, drive: u8) -> Self {
        const BOOT: u32 = 0x7c00;
        let mut registers = [0; registers::SIZE];
        block::set(&mut registers, registers::EDX, drive.into());
        Self { stub, registers, frame: BOOT, flags: 0x202, stack: BOOT }
    }

    /// The program at a service.
    pub(crate) fn at_service(stub: u64, hardware: &mut impl Hardware) -> Self {
        let mut registers = [0; registers::SIZE];
        for place in (0..registers::SIZE).step_by(4) {
            let word = hardware.read(stub + (stub::OUT + place) as u64);
            block::set(&mut registers, Field::at(place), word);
        }
        let mut field = |field: Field<u32>| hardware.read(stub + field.offset() as u64);
        let (frame, flags, stack) = (field(stub::FRAME), field(stub::FRAME_FLAGS), field(stub::ESP));
        Self { stub, registers, frame, flags: flags & 0xffff, stack }
    }

    /// Lets it go on after the interrupt.
    pub(crate) fn returns(mut self, hardware: &mut impl Hardware) {
        // The frame of the interrupt: IP, CS, flags.
        self.stack = self.stack.wrapping_add(6);
        self.store(hardware);
    }

    /// Lets it go on with the handler that was there before, which finds the stack as it is.
    pub(crate) fn passes_on(mut self, handler: u32, hardware: &mut impl Hardware) {
        self.frame = handler;
        self.flags &= !MASKED;
        self.store(hardware);
    }

    /// Starts it.
    pub(crate) fn starts(self, hardware: &mut impl Hardware) {
        for field in [stub::SS, stub::FS, stub::GS, stub::CR4, stub::A20_CLOSED, stub::WHY] {
            hardware.write(self.stub + field.offset() as u64, 0);
        }
        hardware.write(self.stub + stub::RESUMES.offset() as u64, 1);
        self.store(hardware);
    }

    fn store(&self, hardware: &mut impl Hardware) {
        for place in (0..registers::SIZE).step_by(4) {
            let word = block::get(&self.registers, Field::at(place));
            hardware.write(self.stub + (stub::IN + place) as u64, word);
        }
        let fields = [
            (stub::ENTRY_FLAGS.offset(), self.flags),
            (stub::TARGET.offset(), self.frame),
            (stub::ESP.offset(), self.stack),
        ];
        for (offset, value) in fields {
            hardware.write(self.stub + offset as u64, value);
        }
    }

    pub(crate) fn get<T: Number>(&self, register: Field<T>) -> T {
        block::get(&self.registers, register)
    }

    pub(crate) fn set<T: Number>(&mut self, register: Field<T>, value: T) {
        block::set(&mut self.registers, register, value);
    }

    /// The status that most services return: the carry flag for an error.
    pub(crate) fn set_carry(&mut self, carry: bool) {
        self.flags = if carry { self.flags | CARRY } else { self.flags & !CARRY };
    }
}

/// The low half of a register.
pub(crate) const fn low(register: Field<u32>) -> Field<u16> {
    Field::at(register.offset())
}

/// Bits 0 to 7 of a register.
pub(crate) const fn lowest(register: Field<u32>) -> Field<u8> {
    Field::at(register.offset())
}

/// Bits 8 to 15.
pub(crate) const fn second(register: Field<u32>) -> Field<u8> {
    Field::at(register.offset() + 1)
}

/// AH, the function and the status of most services.
pub(crate) const AH: Field<u8> = second(registers::EAX);
/// AL.
pub(crate) const AL: Field<u8> = lowest(registers::EAX);

/// The address of an offset in a segment.
pub(crate) fn address(segment: u16, offset: u16) -> u64 {
    u64::from(segment) * 16 + u64::from(offset)
}

/// The memory that the program has: base memory up to the stub, and some above 1 MiB.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Memory {
    pub(crate) stub: u64,
    /// First address after the memory above 1 MiB.
    pub(crate) end: u64,
}

impl Memory {
    /// Whether it has all of these bytes.
    pub(crate) fn has(self, start: u64, bytes: u64) -> bool {
        let Some(end) = start.checked_add(bytes) else { return false };
        end <= self.stub || start >= MIB && end <= self.end
    }

    /// Bytes above 1 MiB.
    pub(crate) const fn above(self) -> u64 {
        self.end.saturating_sub(MIB)
    }
}
