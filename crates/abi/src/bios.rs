//! Calls of the BIOS: a block at the start of the image that makes them, filled in by the program.
//! The image also runs a [`disk`] in their place.
//!
//! ```text
//! 0x00000  block: the fields below, then the calls
//! 0x01000  code and constants, entered at the first byte in 64-bit mode
//! 0x08000  variables and the stack, zero at first
//! 0x0d000  page tables for returning to 64-bit mode
//! 0x11000  what was in the low pages; then page 0 and the extended data area, before and after the
//!          calls
//! 0x20000  the buffer's contents, in and out
//! 0x30000  what was in the buffer's place
//! 0x40000  what was in upper memory, where a BIOS has its ROMs and more of its data
//! 0x80000
//! ```
//!
//! The image runs at any address below 4 GiB. During the calls three pages below 1 MiB hold the
//! code that makes them, its stack and its fields, and a segment holds the buffer. Code and fields
//! are apart: writes near code are slow, on CPUs and more so in emulators.
//!
//! ```text
//! 0x10000  stack
//! 0x11000  the stub: a page of code, then one with [`stub`]'s fields
//! 0x20000  buffer, at most 64 KiB
//! 0x30000
//! ```

use crate::field::{Field, are_apart};

pub mod disk;

/// Offset of the code, which is also the entry point.
pub const ENTRY: usize = 0x1000;
/// Offset of the first byte that changes while it runs.
pub const VARIABLES: usize = 0x8000;
/// Offset of four page tables.
pub const TABLES: usize = 0xd000;
/// Offset of what was in the three low pages.
pub const SAVED_LOW: usize = 0x1_1000;
/// Offset of page 0 of memory, with the interrupt vectors and the BIOS's variables, before the
/// calls.
pub const PAGE_0_BEFORE: usize = 0x1_4000;
/// Offset of the same after the calls, before anything was put back.
pub const PAGE_0_AFTER: usize = 0x1_5000;
/// Offset of the first [`EBDA_ROOM`] bytes of the extended BIOS data area before the calls.
pub const EBDA_BEFORE: usize = 0x1_6000;
/// Offset of the same after the calls, before anything was put back.
pub const EBDA_AFTER: usize = 0x1_7000;
/// Most bytes of the extended BIOS data area that are kept.
pub const EBDA_ROOM: usize = 0x1000;
/// Offset of the buffer's contents.
pub const BUFFER: usize = 0x2_0000;
/// Most bytes of the buffer.
pub const BUFFER_ROOM: usize = 0x1_0000;
/// Offset of what was in the buffer's place.
pub const SAVED_BUFFER: usize = 0x3_0000;
/// Offset of what was in upper memory before the calls.
pub const UPPER_BEFORE: usize = 0x4_0000;
/// All of the image's memory.
pub const MEMORY: usize = 0x8_0000;

/// Physical address of upper memory.
pub const UPPER: usize = 0xc_0000;
/// Bytes of upper memory.
pub const UPPER_SIZE: usize = 0x4_0000;

/// Physical address of the real-mode stack.
pub const LOW_STACK: usize = 0x1_0000;
/// Physical address of the stub.
pub const LOW_STUB: usize = 0x1_1000;
/// Bytes of stack and stub.
pub const LOW_SIZE: usize = 0x3000;
/// Physical address of the buffer during the calls.
pub const LOW_BUFFER: usize = 0x2_0000;

/// First word of a block.
pub const MAGIC_NUMBER: u64 = u64::from_le_bytes(*b"kjmpbios");

/// [`MAGIC_NUMBER`].
pub const MAGIC: Field<u64> = Field::at(0x00);
/// Bits of [`flag`].
pub const FLAGS: Field<u32> = Field::at(0x08);
/// How many calls there are.
pub const CALL_COUNT: Field<u32> = Field::at(0x0c);
/// Address of the HPET's registers, 0 for none.
pub const HPET: Field<u64> = Field::at(0x10);
/// Address of the I/O APIC that has the ISA interrupts, 0 for none.
pub const IO_APIC: Field<u64> = Field::at(0x18);
/// First vector of both 8259s in Linux: the first one's in the low byte.
pub const PIC_LINUX: Field<u16> = Field::at(0x20);
/// Interrupts that both 8259s mask during the calls; IRQ 0 is bit 0.
pub const PIC_MASK: Field<u16> = Field::at(0x22);
/// Bytes of the buffer that are copied in and out.
pub const BUFFER_LENGTH: Field<u32> = Field::at(0x24);

