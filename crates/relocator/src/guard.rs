//! The guard's pages as a value: code, a table, and a gate for every interrupt.
// UNSAFETY: the code stands between two symbols that the assembler defines; reading it as a slice
// needs `unsafe`.
#![allow(unsafe_code)]

use abi::control::{self, ControlTable, selector};
use abi::device::status;
use abi::guard::{CODE_LIMIT, ENDED_OFFSET, GATES_OFFSET, GuardTable, TABLE_OFFSET, VECTORS};
use core::arch::global_asm;
use core::mem::{offset_of, size_of};

use crate::code::{self, STUB_64, entry_offset};
use crate::control_page::gate;
use crate::shared::{NMI, in_control_page, in_guard_pages, low_half};

/// The two pages of a CPU that guards an image.
#[repr(C, align(4096))]
pub struct GuardPages {
    code: [u8; CODE_LIMIT],
    /// The parameters of the guard, and its results.
    pub table: GuardTable,
    stack: [u8; GATES_OFFSET - TABLE_OFFSET - size_of::<GuardTable>()],
    gates: [[u64; 2]; VECTORS],
}

const _: () = assert!(offset_of!(GuardPages, table) == TABLE_OFFSET);
const _: () = assert!(offset_of!(GuardPages, gates) == GATES_OFFSET);
const _: () = assert!(size_of::<GuardPages>() == 8192);

/// The parameters of [`GuardPages::install`]. Addresses are physical and below 4 GiB.
#[derive(Clone, Copy, Debug)]
pub struct GuardSetup {
    /// The guard's pages themselves.
    pub pages: u64,
    /// The control page of the image.
    pub control_page: u64,
    /// As [`GuardTable::apic`].
    pub apic: u64,
    /// As [`GuardTable::cpu`].
    pub cpu: u64,
    /// As [`GuardTable::low_page`].
    pub low_page: u64,
    /// As [`GuardTable::microsecond`].
    pub microsecond: u64,
}

impl GuardPages {
    /// Fills in the pages for the addresses in `setup`.
    pub fn install(&mut self, setup: &GuardSetup) {
        // The code fits: otherwise `guard.S` does not assemble.
        for (place, byte) in self.code.iter_mut().zip(guard_code()) {
            *place = *byte;
        }
        let base = low_half(setup.pages);
        self.add(offset(&raw const kjump_guard_base), base);
        self.add(offset(&raw const kjump_guard_entry_32), base);
        let gdt = control::TABLE_OFFSET + offset_of!(ControlTable, gdt);
        self.add(offset(&raw const kjump_guard_gdt_base), low_half(setup.control_page + gdt as u64));
        self.table = GuardTable {
            control_page: setup.control_page,
            begin: setup.control_page + entry_offset::begin() as u64,
            leave: setup.control_page + entry_offset::leave() as u64,
            apic: setup.apic,
            cpu: setup.cpu,
            low_page: setup.low_page,
            microsecond: setup.microsecond,
            idt_pointer: [(VECTORS as u64 * 16 - 1) << 48, setup.pages + GATES_OFFSET as u64],
            ..GuardTable::default()
        };
        self.gates = core::array::from_fn(|vector| gate_of(vector, setup));
    }

    /// Prepares the pages for the next call, with a deadline in ticks, or 0 for none.
    pub const fn prepare(&mut self, deadline: u64) {
        self.table.deadline = deadline;
        self.table.started = 0;
    }

    /// Adds a number to four bytes of the code.
    fn add(&mut self, offset: usize, number: u32) {
        if let Some(place) = self.code.get_mut(offset..).and_then(|rest| rest.first_chunk_mut()) {
            *place = u32::from_le_bytes(*place).wrapping_add(number).to_le_bytes();
        }
    }
}

/// Exceptions end the call as those of the image do, but they run on the guard's stack, by which
/// `ended` recognises them.
fn gate_of(vector: usize, setup: &GuardSetup) -> [u64; 2] {
    let handler = match vector {
        NMI => setup.pages + offset(&raw const kjump_guard_nmi) as u64,
        0..control::VECTORS => setup.control_page + (entry_offset::stubs_64() + vector * STUB_64) as u64,
        _ => setup.pages + offset(&raw const kjump_guard_interrupt) as u64,
    };
    [gate(handler, selector::CODE_64), handler >> 32]
}

fn guard_code() -> &'static [u8] {
    let start = &raw const kjump_guard_start;
    // SAFETY: the assembly defines both symbols, in this order, in one read-only section.
    unsafe { core::slice::from_raw_parts(start, offset(&raw const kjump_guard_end)) }
}

fn offset(symbol: *const u8) -> usize {
    symbol.addr() - (&raw const kjump_guard_start).addr()
}

unsafe extern "C" {
    static kjump_guard_start: u8;
    static kjump_guard_end: u8;
    static kjump_guard_interrupt: u8;
    static kjump_guard_nmi: u8;
    static kjump_guard_gdt_base: u8;
    static kjump_guard_base: u8;
    static kjump_guard_entry_32: u8;
}

