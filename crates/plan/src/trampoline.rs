//! From `kexec_load`'s way of entering an image to a [`Goal`]: a page of its own, entered at its first byte.
//!
//! ```text
//! 0x000  code
//! 0x100  what lgdt reads: limit, base
//! 0x110  what lidt reads for real mode: limit, base
//! 0x118  64-bit goal
//! 0x120  GDT
//! 0x1000 top of the stack
//! ```
//!
//! The page lies below 4 GiB for a goal in 32-bit mode, below 1 MiB for one in real mode.

use std::borrow::Cow;

use phys::PhysRange;

use crate::goal::register::RSP;
use crate::{CpuMode, Goal, Segment};

/// The name of its segment.
pub(crate) const NAME: &str = "trampoline";
/// Size of the page.
pub(crate) const SIZE: u64 = 0x1000;

const GDTR: usize = 0x100;
const IDTR: usize = 0x110;
const TARGET: usize = 0x118;
const GDT: usize = 0x120;

/// 64-bit code, base 0; flat 32-bit code; flat data (Intel SDM volume 3, 3.4.5), all of them accessed already.
const CODE_64: u64 = 0x00af_9b00_0000_ffff;
const CODE_32: u64 = 0x00cf_9b00_0000_ffff;
const DATA_32: u64 = 0x00cf_9300_0000_ffff;
/// 16-bit code and data of 64 KiB; the base is added.
const CODE_16: u64 = 0x0000_9b00_0000_ffff;
const DATA_16: u64 = 0x0000_9300_0000_ffff;
/// Selectors of the code that is entered, and of data.
const CODE: u8 = 0x10;
const DATA: u8 = 0x18;
const REAL_CODE: u16 = 0x20;
const REAL_DATA: u8 = 0x28;

/// The page as a segment.
pub(crate) fn segment(range: PhysRange, goal: &Goal) -> Segment<'static> {
    Segment { name: NAME, range, bytes: Cow::Owned(page(range.start().get(), goal)) }
}

/// The page for its address and what it enters.
///
/// In: 64-bit mode, the page and the goal identity-mapped, interrupts off.
/// Out: the goal's mode and registers, flat selectors 0x10 (code) and 0x18 (data) but in real mode, interrupts off.
pub(crate) fn page(address: u64, goal: &Goal) -> Vec<u8> {
    let mut page = Page { bytes: Vec::with_capacity(GDT + 48), address };
    page.code(&[0x0f, 0x01, 0x15]); // lgdt GDTR(%rip)
    page.relative(GDTR);
    match goal.mode {
        CpuMode::Long => page.enter_long(goal),
        CpuMode::Protected => {
            page.leave_long();
            page.load_32(goal);
            // ljmp $0x10, $goal
            page.code(&[0xea]);
            page.word(goal.address);
            page.code(&[CODE, 0]);
        }
        CpuMode::Real => {
            page.leave_long();
            page.enter_real(goal);
        }
    }
    page.tables(goal);
    page.bytes
}

struct Page {
    bytes: Vec<u8>,
    address: u64,
}