/// Out: how many calls were made, one that ended early included.
pub const DONE: Field<u32> = Field::at(0x28);
/// Out: one of [`why`].
pub const WHY: Field<u32> = Field::at(0x2c);
/// Out: NMIs that came during the calls.
pub const NMIS: Field<u32> = Field::at(0x30);
/// Out: ticks of IRQ 0 that came during the calls.
pub const TICKS: Field<u32> = Field::at(0x34);
/// Out: the time stamp counter at entry, before the first call, after the last, at the end.
pub const STAMPS: usize = 0x38;
/// Out: the machine's [`state`] before anything was changed.
pub const BEFORE: usize = 0x58;
/// Out: the state after everything was put back.
pub const AFTER: usize = 0xc0;
/// Out: the state as the calls left it.
pub const BETWEEN: usize = 0x128;
/// The calls.
pub const CALLS: usize = 0x190;
/// Most calls there is room for.
pub const CALLS_MAX: usize = (ENTRY - CALLS) / call::SIZE;

/// A time stamp, by its number from 0 to 3.
#[must_use]
pub const fn stamp(number: usize) -> Field<u64> {
    Field::at(STAMPS + number * 8)
}

/// Bits of [`FLAGS`].
pub mod flag {
    /// The I/O APIC's first 16 pins are masked meanwhile. Only while no other CPU runs: an access
    /// takes two steps.
    pub const MASK_IO_APIC: u32 = 1 << 0;
    /// No interrupt reaches the BIOS, and no deadline ends a call.
    pub const NO_INTERRUPTS: u32 = 1 << 1;
    /// Upper memory is kept, and put back after a call that was ended early. It takes as long as a
    /// short call.
    pub const KEEP_UPPER: u32 = 1 << 2;
    /// The real-time clock's registers are read and put back. Only where no other CPU runs, or if
    /// the calls need it: an access takes two steps, and the kernel's could come between.
    pub const KEEP_CLOCK: u32 = 1 << 3;
    /// In place of the calls there is a [`disk`](super::disk), which is run. No other CPU may run
    /// meanwhile.
    pub const RUN_DISK: u32 = 1 << 4;
}

/// Values of [`WHY`] and of a call's.
pub mod why {
    /// Everything was done.
    pub const DONE: u32 = 0;
    /// An exception in real mode; its vector in the low byte.
    pub const EXCEPTION: u32 = 0x100;
    /// The deadline passed.
    pub const DEADLINE: u32 = 0x1ff;
    /// The interrupt vector does not point into ROM.
    pub const VECTOR: u32 = 0x200;
    /// The CPU runs virtual machines, and cannot leave 64-bit mode (VMX, SVM).
    pub const VIRTUALIZATION: u32 = 0x201;
    /// The block is not valid.
    pub const SENSELESS: u32 = 0x202;
    /// There is no BIOS: its interrupt vectors are all zero.
    pub const NO_BIOS: u32 = 0x203;
    /// The BIOS has less base memory than a program is to get.
    pub const BASE_MEMORY: u32 = 0x204;
    /// The program on a disk called INT 18h: it could not do its work.
    pub const INT_18: u32 = 0x218;
    /// It called INT 19h: it ended.
    pub const INT_19: u32 = 0x219;
    /// Ctrl, Alt and Del were pressed.
    pub const KEYS: u32 = 0x21a;
    /// It restarted the CPU.
    pub const RESTART: u32 = 0x21b;
}

/// A call's fields, counted from its first byte.
pub mod call {
    use crate::field::Field;

    /// Bytes of a call.
    pub const SIZE: usize = 0x80;
    /// One of [`kind`](super::kind).
    pub const KIND: Field<u8> = Field::at(0x00);
    /// The interrupt's number.
    pub const NUMBER: Field<u8> = Field::at(0x01);
    /// Most times that a loop makes the call.
    pub const MOST: Field<u16> = Field::at(0x02);
    /// Added to EDI after each turn of a loop.
    pub const STEP: Field<u16> = Field::at(0x04);
    /// Ticks of IRQ 0 (18.2 a second) after which the call is ended, at least 1.
    pub const DEADLINE: Field<u16> = Field::at(0x06);
    /// The registers in: [`registers`](super::registers).
    pub const IN: usize = 0x08;
    /// Far call: the offset in the low half, the segment in the high one.
    pub const TARGET: Field<u32> = Field::at(0x2c);
    /// Out: the registers.
    pub const OUT: usize = 0x30;
    /// Out: how many times the call was made.
    pub const TIMES: Field<u32> = Field::at(0x54);
    /// Out: one of [`why`](super::why).
    pub const WHY: Field<u32> = Field::at(0x58);
    /// Out: where it was ended, as offset and segment.
    pub const WHERE: Field<u32> = Field::at(0x5c);
    /// Out: ticks of the time stamp counter in real mode, with the change of modes.
    pub const TIME: Field<u64> = Field::at(0x60);
}

