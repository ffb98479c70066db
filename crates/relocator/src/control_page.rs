//! The control page as a value: code, and a control table for its address.

use abi::control::{
    CODE_LIMIT, ControlTable, Crossing, Deadline, FAULT_STACKS, Fault, TABLE_OFFSET, TaskState, VECTORS,
    selector,
};
use abi::device::status;
use core::mem::{offset_of, size_of};

use crate::code::{STUB_32, STUB_64, code, entry_offset};
use crate::shared::{NMI, low_half};

/// The page that holds the relocator's code and its control table.
#[repr(C, align(4096))]
pub struct ControlPage {
    code: [u8; CODE_LIMIT],
    /// The parameters of the code, and its results.
    pub table: ControlTable,
}

const _: () = assert!(offset_of!(ControlPage, table) == TABLE_OFFSET);
const _: () = assert!(size_of::<ControlPage>() == 4096);
/// The gates of NMIs are where the CPU looks for them.
const _: () = assert!(offset_of!(Crossing, nmi_32) == NMI * 8 && offset_of!(Crossing, nmi_64) == NMI * 16);

/// The parameters of [`ControlPage::install`]. Addresses are physical unless a field says
/// otherwise.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    /// The control page itself; below 4 GiB for 32-bit mode.
    pub control_page: u64,
    /// Its virtual address, which the kernel's page tables and the identity map map.
    pub control_page_virtual: u64,
    /// Virtual address of the handler of NMIs, `gate::crossing_nmi`.
    pub crossing_nmi: u64,
    /// Root of the identity map; below 4 GiB for 32-bit mode.
    pub identity_cr3: u64,
    /// First word of the page list.
    pub page_list: u64,
    /// End of the stack, 16-byte aligned; below 4 GiB for 32-bit mode. Its last [`FAULT_STACKS`]
    /// bytes are for exceptions, the image starts below them.
    pub stack_end: u64,
    /// Its virtual address; the page before it is mapped as the control page is.
    pub stack_end_virtual: u64,
    /// The entry point of the image.
    pub entry: u64,
    /// One of [`abi::device::mode`].
    pub mode: u64,
    /// One of [`abi::control::mover`].
    pub mover: u64,
    /// The guard's pages, 0 if the image is not guarded.
    pub guard: u64,
}

impl ControlPage {
    /// Fills in the page for the addresses in `setup`.
    pub fn install(&mut self, setup: &Setup) {
        // The code fits: otherwise `code.S` does not assemble.
        for (place, byte) in self.code.iter_mut().zip(code()) {
            *place = *byte;
        }
        self.table = ControlTable {
            control_page: setup.control_page,
            identity_cr3: setup.identity_cr3,
            page_list: setup.page_list,
            stack: setup.stack_end - FAULT_STACKS,
            entry: setup.entry,
            mode: setup.mode,
            mover: setup.mover,
            guard: setup.guard,
            gdt_pointer: pointer::<64>(setup.control_page, offset_of!(ControlTable, gdt)),
            idt_pointer: pointer::<{ VECTORS * 16 }>(setup.control_page, offset_of!(ControlTable, idt)),
            idt32_pointer: pointer::<{ VECTORS * 8 }>(setup.control_page, offset_of!(ControlTable, idt32)),
            gdt: descriptors(setup),
            task: task_state(setup),
            crossing: crossing(setup),
            idt: gates_64(setup),
            idt32: gates_32(setup),
            ..ControlTable::EMPTY
        };
    }

    /// Prepares the page for the next call, with a deadline if the image is not guarded.
    pub fn prepare(&mut self, arguments: [u64; 6], deadline: Deadline) {
        self.table.arguments = arguments;
        self.table.value = 0;
        self.table.value_high = 0;
        self.table.next_entry = 0;
        self.table.status = status::NOT_CALLED;
        self.table.claimed = 0;
        self.table.deadline = deadline;
        self.table.fault = Fault::EMPTY;
        self.table.stamps = [0; 4];
    }
}

/// The operand of `lgdt` and `lidt`, which starts at byte 6: a limit of 16 bits, then the base. The
/// offset is one in the control table.
fn pointer<const BYTES: usize>(page: u64, offset: usize) -> [u64; 2] {
    [(BYTES as u64 - 1) << 48, page + (TABLE_OFFSET + offset) as u64]
}

