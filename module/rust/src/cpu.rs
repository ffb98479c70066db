// SPDX-License-Identifier: GPL-2.0-only
//! CPU state that the relocator does not preserve: an image, or another kernel, may have changed it
//! on return.

use core::arch::asm;

mod msr;
mod mtrr;

pub use msr::probe;

/// Operand of `lgdt` and `lidt`.
#[repr(C, packed)]
#[derive(Clone, Copy)]
struct TablePointer {
    limit: u16,
    base: u64,
}

/// The registers as they were.
pub struct State {
    gdt: TablePointer,
    idt: TablePointer,
    task: u16,
    local: u16,
    data: [u16; 4],
    bases: [u64; 3],
    cr2: u64,
    cr8: u64,
    debug: [u64; 6],
    /// XCR0, where extended states are in use.
    extended: Option<u64>,
    /// Protection keys of user pages, where they are in use.
    user_keys: Option<u32>,
    kept: msr::Kept,
}

const CR4_OSXSAVE: u64 = 1 << 18;
const CR4_PKE: u64 = 1 << 22;

impl State {
    /// Reads the registers and disarms breakpoints. Interrupts are off.
    pub fn save() -> Self {
        let cr4 = read_cr4();
        let state = Self {
            gdt: read_gdt(),
            idt: read_idt(),
            task: read_task(),
            local: read_local(),
            data: read_data_selectors(),
            bases: [msr::FS_BASE, msr::GS_BASE, msr::KERNEL_GS_BASE].map(msr::read),
            cr2: read_cr2(),
            cr8: read_cr8(),
            debug: read_debug(),
            extended: (cr4 & CR4_OSXSAVE != 0).then(read_xcr0),
            user_keys: (cr4 & CR4_PKE != 0).then(read_user_keys),
            kept: msr::Kept::save(),
        };
        write_dr7(DR7_OFF);
        state
    }

    /// Puts the registers back.
    ///
    /// # Safety
    /// The state was saved on this CPU, CR0, CR3, CR4, EFER and the stack are as they were then,
    /// interrupts are off, and the GDT is the writable one.
    #[inline(always)]
    pub unsafe fn restore(&self) {
        // SAFETY: these are the values the kernel ran with. Per-CPU data is not accessed in
        // between: selectors are loaded before bases, and there is no return between loading `%gs`
        // and its base. The gates are the relocator's until the kernel's handler of NMIs has what
        // it needs: descriptors, its stack by the task register, and per-CPU data.
        unsafe {
            write_gdt(&self.gdt);
            self.restore_task();
            write_selectors(self.data);
            msr::write(msr::FS_BASE, self.bases[0]);
            msr::write(msr::GS_BASE, self.bases[1]);
            msr::write(msr::KERNEL_GS_BASE, self.bases[2]);
            write_idt(&self.idt);
            write_local(self.local);
            self.kept.restore();
            self.restore_extended();
            write_cr2(self.cr2);
            write_cr8(self.cr8);
        }
        write_debug(&self.debug);
    }

    /// `ltr` accepts a task state segment that is not busy, and marks it busy.
    #[inline(always)]
    unsafe fn restore_task(&self) {
        const BUSY: u32 = 1 << 9;
        let descriptor = (self.gdt.base + u64::from(self.task & !7) + 4) as *mut u32;
        // SAFETY: the descriptor is the one in use, in the writable GDT.
        unsafe {
            descriptor.write_volatile(descriptor.read_volatile() & !BUSY);
            asm!("ltr {0:x}", in(reg) self.task, options(att_syntax, nostack));
        }
    }

    #[inline(always)]
    unsafe fn restore_extended(&self) {
        if let Some(value) = self.extended
            && read_xcr0() != value
        {
            let (low, high) = halves(value);
            // SAFETY: the register held this value.
            unsafe {
                asm!("xsetbv", in("ecx") 0, in("eax") low, in("edx") high, options(att_syntax, nostack))
            };
        }
        if let Some(keys) = self.user_keys {
            // SAFETY: the register held this value.
            unsafe { asm!("wrpkru", in("eax") keys, in("ecx") 0, in("edx") 0, options(att_syntax, nostack)) };
        }
    }
}

