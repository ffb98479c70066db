//! The way from the kernel to the control page and back: the only code of the relocator that runs where the kernel
//! put it. Its page is mapped at the same virtual address in both sets of page tables.
// UNSAFETY: code that changes page tables and stacks is assembly.
#![allow(unsafe_code)]

use abi::control::{ControlTable, TABLE_OFFSET, selector};
use core::arch::global_asm;
use core::mem::offset_of;

unsafe extern "C" {
    /// Calls the image that the control page describes.
    ///
    /// # Safety
    /// `page` is the virtual address of an [installed](crate::ControlPage::install) control page at physical address
    /// `control`, whose identity map maps everything it names and the page of this function at its own address.
    /// Interrupts are off, and nothing else uses the memory that the page list names. On return only the stack, the
    /// control registers, EFER and the callee-saved registers are as they were: GDT, IDT, segments, task register
    /// and model-specific registers are not.
    fn kjump_enter(page: *mut crate::ControlPage, control: u64);
}

/// Virtual address of code that must be mapped in the identity map, at this address.
pub fn address() -> u64 {
    kjump_enter as *const () as u64
}

/// Calls the image that the control page describes.
///
/// # Safety
/// As for the assembly it names: `page` is an installed control page at physical address `control`, interrupts are
/// off, and the caller puts the rest of the CPU's state back.
pub unsafe fn enter(page: *mut crate::ControlPage, control: u64) {
    // SAFETY: the caller's promise is that of the function called.
    unsafe { kjump_enter(page, control) }
}

/// Offset of a field of the control table in the control page.
macro_rules! at {
    ($field:ident) => {
        TABLE_OFFSET + offset_of!(ControlTable, $field)
    };
}

global_asm!(
    include_str!("gate.S"),
    KERNEL_RSP = const at!(kernel_rsp),
    KERNEL_CR0 = const at!(kernel_cr0),
    KERNEL_CR3 = const at!(kernel_cr3),
    KERNEL_CR4 = const at!(kernel_cr4),
    KERNEL_EFER = const at!(kernel_efer),
    KERNEL_GS_BASE = const at!(kernel_gs_base),
    KERNEL_RESUME = const at!(kernel_resume),
    IDENTITY_CR3 = const at!(identity_cr3),
    STACK = const at!(stack),
    GDT_POINTER = const at!(gdt_pointer) + 6,
    IDT_POINTER = const at!(idt_pointer) + 6,
    SELECTOR_CODE_64 = const selector::CODE_64,
    EFER = const crate::code::EFER,
    GS_BASE = const crate::code::GS_BASE,
    options(att_syntax)
);