/// Values of a call's kind.
pub mod kind {
    /// INT n.
    pub const INTERRUPT: u8 = 1;
    /// INT n until EBX is 0 or the carry flag is set; EBX is passed on, EDI grows by the step.
    pub const LOOP: u8 = 2;
    /// A far call.
    pub const FAR: u8 = 3;
}

/// The registers of real mode, counted from the first.
pub mod registers {
    use crate::field::Field;

    /// Bytes of all.
    pub const SIZE: usize = 0x24;
    /// EAX.
    pub const EAX: Field<u32> = Field::at(0x00);
    /// EBX.
    pub const EBX: Field<u32> = Field::at(0x04);
    /// ECX.
    pub const ECX: Field<u32> = Field::at(0x08);
    /// EDX.
    pub const EDX: Field<u32> = Field::at(0x0c);
    /// ESI.
    pub const ESI: Field<u32> = Field::at(0x10);
    /// EDI.
    pub const EDI: Field<u32> = Field::at(0x14);
    /// EBP.
    pub const EBP: Field<u32> = Field::at(0x18);
    /// EFLAGS.
    pub const EFLAGS: Field<u32> = Field::at(0x1c);
    /// DS.
    pub const DS: Field<u16> = Field::at(0x20);
    /// ES.
    pub const ES: Field<u16> = Field::at(0x22);
}

/// What the calls may change and Linux relies on, counted from the first byte.
pub mod state {
    use crate::field::Field;

    /// Bytes of all.
    pub const SIZE: usize = 0x64;
    /// Masks of both 8259s.
    pub const PIC_MASK: Field<u16> = Field::at(0x00);
    /// Their edge and level control registers (ELCR).
    pub const PIC_LEVELS: Field<u16> = Field::at(0x02);
    /// Interrupts that they wait to deliver; compared with nothing.
    pub const PIC_REQUESTS: Field<u16> = Field::at(0x04);
    /// Status of the 8254's first channel, without output and null count.
    pub const PIT_MODE: Field<u8> = Field::at(0x06);
    /// System control port A (0x92), with the A20 gate in bit 1.
    pub const PORT_A: Field<u8> = Field::at(0x07);
    /// Registers A and B of the real-time clock, A without its update bit; 0 if they were not read.
    pub const RTC: Field<u16> = Field::at(0x08);
    /// 1 if addresses wrap at 1 MiB, as they do with the A20 gate closed.
    pub const WRAPS: Field<u16> = Field::at(0x0a);
    /// General configuration of the HPET, its low half.
    pub const HPET: Field<u32> = Field::at(0x0c);
    /// Registers of the local APIC, in the order of [`LOCAL_APIC_REGISTERS`].
    pub const LOCAL_APIC: usize = 0x10;
    /// Offsets of these registers: LINT0, LINT1, performance counters, thermal sensor, timer,
    /// spurious vector, task priority. They are put back in this order: priority is last, since it
    /// holds back everything else.
    pub const LOCAL_APIC_REGISTERS: [u32; 7] = [0x350, 0x360, 0x340, 0x330, 0x320, 0xf0, 0x80];
    /// Sum of the interrupt vectors, as 32-bit words.
    pub const VECTORS: Field<u32> = Field::at(0x2c);
    /// The local APIC's base register.
    pub const APIC_BASE: Field<u64> = Field::at(0x30);
    /// CR0.
    pub const CR0: Field<u64> = Field::at(0x38);
    /// CR4.
    pub const CR4: Field<u64> = Field::at(0x40);
    /// EFER.
    pub const EFER: Field<u64> = Field::at(0x48);
    /// Addresses of the global and of the interrupt descriptor table that the image is entered
    /// with.
    pub const DESCRIPTORS: [Field<u64>; 2] = [Field::at(0x50), Field::at(0x58)];
    /// Their limits, in the same order.
    pub const LIMITS: [Field<u16>; 2] = [Field::at(0x60), Field::at(0x62)];
}