/// The control register CR4.
pub fn read_cr4() -> u64 {
    let value;
    // SAFETY: reads a register.
    unsafe { asm!("mov %cr4, {}", out(reg) value, options(att_syntax, nostack, nomem)) };
    value
}

fn read_gdt() -> TablePointer {
    let mut table = TablePointer { limit: 0, base: 0 };
    // SAFETY: writes the ten bytes of `table`.
    unsafe { asm!("sgdt ({})", in(reg) &raw mut table, options(att_syntax, nostack)) };
    table
}

fn read_idt() -> TablePointer {
    let mut table = TablePointer { limit: 0, base: 0 };
    // SAFETY: writes the ten bytes of `table`.
    unsafe { asm!("sidt ({})", in(reg) &raw mut table, options(att_syntax, nostack)) };
    table
}

fn read_task() -> u16 {
    let value;
    // SAFETY: reads a register.
    unsafe { asm!("str {0:x}", out(reg) value, options(att_syntax, nostack, nomem)) };
    value
}

fn read_local() -> u16 {
    let value;
    // SAFETY: reads a register.
    unsafe { asm!("sldt {0:x}", out(reg) value, options(att_syntax, nostack, nomem)) };
    value
}

/// `%ds %es %fs %gs`.
fn read_data_selectors() -> [u16; 4] {
    let (ds, es, fs, gs): (u32, u32, u32, u32);
    // SAFETY: reads registers.
    unsafe {
        asm!("mov %ds, {0:e}", "mov %es, {1:e}", "mov %fs, {2:e}", "mov %gs, {3:e}",
            out(reg) ds, out(reg) es, out(reg) fs, out(reg) gs, options(att_syntax, nostack, nomem));
    }
    [ds as u16, es as u16, fs as u16, gs as u16]
}

fn read_cr2() -> u64 {
    let value;
    // SAFETY: reads a register.
    unsafe { asm!("mov %cr2, {}", out(reg) value, options(att_syntax, nostack, nomem)) };
    value
}

fn read_cr8() -> u64 {
    let value;
    // SAFETY: reads a register.
    unsafe { asm!("mov %cr8, {}", out(reg) value, options(att_syntax, nostack, nomem)) };
    value
}

/// No breakpoint is armed; bit 10 is always set.
const DR7_OFF: u64 = 0x400;

/// DR0 to DR3, DR6, DR7.
fn read_debug() -> [u64; 6] {
    let mut value = [0; 6];
    // SAFETY: reads registers into `value`.
    unsafe {
        asm!("mov %db0, {1}", "mov {1}, ({0})", "mov %db1, {1}", "mov {1}, 8({0})",
            "mov %db2, {1}", "mov {1}, 16({0})", "mov %db3, {1}", "mov {1}, 24({0})",
            "mov %db6, {1}", "mov {1}, 32({0})", "mov %db7, {1}", "mov {1}, 40({0})",
            in(reg) &raw mut value, out(reg) _, options(att_syntax, nostack));
    }
    value
}

fn read_xcr0() -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: reads a register; the caller saw CR4.OSXSAVE.
    unsafe {
        asm!("xgetbv", in("ecx") 0, out("eax") low, out("edx") high, options(att_syntax, nostack, nomem))
    };
    u64::from(high) << 32 | u64::from(low)
}

fn read_user_keys() -> u32 {
    let keys;
    // SAFETY: reads a register; the caller saw CR4.PKE.
    unsafe {
        asm!("rdpkru", in("ecx") 0, out("eax") keys, out("edx") _, options(att_syntax, nostack, nomem))
    };
    keys
}

#[inline(always)]
unsafe fn write_gdt(table: &TablePointer) {
    // SAFETY: the caller's table is the kernel's.
    unsafe { asm!("lgdt ({})", in(reg) &raw const *table, options(att_syntax, nostack)) };
}