/// Interrupt commands: Intel SDM volume 3, 11.6.1.
const INIT: u32 = 0x4500;
const START_UP: u32 = 0x4600;
const INIT_ALL_BUT_SELF: u32 = 0xc_4500;
/// The size of the trampoline in words of eight bytes.
const TRAMPOLINE_WORDS: usize = 8;
/// Protected mode, monitored coprocessor, extension type, numeric errors, paging: caches are on.
const CR0: u32 = code::CR0_ON | 1 << 1 | 1 << 4 | 1 << 5;

global_asm!(
    include_str!("guard.S"),
    CODE_LIMIT = const CODE_LIMIT,
    ENDED = const ENDED_OFFSET,
    STACK_END = const GATES_OFFSET,
    CONTROL_PAGE = const in_guard_pages!(control_page),
    BEGIN = const in_guard_pages!(begin),
    LEAVE = const in_guard_pages!(leave),
    APIC = const in_guard_pages!(apic),
    CPU = const in_guard_pages!(cpu),
    LOW_PAGE = const in_guard_pages!(low_page),
    MICROSECOND = const in_guard_pages!(microsecond),
    DEADLINE = const in_guard_pages!(deadline),
    STARTED = const in_guard_pages!(started),
    IDT_POINTER = const in_guard_pages!(idt_pointer) + 6,
    KERNEL_CR4 = const in_control_page!(kernel_cr4),
    KERNEL_EFER = const in_control_page!(kernel_efer),
    IDENTITY_CR3 = const in_control_page!(identity_cr3),
    STACK = const in_control_page!(stack),
    STATUS = const in_control_page!(status),
    VALUE_HIGH = const in_control_page!(value_high),
    CONTROL_IDT_POINTER = const in_control_page!(idt_pointer) + 6,
    GDT_LIMIT = const size_of::<[u64; 8]>() - 1,
    RETURNED = const status::RETURNED,
    AT_DEADLINE = const status::DEADLINE,
    INIT = const INIT,
    START_UP = const START_UP,
    INIT_ALL_BUT_SELF = const INIT_ALL_BUT_SELF,
    TRAMPOLINE_WORDS = const TRAMPOLINE_WORDS,
    APIC_EOI = const 0xb0,
    APIC_LDR = const 0xd0,
    APIC_SVR = const 0xf0,
    APIC_ENABLED = const 1 << 8,
    APIC_LVT0 = const 0x350,
    APIC_LVT1 = const 0x360,
    EXTERNAL_INTERRUPT = const 7 << 8,
    NMI_DELIVERY = const 4 << 8,
    APIC_ICR = const 0x300,
    X2APIC = const 0x800,
    BUS_MASTER = const 1 << 2,
    INTERRUPT_OFF = const 1 << 10,
    MULTI_FUNCTION = const 23,
    SELECTOR_CODE_64 = const selector::CODE_64,
    SELECTOR_CODE_32 = const selector::CODE_32,
    SELECTOR_DATA = const selector::DATA,
    CR0 = const CR0,
    CR4_ON = const code::CR4_ON,
    CR4_LA57 = const code::CR4_LA57,
    EFER = const code::EFER,
    EFER_LME = const code::EFER_LME,
    options(att_syntax)
);

#[cfg(test)]
mod tests {
    use super::*;

    const SETUP: GuardSetup = GuardSetup {
        pages: 0x1234_6000,
        control_page: 0x2345_7000,
        apic: 0xfee0_0000,
        cpu: 3,
        low_page: 0x9e000,
        microsecond: 2000,
    };

    fn installed() -> GuardPages {
        let mut pages = GuardPages {
            code: [0; CODE_LIMIT],
            table: GuardTable::default(),
            stack: [0; GATES_OFFSET - TABLE_OFFSET - size_of::<GuardTable>()],
            gates: [[0; 2]; VECTORS],
        };
        // Twice: the second time must not add addresses to those of the first.
        pages.install(&SETUP);
        pages.install(&SETUP);
        pages
    }

    fn number(pages: &GuardPages, symbol: *const u8) -> u64 {
        let bytes = pages.code[offset(symbol)..].first_chunk().expect("four bytes of code");
        u32::from_le_bytes(*bytes).into()
    }

    #[test]
    fn the_trampoline_leads_into_the_pages() {
        let pages = installed();
        assert_eq!(number(&pages, &raw const kjump_guard_base), SETUP.pages);
        let entry = number(&pages, &raw const kjump_guard_entry_32);
        assert!((SETUP.pages..SETUP.pages + CODE_LIMIT as u64).contains(&entry), "{entry:#x}");
        let gdt = number(&pages, &raw const kjump_guard_gdt_base);
        assert_eq!(gdt, SETUP.control_page + (control::TABLE_OFFSET + offset_of!(ControlTable, gdt)) as u64);
    }

    #[test]
    fn every_interrupt_has_a_handler_on_the_guards_own_stack() {
        let pages = installed();
        for (vector, [low, high]) in pages.gates.iter().enumerate() {
            let handler = low & 0xffff | low >> 32 & 0xffff_0000 | high << 32;
            let of_exception = vector < control::VECTORS && vector != NMI;
            let page = if of_exception { SETUP.control_page } else { SETUP.pages };
            assert_eq!(handler & !0xfff, page, "vector {vector}");
            assert_eq!(low >> 32 & 7, 0, "vector {vector} takes no interrupt stack");
        }
    }
}
