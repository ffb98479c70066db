//! The code that runs in the control page.
// UNSAFETY: the code stands between two symbols that the assembler defines; reading it as a slice
// needs `unsafe`.
#![allow(unsafe_code)]

use abi::control::{CODE_LIMIT, mover, selector};
use abi::device::status;
use abi::page_list::{DESTINATION, DONE, INDIRECTION, PAGE_SIZE, SOURCE};
use core::arch::global_asm;

use crate::shared::{NMI, in_control_page};

/// The bytes of the code. They run at any address that is a multiple of the page size.
pub fn code() -> &'static [u8] {
    let start = &raw const kjump_code_start;
    let length = (&raw const kjump_code_end).addr() - start.addr();
    // SAFETY: the assembly defines both symbols, in this order, in one read-only section.
    unsafe { core::slice::from_raw_parts(start, length) }
}

/// Offsets of the places in [`code`] that are entered from outside, in bytes.
pub mod entry_offset {
    use super::*;

    /// The entry point from the kernel.
    pub fn arrive() -> usize {
        0
    }

    /// The return address of an image. A peer kernel jumps here, with its own entry point on top of
    /// its stack.
    pub fn jump_back() -> usize {
        offset_of_symbol(&raw const kjump_back)
    }

    /// The entry point of the CPU that runs a guarded image.
    pub(crate) fn begin() -> usize {
        offset_of_symbol(&raw const kjump_begin)
    }

    /// The entry point of the guard when the image has ended.
    pub(crate) fn leave() -> usize {
        offset_of_symbol(&raw const kjump_leave)
    }

    /// The page mover, to be called in 64-bit mode: `rdi` the head of a page list, `rsi` one of
    /// [`abi::control::mover`], `rdx` a [`Direction`]. Everything must be identity-mapped.
    pub fn move_pages() -> usize {
        offset_of_symbol(&raw const kjump_move_pages)
    }

    /// The first of the 64-bit exception stubs; they are 4 bytes apart.
    pub(crate) fn stubs_64() -> usize {
        offset_of_symbol(&raw const kjump_stubs_64)
    }

    /// The handler of NMIs in 64-bit mode, which drops them.
    pub(crate) fn nmi_64() -> usize {
        offset_of_symbol(&raw const kjump_nmi_64)
    }

    /// The first of the 32-bit exception stubs; they are 10 bytes apart.
    pub(crate) fn stubs_32() -> usize {
        offset_of_symbol(&raw const kjump_stubs_32)
    }

    /// The handler of NMIs in 32-bit mode, which drops them.
    pub(crate) fn nmi_32() -> usize {
        offset_of_symbol(&raw const kjump_nmi_32)
    }

    fn offset_of_symbol(symbol: *const u8) -> usize {
        symbol.addr() - (&raw const kjump_code_start).addr()
    }
}

/// Bytes from one 64-bit exception stub to the next.
pub(crate) const STUB_64: usize = 4;
/// Bytes from one 32-bit exception stub to the next.
pub(crate) const STUB_32: usize = 10;

/// How pages are moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Direction {
    /// Sources overwrite their destinations.
    Copy = 0,
    /// Sources and destinations are exchanged. A second time restores both.
    Exchange = 1,
}

unsafe extern "C" {
    static kjump_code_start: u8;
    static kjump_code_end: u8;
    static kjump_back: u8;
    static kjump_begin: u8;
    static kjump_leave: u8;
    static kjump_move_pages: u8;
    static kjump_stubs_64: u8;
    static kjump_nmi_64: u8;
    static kjump_stubs_32: u8;
    static kjump_nmi_32: u8;
}

/// `CR0`: AM, WP, TS, EM. None of them may be set in an image, nor while pages are moved.
const CR0_OFF: u64 = 1 << 18 | 1 << 16 | 1 << 3 | 1 << 2;
/// `CR0`: paging, protected mode.
pub(crate) const CR0_ON: u32 = 1 << 31 | 1;
const CR0_PG: u32 = 1 << 31;
/// `CR4`: PAE, OSFXSR, OSXMMEXCPT.
pub(crate) const CR4_ON: u32 = 1 << 5 | CR4_SSE;
/// `CR4`: OSFXSR, OSXMMEXCPT: an image may use SSE.
const CR4_SSE: u32 = 1 << 9 | 1 << 10;
/// `CR4`: MCE, LA57, VMXE and OSXSAVE stay as the kernel has them. VMXE cannot change while virtual
/// machines run, LA57 not in long mode.
const CR4_KEPT: u32 = 1 << 6 | 1 << 12 | 1 << 13 | 1 << 18;
/// `CR4`: page tables have five levels.
pub(crate) const CR4_LA57: u32 = 1 << 12;
/// Turns of a loop in which an NMI that was sent arrives: about a millisecond.
const NMI_ARRIVES: u32 = 50_000;
/// `CR4`: control-flow enforcement.
const CR4_CET_BIT: u32 = 23;
/// Type of the descriptor of a task state segment that is not busy.
pub(crate) const TASK_AVAILABLE: u32 = 0x89;
/// No breakpoint; bit 10 is always set.
const DR7_OFF: u32 = 1 << 10;
/// Model-specific registers.
pub(crate) const EFER: u32 = 0xc000_0080;
pub(crate) const GS_BASE: u32 = 0xc000_0101;
pub(crate) const EFER_LME: u32 = 1 << 8;
/// Vectors that come with an error code: 8, 10 to 14, 17, 21, 29, 30.
const WITH_ERROR_CODE: u32 = 1 << 8 | 0x1f << 10 | 1 << 17 | 1 << 21 | 1 << 29 | 1 << 30;