#[inline(always)]
unsafe fn write_idt(table: &TablePointer) {
    // SAFETY: the caller's table is the kernel's.
    unsafe { asm!("lidt ({})", in(reg) &raw const *table, options(att_syntax, nostack)) };
}

/// `%ss`, then `%ds %es %fs %gs`. Loading `%fs` and `%gs` clears their bases.
#[inline(always)]
unsafe fn write_selectors(data: [u16; 4]) {
    /// `__KERNEL_DS` of `arch/x86/include/asm/segment.h`.
    const KERNEL_DATA: u32 = 0x18;
    let [ds, es, fs, gs] = data.map(u32::from);
    // SAFETY: the selectors were in use, and the GDT is the kernel's again.
    unsafe {
        asm!("mov {0:e}, %ss", "mov {1:e}, %ds", "mov {2:e}, %es", "mov {3:e}, %fs", "mov {4:e}, %gs",
            in(reg) KERNEL_DATA, in(reg) ds, in(reg) es, in(reg) fs, in(reg) gs,
            options(att_syntax, nostack));
    }
}

#[inline(always)]
unsafe fn write_local(selector: u16) {
    // SAFETY: the selector was in use, and the GDT is the kernel's again.
    unsafe { asm!("lldt {0:x}", in(reg) selector, options(att_syntax, nostack)) };
}

#[inline(always)]
unsafe fn write_cr2(value: u64) {
    // SAFETY: CR2 only informs.
    unsafe { asm!("mov {}, %cr2", in(reg) value, options(att_syntax, nostack)) };
}

#[inline(always)]
unsafe fn write_cr8(value: u64) {
    // SAFETY: the priority the kernel ran with.
    unsafe { asm!("mov {}, %cr8", in(reg) value, options(att_syntax, nostack)) };
}

fn write_dr7(value: u64) {
    // SAFETY: the kernel's own breakpoints, or none.
    unsafe { asm!("mov {}, %db7", in(reg) value, options(att_syntax, nostack)) };
}

fn write_debug(value: &[u64; 6]) {
    // SAFETY: the values that were in use.
    unsafe {
        asm!("mov ({0}), {1}", "mov {1}, %db0", "mov 8({0}), {1}", "mov {1}, %db1",
            "mov 16({0}), {1}", "mov {1}, %db2", "mov 24({0}), {1}", "mov {1}, %db3",
            "mov 32({0}), {1}", "mov {1}, %db6", "mov 40({0}), {1}", "mov {1}, %db7",
            in(reg) &raw const *value, out(reg) _, options(att_syntax, nostack));
    }
}

const fn halves(value: u64) -> (u32, u32) {
    (value as u32, (value >> 32) as u32)
}

/// CR4 bits that this module can clear and restore: VME to SMXE, FSGSBASE to OSXSAVE, SMEP to CET,
/// LASS, LAM_SUP. Intel SDM volume 3, 2.5.
const CR4_KNOWN: u64 = 0x7fff | 7 << 16 | 0xf << 20 | 3 << 27;
const CR4_VMXE: u64 = 1 << 13;

/// Whether this CPU runs virtual machines, which keep it from leaving 64-bit mode.
pub fn runs_virtual_machines() -> bool {
    read_cr4() & CR4_VMXE != 0
}

/// Whether the kernel uses CPU features unknown to this module: FRED, or future ones.
pub fn has_unknown_features() -> bool {
    read_cr4() & !CR4_KNOWN != 0
}

/// Whether AVX registers may be used while pages are moved: the CPU has them, and the kernel
/// enabled them.
pub fn has_avx() -> bool {
    const AVX: u32 = 1 << 28;
    const SSE_AND_AVX_STATE: u64 = 6;
    let features = core::arch::x86_64::__cpuid(1).ecx;
    let in_use = read_cr4() & CR4_OSXSAVE != 0 && read_xcr0() & SSE_AND_AVX_STATE == SSE_AND_AVX_STATE;
    features & AVX != 0 && in_use
}
