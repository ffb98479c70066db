// SPDX-License-Identifier: GPL-2.0-only
//! Model-specific registers. Names and numbers: `arch/x86/include/asm/msr-index.h`. Meaning: Intel
//! SDM volume 4, AMD APM volume 2, appendix A.

use core::arch::asm;
use core::sync::atomic::{AtomicU64, Ordering};

use crate::kernel;

// System calls.
const STAR: u32 = 0xc000_0081;
const LSTAR: u32 = 0xc000_0082;
const CSTAR: u32 = 0xc000_0083;
const SYSCALL_MASK: u32 = 0xc000_0084;
const IA32_SYSENTER_CS: u32 = 0x174;
const IA32_SYSENTER_ESP: u32 = 0x175;
const IA32_SYSENTER_EIP: u32 = 0x176;

// Memory types and clocks.
const IA32_CR_PAT: u32 = 0x277;
const IA32_TSC_ADJUST: u32 = 0x3b;
const TSC_AUX: u32 = 0xc000_0103;

// Extended state, and control-flow enforcement.
const IA32_XSS: u32 = 0xda0;
const IA32_XFD: u32 = 0x1c4;
const IA32_XFD_ERR: u32 = 0x1c5;
const IA32_U_CET: u32 = 0x6a0;
const IA32_S_CET: u32 = 0x6a2;

// Behaviour: what the kernel keeps over a suspend (`pm_check_save_msr` in arch/x86/power/cpu.c).
const IA32_MISC_ENABLE: u32 = 0x1a0;
const IA32_SPEC_CTRL: u32 = 0x48;
const IA32_TSX_CTRL: u32 = 0x122;
const TSX_FORCE_ABORT: u32 = 0x10f;
const IA32_MCU_OPT_CTRL: u32 = 0x123;
const AMD64_LS_CFG: u32 = 0xc001_1020;
const AMD64_DE_CFG: u32 = 0xc001_1029;

// Performance events must not fire with another kernel's buffers.
const CORE_PERF_GLOBAL_CTRL: u32 = 0x38f;
const IA32_PEBS_ENABLE: u32 = 0x3f1;
const IA32_DS_AREA: u32 = 0x600;
const IA32_DEBUGCTLMSR: u32 = 0x1d9;

/// The base of `%fs`.
pub const FS_BASE: u32 = 0xc000_0100;
/// The base of `%gs`.
pub const GS_BASE: u32 = 0xc000_0101;
/// The base of `%gs` after `swapgs`.
pub const KERNEL_GS_BASE: u32 = 0xc000_0102;

// Hypervisors: where a CPU saves its state when it enters a virtual machine.
const VM_HSAVE_PA: u32 = 0xc001_0117;

// Machine checks: with one in progress, the next shuts the CPU down.
const IA32_MCG_CAP: u32 = 0x179;
const IA32_MCG_STATUS: u32 = 0x17a;

/// Registers that this kernel set when it booted, to the same value on every CPU. They are restored
/// to the value that the module found when it was loaded.
const STEADY: [u32; 6] = [STAR, LSTAR, CSTAR, SYSCALL_MASK, IA32_SYSENTER_CS, IA32_CR_PAT];

/// Registers that are restored when they differ.
const KEPT: [u32; 22] = [
    IA32_SYSENTER_ESP,
    IA32_SYSENTER_EIP,
    VM_HSAVE_PA,
    IA32_MCG_STATUS,
    IA32_TSC_ADJUST,
    TSC_AUX,
    IA32_XSS,
    IA32_XFD,
    IA32_XFD_ERR,
    IA32_U_CET,
    IA32_S_CET,
    IA32_MISC_ENABLE,
    IA32_SPEC_CTRL,
    IA32_TSX_CTRL,
    TSX_FORCE_ABORT,
    IA32_MCU_OPT_CTRL,
    AMD64_LS_CFG,
    AMD64_DE_CFG,
    CORE_PERF_GLOBAL_CTRL,
    IA32_PEBS_ENABLE,
    IA32_DS_AREA,
    IA32_DEBUGCTLMSR,
];