/// The stub's fields in low memory, counted from its first byte.
pub mod stub {
    use crate::field::Field;

    /// Offset of the first field, and most bytes of the code.
    pub const FIELDS: usize = 0x1000;
    /// The registers in.
    pub const IN: usize = 0x1000;
    /// The flags with which the code is entered: IF and TF are off for an interrupt.
    pub const ENTRY_FLAGS: Field<u16> = Field::at(0x1028);
    /// What is called: the offset, then the segment.
    pub const TARGET: Field<u32> = Field::at(0x102c);
    /// The registers out.
    pub const OUT: usize = 0x1030;
    /// One of [`why`](super::why).
    pub const WHY: Field<u32> = Field::at(0x1058);
    /// Where the call was ended.
    pub const WHERE: Field<u32> = Field::at(0x105c);
    /// NMIs.
    pub const NMIS: Field<u32> = Field::at(0x1060);
    /// Ticks.
    pub const TICKS: Field<u32> = Field::at(0x1064);
    /// Ticks until the call is ended, in a loop this turn of it.
    pub const DEADLINE: Field<u32> = Field::at(0x1068);
    /// The handler of IRQ 0 before ours.
    pub const OLD_TICK: Field<u32> = Field::at(0x106c);
    /// Operand of `lgdt` for returning: limit, then base.
    pub const DESCRIPTORS_LIMIT: Field<u16> = Field::at(0x1072);
    /// The base.
    pub const DESCRIPTORS: Field<u32> = Field::at(0x1074);
    /// Where 32-bit code goes on: the offset.
    pub const BACK: Field<u32> = Field::at(0x1078);
    /// The selector for it.
    pub const BACK_SELECTOR: Field<u16> = Field::at(0x107c);
    /// Address of the image's code.
    pub const CODE: Field<u32> = Field::at(0x1080);
    /// Turns of a loop that may be made yet, at least 1.
    pub const TURNS: Field<u32> = Field::at(0x1084);
    /// Added to EDI after each turn.
    pub const STEP: Field<u32> = Field::at(0x1088);
    /// What [`DEADLINE`] is at the start of each turn.
    pub const TICKS_ALLOWED: Field<u32> = Field::at(0x108c);
    /// Out: turns made.
    pub const TIMES: Field<u32> = Field::at(0x1090);
    /// For the handlers.
    pub const SCRATCH: Field<u16> = Field::at(0x1094);
    /// Where the stub goes on in real mode: the offset in its first byte's segment, then that.
    pub const REAL_MODE: Field<u32> = Field::at(0x1098);
    /// Not 0: the registers in are those of a program that goes on, and the fields below are too.
    pub const RESUMES: Field<u32> = Field::at(0x109c);
    /// Out: the interrupt that the program called, or [`RESTART`](super::why::RESTART).
    pub const SERVICE: Field<u32> = Field::at(0x10a0);
    /// Out: what the interrupt pushed: IP, then CS.
    pub const FRAME: Field<u32> = Field::at(0x10a4);
    /// Out: and the flags.
    pub const FRAME_FLAGS: Field<u32> = Field::at(0x10a8);
    /// The program's ESP, in and out.
    pub const ESP: Field<u32> = Field::at(0x10ac);
    /// Its SS.
    pub const SS: Field<u32> = Field::at(0x10b0);
    /// Its FS.
    pub const FS: Field<u32> = Field::at(0x10b4);
    /// Its GS.
    pub const GS: Field<u32> = Field::at(0x10b8);
    /// Its CR4.
    pub const CR4: Field<u32> = Field::at(0x10bc);
    /// Not 0: it has closed the A20 gate.
    pub const A20_CLOSED: Field<u32> = Field::at(0x10c0);
    /// The handler of INT 15h before ours.
    pub const OLD_15: Field<u32> = Field::at(0x10c4);
    /// Top of a stack of a few words, for between the program and the image.
    pub const STACK_TOP: usize = 0x1ff0;
}

/// The BIOS's variables in page 0: the segment of the extended BIOS data area.
pub const EBDA_SEGMENT: Field<u16> = Field::at(0x40e);