impl Page {
    fn code(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The distance from behind it to an offset of the page.
    fn relative(&mut self, offset: usize) {
        let distance = offset.wrapping_sub(self.bytes.len() + 4);
        self.word(distance as u64);
    }

    /// The lower half of a number.
    fn word(&mut self, number: u64) {
        let [a, b, c, d, ..] = number.to_le_bytes();
        self.code(&[a, b, c, d]);
    }

    fn half(&mut self, number: u64) {
        let [a, b, ..] = number.to_le_bytes();
        self.code(&[a, b]);
    }

    /// Data segments: `mov %eax` to ds, es, fs, gs, ss.
    fn data_segments(&mut self) {
        self.code(&[0x8e, 0xd8, 0x8e, 0xc0, 0x8e, 0xe0, 0x8e, 0xe8, 0x8e, 0xd0]);
    }

    /// Registers but the stack's, by `movabs`; the goal is taken from the page, so that all of them are free.
    fn enter_long(&mut self, goal: &Goal) {
        self.code(&[0xb8, DATA, 0, 0, 0]); // mov $0x18, %eax
        self.data_segments();
        let stack = self.stack(goal);
        for (number, value) in (0_u8..).zip(goal.registers) {
            self.code(&[0x48, 0xb8 + number]); // movabs $value, %register
            let value = if usize::from(number) == RSP { stack } else { value };
            self.code(&value.to_le_bytes());
        }
        self.code(&[0x6a, CODE]); // push $0x10
        self.code(&[0xff, 0x35]); // push TARGET(%rip)
        self.relative(TARGET);
        self.code(&[0x48, 0xcb]); // lretq
    }

    fn stack(&self, goal: &Goal) -> u64 {
        match goal.registers.get(RSP) {
            Some(&stack) if stack != 0 => stack,
            _ => self.address + SIZE,
        }
    }

    /// Into a 32-bit code segment, then paging, long mode and all features of CR4 off.
    fn leave_long(&mut self) {
        self.code(&[0x48, 0xbc]); // movabs $stack, %rsp
        self.code(&(self.address + SIZE).to_le_bytes());
        self.code(&[0x6a, CODE]); // push $0x10
        self.code(&[0x48, 0x8d, 0x05]); // lea behind(%rip), %rax
        self.word(3);
        self.code(&[0x50, 0x48, 0xcb]); // push %rax; lretq
        self.code(&[0x0f, 0x20, 0xc0]); // mov %cr0, %eax
        self.code(&[0x25, 0xff, 0xff, 0xff, 0x7f]); // and $0x7fffffff, %eax
        self.code(&[0x0f, 0x22, 0xc0]); // mov %eax, %cr0
        self.code(&[0xb9, 0x80, 0, 0, 0xc0]); // mov $0xc0000080, %ecx
        self.code(&[0x0f, 0x32]); // rdmsr
        self.code(&[0x0f, 0xba, 0xf0, 8]); // btr $8, %eax
        self.code(&[0x0f, 0x30]); // wrmsr
        self.code(&[0x31, 0xc0, 0x0f, 0x22, 0xe0]); // xor %eax, %eax; mov %eax, %cr4
        self.code(&[0xb8, DATA, 0, 0, 0]); // mov $0x18, %eax
        self.data_segments();
    }

    fn load_32(&mut self, goal: &Goal) {
        let stack = self.stack(goal);
        for (number, value) in (0_u8..).zip(goal.registers) {
            self.code(&[0xb8 + number]); // mov $value, %register
            self.word(if usize::from(number) == RSP { stack } else { value });
        }
    }

    /// Through 16-bit segments, which leave the limits that real mode has, to real mode.
    fn enter_real(&mut self, goal: &Goal) {
        self.code(&[0x0f, 0x01, 0x1d]); // lidt IDTR
        self.word(self.address + IDTR as u64);
        self.code(&[0xb8, REAL_DATA, 0, 0, 0]); // mov $0x28, %eax
        self.data_segments();
        self.code(&[0xea]); // ljmp $0x20, $behind
        self.word(self.bytes.len() as u64 + 6);
        self.code(&REAL_CODE.to_le_bytes());
        self.code(&[0x0f, 0x20, 0xc0]); // mov %cr0, %eax
        self.code(&[0x66, 0x83, 0xe0, 0xfe]); // and $~1, %eax
        self.code(&[0x0f, 0x22, 0xc0]); // mov %eax, %cr0
        self.code(&[0xea]); // ljmp $segment, $behind
        self.half(self.bytes.len() as u64 + 4);
        self.half(self.address >> 4);
        self.code(&[0xb8]); // mov $segment, %ax
        self.code(&goal.segment.to_le_bytes());
        self.data_segments();
        for (number, value) in (0_u8..).zip(goal.registers) {
            self.code(&[0x66, 0xb8 + number]); // mov $value, %register
            self.word(value);
        }
        self.code(&[0xea]); // ljmp $segment, $offset
        self.half(goal.address);
        self.half(goal.address >> 16);
    }

    fn tables(&mut self, goal: &Goal) {
        let base = (self.address & 0xff_ffff) << 16;
        let code = if goal.mode == CpuMode::Long { CODE_64 } else { CODE_32 };
        let descriptors = [0, 0, code, DATA_32, CODE_16 | base, DATA_16];
        self.bytes.resize(GDTR, 0);
        self.half(descriptors.len() as u64 * 8 - 1);
        self.code(&(self.address + GDT as u64).to_le_bytes());
        self.bytes.resize(IDTR, 0);
        self.half(0x3ff);
        self.word(0);
        self.bytes.resize(TARGET, 0);
        self.code(&goal.address.to_le_bytes());
        self.code(&descriptors.map(u64::to_le_bytes).concat());
    }
}

#[cfg(test)]
mod tests;