global_asm!(
    include_str!("code.S"),
    CODE_LIMIT = const CODE_LIMIT,
    CONTROL_PAGE = const in_control_page!(control_page),
    KERNEL_CR4 = const in_control_page!(kernel_cr4),
    KERNEL_EFER = const in_control_page!(kernel_efer),
    KERNEL_GS_BASE = const in_control_page!(kernel_gs_base),
    KERNEL_RESUME = const in_control_page!(kernel_resume),
    IDENTITY_CR3 = const in_control_page!(identity_cr3),
    PAGE_LIST = const in_control_page!(page_list),
    STACK = const in_control_page!(stack),
    ENTRY = const in_control_page!(entry),
    MODE = const in_control_page!(mode),
    MOVER = const in_control_page!(mover),
    ARGUMENTS = const in_control_page!(arguments),
    VALUE = const in_control_page!(value),
    VALUE_HIGH = const in_control_page!(value_high),
    NEXT_ENTRY = const in_control_page!(next_entry),
    STATUS = const in_control_page!(status),
    GUARD = const in_control_page!(guard),
    CLAIMED = const in_control_page!(claimed),
    GUARD_ENDED = const abi::guard::ENDED_OFFSET,
    DEADLINE_TICKS = const in_control_page!(deadline.ticks),
    EXPIRES = const in_control_page!(deadline.expires),
    NMI_SENT = const in_control_page!(deadline.sent),
    TIMER = const in_control_page!(deadline.timer),
    TIMER_COUNTER = const in_control_page!(deadline.counter),
    TIMER_TICKS = const in_control_page!(deadline.timer_ticks),
    TIMER_ON = const in_control_page!(deadline.timer_on),
    TIMER_INTERRUPT = const 1 << 2,
    NMI_ARRIVES = const NMI_ARRIVES,
    NMI = const NMI,
    AT_DEADLINE = const status::DEADLINE,
    STAMPS = const in_control_page!(stamps),
    GDT_POINTER = const in_control_page!(gdt_pointer) + 6,
    IDT_POINTER = const in_control_page!(idt_pointer) + 6,
    MODES_IDT_POINTER = const in_control_page!(crossing.modes_idt_pointer) + 6,
    IDT32_POINTER = const in_control_page!(idt32_pointer) + 6,
    TASK_TYPE = const in_control_page!(gdt) + selector::TASK as usize + 5,
    FAULT_VECTOR = const in_control_page!(fault.vector),
    FAULT_ERROR = const in_control_page!(fault.error_code),
    FAULT_RIP = const in_control_page!(fault.rip),
    FAULT_FLAGS = const in_control_page!(fault.rflags),
    FAULT_CS = const in_control_page!(fault.cs),
    FAULT_CR2 = const in_control_page!(fault.cr2),
    FAULT_REGISTERS = const in_control_page!(fault.registers),
    RETURNED = const status::RETURNED,
    FAULTED = const status::FAULT,
    MODE_PROTECTED = const abi::device::mode::PROTECTED,
    SELECTOR_CODE_64 = const selector::CODE_64,
    SELECTOR_DATA = const selector::DATA,
    SELECTOR_CODE_32 = const selector::CODE_32,
    SELECTOR_CONTROL = const selector::CONTROL,
    SELECTOR_TASK = const selector::TASK,
    TASK_AVAILABLE = const TASK_AVAILABLE,
    VECTORS = const abi::control::VECTORS,
    STUB_64 = const STUB_64,
    STUB_32 = const STUB_32,
    CR0_OFF = const CR0_OFF,
    CR0_ON = const CR0_ON,
    CR0_PG = const CR0_PG,
    CR4_ON = const CR4_ON,
    CR4_SSE = const CR4_SSE,
    CR4_KEPT = const CR4_KEPT,
    CR4_CET_BIT = const CR4_CET_BIT,
    CR4_LA57 = const CR4_LA57,
    DR7_OFF = const DR7_OFF,
    EFER = const EFER,
    GS_BASE = const GS_BASE,
    EFER_LME = const EFER_LME,
    WITH_ERROR_CODE = const WITH_ERROR_CODE,
    PAGE_SIZE = const PAGE_SIZE,
    DESTINATION = const DESTINATION,
    INDIRECTION = const INDIRECTION,
    DONE = const DONE,
    SOURCE = const SOURCE,
    MOVER_AVX = const mover::AVX,
    MOVER_SSE2 = const mover::SSE2,
    options(att_syntax)
);
