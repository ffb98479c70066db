//! Instructions.

use core::arch::asm;

/// The CPU that this runs on.
pub(super) struct Cpu;

impl Cpu {
    pub(super) fn input(&mut self, port: u16) -> u8 {
        let byte;
        // SAFETY: I/O to the ports of interrupt controllers, timers and the clock.
        unsafe { asm!("in %dx, %al", in("dx") port, out("al") byte, options(att_syntax, nomem, nostack)) }
        byte
    }

    pub(super) fn output(&mut self, port: u16, byte: u8) {
        // SAFETY: as in `input`; none of these ports writes to memory.
        unsafe { asm!("out %al, %dx", in("dx") port, in("al") byte, options(att_syntax, nomem, nostack)) }
    }

    pub(super) fn register(&mut self, number: u32) -> u64 {
        let (low, high): (u32, u32);
        // SAFETY: registers of the local APIC and EFER, which every 64-bit CPU has.
        unsafe {
            asm!("rdmsr", in("ecx") number, out("eax") low, out("edx") high,
                options(att_syntax, nomem, nostack));
        }
        u64::from(high) << 32 | u64::from(low)
    }

    pub(super) fn set_register(&mut self, number: u32, value: u64) {
        #[expect(clippy::cast_possible_truncation, reason = "the low half, then the high one")]
        let (low, high) = (value as u32, (value >> 32) as u32);
        // SAFETY: registers of the local APIC in x2APIC mode.
        unsafe {
            asm!("wrmsr", in("ecx") number, in("eax") low, in("edx") high,
                options(att_syntax, nomem, nostack));
        }
    }

    pub(super) fn control(&mut self) -> [u64; 2] {
        let (cr0, cr4);
        // SAFETY: reads two registers.
        unsafe {
            asm!("mov %cr0, {0}", "mov %cr4, {1}", out(reg) cr0, out(reg) cr4,
                options(att_syntax, nomem, nostack));
        }
        [cr0, cr4]
    }

    pub(super) fn descriptors(&mut self) -> [(u64, u16); 2] {
        // The operand of both instructions is a limit of 16 bits, and an address of 64.
        #[repr(C, packed)]
        struct Operand(u16, u64);
        let (mut global, mut interrupts) = (Operand(0, 0), Operand(0, 0));
        // SAFETY: each stores ten bytes, the size of its operand.
        unsafe {
            asm!("sgdt ({0})", "sidt ({1})", in(reg) &raw mut global, in(reg) &raw mut interrupts,
                options(att_syntax, nostack, preserves_flags));
        }
        [(global.1, global.0), (interrupts.1, interrupts.0)]
    }

    pub(super) fn time(&mut self) -> u64 {
        // SAFETY: reads a counter.
        unsafe { core::arch::x86_64::_rdtsc() }
    }
}

/// A word of memory or of a device. Address 0 is memory too, which no Rust pointer may have.
pub(super) fn read_word(address: u64) -> u32 {
    let word;
    // SAFETY: the address is mapped: low memory, the image's own, or a device that the block names.
    unsafe {
        asm!("mov ({0}), {1:e}", in(reg) address, out(reg) word,
            options(att_syntax, nostack, preserves_flags));
    }
    word
}

pub(super) fn write_word(address: u64, word: u32) {
    // SAFETY: as in `read_word`; what is written to is kept first, or a device.
    unsafe {
        asm!("mov {1:e}, ({0})", in(reg) address, in(reg) word,
            options(att_syntax, nostack, preserves_flags));
    }
}

/// Waits for ever: a fault of this program, which has no panic path, would end here.
pub(super) fn stop() -> ! {
    loop {
        // SAFETY: halts.
        unsafe { asm!("cli", "hlt", options(att_syntax, nomem, nostack)) }
    }
}
