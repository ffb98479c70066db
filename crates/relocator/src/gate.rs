//! From the kernel to the control page and back: the only code of the relocator that runs where the
//! kernel's loader put it. Its page is mapped at the same virtual address in the kernel's page
//! tables and in the identity map.
//!
//! On entry from the kernel it relies on these facts:
//!
//! 1. The CPU is in 64-bit mode at privilege level 0, on the kernel's page tables, GDT, IDT and
//!    stack.
//! 2. Interrupts are off, and no other CPU uses the memory that the page list names.
//! 3. The control page is installed and mapped, and its identity map maps it, everything it names,
//!    and this code; it and the last page of the stack also at their addresses in the kernel.
//! 4. The control registers may have PCIDs, CET, SMEP, SMAP and write protection on; EFER and GS
//!    are the kernel's.
//!
//! It is responsible for:
//!
//! 1. Saving the callee-saved registers, the flags, CR0, CR3, CR4, EFER and the GS base.
//! 2. Entering the control page on the identity map, with the control page's GDT, IDT and stack,
//!    and plain flags.
//! 3. On the way out, loading CR0, CR4 and CR3 in an order that the CPU accepts, and the saved
//!    registers.
//!
//! EFER and the GS base are loaded by the control page before it comes back here. Everything else
//! of the CPU's state (GDT, IDT, segments, task register, other model-specific registers, vector
//! registers) is the caller's to restore.
// UNSAFETY: code that changes page tables and stacks is assembly.
#![allow(unsafe_code)]

use abi::control::selector;
use core::arch::global_asm;

use crate::shared::in_control_page;

unsafe extern "C" {
    /// Calls the image that the control page describes.
    ///
    /// # Safety
    /// `page` is the virtual address of an [installed](crate::ControlPage::install) control page at
    /// physical address `control`, whose identity map maps everything it names and the page of this
    /// function at its own address. Interrupts are off, and nothing else uses the memory that the
    /// page list names. On return only the stack, the control registers, EFER and the callee-saved
    /// registers are as they were: GDT, IDT, segments, task register and model-specific registers
    /// are not.
    fn kjump_enter(page: *mut crate::ControlPage, control: u64);
    /// Not a function: the handler of NMIs between two sets of page tables, which drops them.
    static kjump_crossing_nmi: u8;
}

/// Virtual address of code that must be mapped in the identity map, at this address.
pub fn address() -> u64 {
    kjump_enter as *const () as u64
}

/// Virtual address of the handler of NMIs between the kernel's page tables and the image's. It is
/// in the same page as [`address`].
pub fn crossing_nmi() -> u64 {
    (&raw const kjump_crossing_nmi).addr() as u64
}

/// Calls the image that the control page describes.
///
/// # Safety
/// As for the assembly it names: `page` is an installed control page at physical address `control`,
/// interrupts are off, and the caller puts the rest of the CPU's state back.
pub unsafe fn enter(page: *mut crate::ControlPage, control: u64) {
    // SAFETY: the caller's promise is that of the function called.
    unsafe { kjump_enter(page, control) }
}

global_asm!(
    include_str!("gate.S"),
    KERNEL_RSP = const in_control_page!(kernel_rsp),
    KERNEL_CR0 = const in_control_page!(kernel_cr0),
    KERNEL_CR3 = const in_control_page!(kernel_cr3),
    KERNEL_CR4 = const in_control_page!(kernel_cr4),
    KERNEL_EFER = const in_control_page!(kernel_efer),
    KERNEL_GS_BASE = const in_control_page!(kernel_gs_base),
    KERNEL_RESUME = const in_control_page!(kernel_resume),
    IDENTITY_CR3 = const in_control_page!(identity_cr3),
    STACK = const in_control_page!(stack),
    GDT_POINTER = const in_control_page!(gdt_pointer) + 6,
    IDT_POINTER = const in_control_page!(idt_pointer) + 6,
    CROSSING_GDT_POINTER = const in_control_page!(crossing.gdt_pointer) + 6,
    CROSSING_IDT_POINTER = const in_control_page!(crossing.idt_pointer) + 6,
    CROSSING_STACK_END = const in_control_page!(crossing.stack_end),
    TASK_TYPE = const in_control_page!(gdt) + selector::TASK as usize + 5,
    TASK_AVAILABLE = const crate::code::TASK_AVAILABLE,
    SELECTOR_TASK = const selector::TASK,
    SELECTOR_CODE_64 = const selector::CODE_64,
    EFER = const crate::code::EFER,
    GS_BASE = const crate::code::GS_BASE,
    options(att_syntax)
);
