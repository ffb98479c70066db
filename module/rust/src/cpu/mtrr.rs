// SPDX-License-Identifier: GPL-2.0-only
//! The memory types of physical ranges, which must be the same on all CPUs. Intel SDM volume 3,
//! 12.11.
//!
//! Variable ranges can be changed while the kernel runs, by /proc/mtrr. Fixed ones are as they were
//! when the kernel booted: they are compared with the values that the module found when it was
//! loaded.

use core::arch::asm;
use core::sync::atomic::{AtomicU64, Ordering};

use super::msr::{read, write};
use crate::kernel;

const IA32_MTRRCAP: u32 = 0xfe;
const IA32_MTRR_PHYSBASE0: u32 = 0x200;
const IA32_MTRR_DEF_TYPE: u32 = 0x2ff;
const ENABLE: u64 = 1 << 11;
const FIXED: [u32; 11] = [0x250, 0x258, 0x259, 0x268, 0x269, 0x26a, 0x26b, 0x26c, 0x26d, 0x26e, 0x26f];
const FIXED_SUPPORTED: u64 = 1 << 8;
/// Most ranges whose two registers are kept; CPUs have 8 to 10.
const RANGES: usize = 12;

/// Variable registers of this CPU: a base and a mask for each range. 0: it has no MTRRs.
static COUNT: AtomicU64 = AtomicU64::new(0);
/// The fixed registers; not used if the CPU has none.
static FIXED_VALUES: [AtomicU64; FIXED.len()] = [const { AtomicU64::new(0) }; FIXED.len()];
static HAS_FIXED: AtomicU64 = AtomicU64::new(0);

/// Finds out which registers this CPU has.
pub fn probe() {
    const MTRR: u32 = 1 << 12;
    if core::arch::x86_64::__cpuid(1).edx & MTRR == 0
        || ![IA32_MTRRCAP, IA32_MTRR_DEF_TYPE, IA32_MTRR_PHYSBASE0].into_iter().all(kernel::has_register)
    {
        return;
    }
    let capabilities = read(IA32_MTRRCAP);
    COUNT.store((capabilities & 0xff).min(RANGES as u64) * 2, Ordering::Relaxed);
    if capabilities & FIXED_SUPPORTED != 0 {
        for (register, value) in FIXED.iter().zip(&FIXED_VALUES) {
            value.store(read(*register), Ordering::Relaxed);
        }
        HAS_FIXED.store(1, Ordering::Relaxed);
    }
}

/// The default type, and the variable registers.
pub struct Variable {
    default: u64,
    registers: [u64; 2 * RANGES],
}

impl Variable {
    /// Reads those that this CPU has.
    pub fn save() -> Self {
        let mut saved = Self { default: 0, registers: [0; 2 * RANGES] };
        if COUNT.load(Ordering::Relaxed) != 0 {
            saved.default = read(IA32_MTRR_DEF_TYPE);
            for (number, value) in numbers().zip(&mut saved.registers) {
                *value = read(number);
            }
        }
        saved
    }

    /// Writes them, and the fixed ones, if one differs.
    ///
    /// # Safety
    /// They were saved on this CPU, and interrupts are off.
    #[inline(always)]
    pub unsafe fn restore(&self) {
        if self.differs() {
            // SAFETY: the caller's promise.
            unsafe { self.write() };
        }
    }

    #[inline(always)]
    fn differs(&self) -> bool {
        if COUNT.load(Ordering::Relaxed) == 0 {
            return false;
        }
        let mut differs = read(IA32_MTRR_DEF_TYPE) != self.default;
        for (number, value) in numbers().zip(&self.registers) {
            differs |= read(number) != *value;
        }
        for (number, value) in fixed() {
            differs |= read(number) != value;
        }
        differs
    }

    /// With caches off and empty, as SDM 12.11.8 requires.
    #[inline(always)]
    unsafe fn write(&self) {
        const CACHE_DISABLE: u64 = 1 << 30;
        let before: u64;
        // SAFETY: interrupts are off; the values are those that the kernel ran with.
        unsafe {
            asm!("mov %cr0, {}", out(reg) before, options(att_syntax, nostack, nomem));
            asm!("mov {}, %cr0", "wbinvd", in(reg) before | CACHE_DISABLE, options(att_syntax, nostack));
            write(IA32_MTRR_DEF_TYPE, self.default & !ENABLE);
            for (number, value) in numbers().zip(&self.registers) {
                write_different(number, *value);
            }
            for (number, value) in fixed() {
                write_different(number, value);
            }
            write(IA32_MTRR_DEF_TYPE, self.default);
            // The tables of translations hold memory types.
            asm!("wbinvd", "mov %cr4, {0}", "mov {0}, {1}", "xor $0x80, {1}", "mov {1}, %cr4",
                "mov {0}, %cr4", out(reg) _, out(reg) _, options(att_syntax, nostack));
            asm!("mov {}, %cr0", in(reg) before, options(att_syntax, nostack));
        }
    }
}

/// # Safety
/// The register held this value.
#[inline(always)]
unsafe fn write_different(number: u32, value: u64) {
    if read(number) != value {
        // SAFETY: the caller's promise.
        unsafe { write(number, value) };
    }
}

/// The numbers of the variable registers.
#[inline(always)]
fn numbers() -> impl Iterator<Item = u32> {
    let count = COUNT.load(Ordering::Relaxed) as u32;
    (0..count).map(|register| IA32_MTRR_PHYSBASE0 + register)
}

/// The fixed registers and their values.
#[inline(always)]
fn fixed() -> impl Iterator<Item = (u32, u64)> {
    let count = if HAS_FIXED.load(Ordering::Relaxed) == 0 { 0 } else { FIXED.len() };
    let registers = FIXED.into_iter().zip(&FIXED_VALUES).take(count);
    registers.map(|(number, value)| (number, value.load(Ordering::Relaxed)))
}