/// The selectors of code and data are the kernel's too, so that the handler is entered and left
/// with either GDT. There is no interrupt stack: it would be found by a task state segment, and
/// neither is mapped on both sides.
fn crossing(setup: &Setup) -> Crossing {
    let page = setup.control_page_virtual;
    let offset = offset_of!(ControlTable, crossing);
    let nmi_32 = setup.control_page + entry_offset::nmi_32() as u64;
    Crossing {
        idt_pointer: pointer::<48>(page, offset),
        nmi_32: gate(nmi_32, selector::CODE_32),
        stack_end: setup.stack_end_virtual - FAULT_STACKS / 2,
        nmi_64: [gate(setup.crossing_nmi, selector::CODE_64), setup.crossing_nmi >> 32],
        gdt_pointer: pointer::<64>(page, offset_of!(ControlTable, gdt)),
        modes_idt_pointer: pointer::<48>(setup.control_page, offset),
    }
}

/// Descriptors by selector, with the accessed bits set, so that the CPU writes only to the one that
/// `ltr` marks busy. Intel SDM volume 3, 3.4.5.
fn descriptors(setup: &Setup) -> [u64; 8] {
    const FLAT: u64 = 0x00cf_0000_0000_ffff;
    let mut gdt = [0; 8];
    gdt[slot(selector::CODE_64)] = 0x00af_9b00_0000_ffff;
    gdt[slot(selector::DATA)] = FLAT | 0x93 << 40;
    gdt[slot(selector::CODE_32)] = FLAT | 0x9b << 40;
    gdt[slot(selector::CONTROL)] = FLAT | 0x93 << 40 | descriptor_base(setup.control_page);
    let task = setup.control_page + (TABLE_OFFSET + offset_of!(ControlTable, task)) as u64;
    gdt[slot(selector::TASK)] = (size_of::<TaskState>() as u64 - 1) | 0x89 << 40 | descriptor_base(task);
    gdt[slot(selector::TASK) + 1] = task >> 32;
    gdt
}

const fn slot(selector: u16) -> usize {
    (selector / 8) as usize
}

/// The low 32 bits of a base address, in their places in a descriptor.
fn descriptor_base(base: u64) -> u64 {
    (base & 0x00ff_ffff) << 16 | (base & 0xff00_0000) << 32
}

/// The first and second interrupt stack: for exceptions, and for NMIs, which may arrive while an
/// exception is handled.
fn task_state(setup: &Setup) -> TaskState {
    let mut words = [0; 26];
    let stacks = [setup.stack_end, setup.stack_end - FAULT_STACKS / 2];
    for (stack, words) in stacks.iter().zip(words[9..13].chunks_exact_mut(2)) {
        words[0] = low_half(*stack);
        words[1] = low_half(*stack >> 32);
    }
    words[25] = low_half(size_of::<TaskState>() as u64) << 16;
    TaskState { words }
}

/// 64-bit interrupt gates: Intel SDM volume 3, figure 6-8. Exceptions have interrupt stack 1, NMIs
/// 2.
fn gates_64(setup: &Setup) -> [[u64; 2]; VECTORS] {
    core::array::from_fn(|vector| {
        let (offset, stack) = match vector {
            NMI => (entry_offset::nmi_64(), 2),
            _ => (entry_offset::stubs_64() + vector * STUB_64, 1),
        };
        let handler = setup.control_page + offset as u64;
        [gate(handler, selector::CODE_64) | stack << 32, handler >> 32]
    })
}

/// 32-bit interrupt gates: Intel SDM volume 3, figure 6-2.
fn gates_32(setup: &Setup) -> [u64; VECTORS] {
    core::array::from_fn(|vector| {
        let offset = match vector {
            NMI => entry_offset::nmi_32(),
            _ => entry_offset::stubs_32() + vector * STUB_32,
        };
        gate(setup.control_page + offset as u64, selector::CODE_32)
    })
}

/// The common part of 32-bit and 64-bit interrupt gates: present, type 14.
pub(crate) fn gate(handler: u64, code: u16) -> u64 {
    handler & 0xffff | (code as u64) << 16 | 0x8e << 40 | (handler >> 16 & 0xffff) << 48
}