/// Bit n: this CPU has register `KEPT[n]`. Reading one that is missing raises an exception, which
/// is slow.
static PRESENT: AtomicU64 = AtomicU64::new(0);
/// The values of `STEADY`; bit n of the other: this CPU has register `STEADY[n]`.
static STEADY_VALUES: [AtomicU64; STEADY.len()] = [const { AtomicU64::new(0) }; STEADY.len()];
static STEADY_PRESENT: AtomicU64 = AtomicU64::new(0);

/// Finds out which registers this CPU has. Must be called once, before any [`Kept::save`].
pub fn probe() {
    PRESENT.store(present(&KEPT), Ordering::Relaxed);
    let present = present(&STEADY);
    for (bit, (register, value)) in STEADY.iter().zip(&STEADY_VALUES).enumerate() {
        if present >> bit & 1 != 0 {
            value.store(read(*register), Ordering::Relaxed);
        }
    }
    STEADY_PRESENT.store(present, Ordering::Relaxed);
    super::mtrr::probe();
}

fn present(registers: &[u32]) -> u64 {
    let has = |register| kernel::has_register(register) && is_meant(register);
    registers.iter().zip(0..).fold(0, |present, (&register, bit)| present | u64::from(has(register)) << bit)
}

/// Whether a register that can be read has a meaning: emulators have some that their CPU has not.
fn is_meant(register: u32) -> bool {
    const SVM: u32 = 1 << 2;
    match register {
        VM_HSAVE_PA => {
            core::arch::x86_64::__cpuid(0x8000_0000).eax >= 0x8000_0001
                && core::arch::x86_64::__cpuid(0x8000_0001).ecx & SVM != 0
        }
        IA32_MCG_STATUS => kernel::has_register(IA32_MCG_CAP),
        _ => true,
    }
}

/// The values of the kept registers.
pub struct Kept([u64; KEPT.len()], super::mtrr::Variable);

impl Kept {
    /// Reads those that this CPU has.
    pub fn save() -> Self {
        let present = PRESENT.load(Ordering::Relaxed);
        let mut values = [0; KEPT.len()];
        for (bit, (register, value)) in KEPT.iter().zip(&mut values).enumerate() {
            if present >> bit & 1 != 0 {
                *value = read(*register);
            }
        }
        Self(values, super::mtrr::Variable::save())
    }

    /// Writes those that differ.
    ///
    /// # Safety
    /// They were saved on this CPU.
    #[inline(always)]
    pub unsafe fn restore(&self) {
        let present = PRESENT.load(Ordering::Relaxed);
        for (bit, (register, value)) in KEPT.iter().zip(&self.0).enumerate() {
            if present >> bit & 1 != 0 && read(*register) != *value {
                // SAFETY: the register held this value.
                unsafe { write(*register, *value) };
            }
        }
        let present = STEADY_PRESENT.load(Ordering::Relaxed);
        for (bit, (register, value)) in STEADY.iter().zip(&STEADY_VALUES).enumerate() {
            let value = value.load(Ordering::Relaxed);
            if present >> bit & 1 != 0 && read(*register) != value {
                // SAFETY: the register held this value.
                unsafe { write(*register, value) };
            }
        }
        // SAFETY: they were saved on this CPU.
        unsafe { self.1.restore() };
    }
}

/// Reads a register that this CPU has.
#[inline(always)]
pub fn read(number: u32) -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: the register exists.
    unsafe {
        asm!("rdmsr", in("ecx") number, out("eax") low, out("edx") high, options(att_syntax, nostack, nomem));
    }
    u64::from(high) << 32 | u64::from(low)
}

/// Writes a register.
///
/// # Safety
/// It held this value.
#[inline(always)]
pub unsafe fn write(number: u32, value: u64) {
    let (low, high) = super::halves(value);
    // SAFETY: the caller's promise.
    unsafe { asm!("wrmsr", in("ecx") number, in("eax") low, in("edx") high, options(att_syntax, nostack)) };
}