const _: () = {
    let spans = [
        MAGIC.span(),
        FLAGS.span(),
        CALL_COUNT.span(),
        HPET.span(),
        IO_APIC.span(),
        PIC_LINUX.span(),
        PIC_MASK.span(),
        BUFFER_LENGTH.span(),
        DONE.span(),
        WHY.span(),
        NMIS.span(),
        TICKS.span(),
        (STAMPS, STAMPS + 4 * 8),
        (BEFORE, BEFORE + state::SIZE),
        (AFTER, AFTER + state::SIZE),
        (BETWEEN, BETWEEN + state::SIZE),
        (CALLS, CALLS + CALLS_MAX * call::SIZE),
    ];
    assert!(are_apart(&spans, ENTRY));
    let spans = [
        (ENTRY, VARIABLES),
        (VARIABLES, TABLES),
        (TABLES, TABLES + 0x4000),
        (SAVED_LOW, SAVED_LOW + LOW_SIZE),
        (PAGE_0_BEFORE, PAGE_0_BEFORE + 0x1000),
        (PAGE_0_AFTER, PAGE_0_AFTER + 0x1000),
        (EBDA_BEFORE, EBDA_BEFORE + EBDA_ROOM),
        (BUFFER, BUFFER + BUFFER_ROOM),
        (SAVED_BUFFER, SAVED_BUFFER + BUFFER_ROOM),
        (UPPER_BEFORE, UPPER_BEFORE + UPPER_SIZE),
    ];
    assert!(are_apart(&spans, MEMORY));
    let spans =
        [(LOW_STACK, LOW_STUB), (LOW_STUB, LOW_STACK + LOW_SIZE), (LOW_BUFFER, LOW_BUFFER + BUFFER_ROOM)];
    assert!(are_apart(&spans, 0x8_0000));
    let spans = [
        call::KIND.span(),
        call::NUMBER.span(),
        call::MOST.span(),
        call::STEP.span(),
        call::DEADLINE.span(),
        (call::IN, call::IN + registers::SIZE),
        call::TARGET.span(),
        (call::OUT, call::OUT + registers::SIZE),
        call::TIMES.span(),
        call::WHY.span(),
        call::WHERE.span(),
        call::TIME.span(),
    ];
    assert!(are_apart(&spans, call::SIZE));
    let spans = [
        state::PIC_MASK.span(),
        state::PIC_LEVELS.span(),
        state::PIC_REQUESTS.span(),
        state::PIT_MODE.span(),
        state::PORT_A.span(),
        state::RTC.span(),
        state::WRAPS.span(),
        state::HPET.span(),
        (state::LOCAL_APIC, state::LOCAL_APIC + 7 * 4),
        state::VECTORS.span(),
        state::APIC_BASE.span(),
        state::CR0.span(),
        state::CR4.span(),
        state::EFER.span(),
        state::DESCRIPTORS[0].span(),
        state::DESCRIPTORS[1].span(),
        state::LIMITS[0].span(),
        state::LIMITS[1].span(),
    ];
    assert!(are_apart(&spans, state::SIZE));
    let spans = [
        (0, stub::FIELDS),
        (stub::IN, stub::IN + registers::SIZE),
        stub::ENTRY_FLAGS.span(),
        stub::TARGET.span(),
        (stub::OUT, stub::OUT + registers::SIZE),
        stub::WHY.span(),
        stub::WHERE.span(),
        stub::NMIS.span(),
        stub::TICKS.span(),
        stub::DEADLINE.span(),
        stub::OLD_TICK.span(),
        stub::DESCRIPTORS_LIMIT.span(),
        stub::DESCRIPTORS.span(),
        stub::BACK.span(),
        stub::BACK_SELECTOR.span(),
        stub::CODE.span(),
        stub::TURNS.span(),
        stub::STEP.span(),
        stub::TICKS_ALLOWED.span(),
        stub::TIMES.span(),
        stub::SCRATCH.span(),
        stub::REAL_MODE.span(),
        stub::RESUMES.span(),
        stub::SERVICE.span(),
        stub::FRAME.span(),
        stub::FRAME_FLAGS.span(),
        stub::ESP.span(),
        stub::SS.span(),
        stub::FS.span(),
        stub::GS.span(),
        stub::CR4.span(),
        stub::A20_CLOSED.span(),
        stub::OLD_15.span(),
        (stub::STACK_TOP, stub::STACK_TOP),
    ];
    assert!(are_apart(&spans, LOW_STACK + LOW_SIZE - LOW_STUB));
};
