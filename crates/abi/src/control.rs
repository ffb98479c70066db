//! The control page: the relocator's code and the control table it is handed.
//!
//! ```text
//! 0x000  code, entered at offset 0 in 64-bit mode at its physical address
//! 0xa00  ControlTable
//! ```
//!
//! The page is not a destination, so it survives the exchange. It is mapped at its physical
//! address in the image's page tables; the kernel reaches it through its direct map.

use core::mem::{offset_of, size_of};

/// Offset of the [`ControlTable`] in the control page, in bytes.
pub const TABLE_OFFSET: usize = 0xa00;
/// Most bytes the relocator's code may have.
pub const CODE_LIMIT: usize = TABLE_OFFSET;
/// Exception vectors the relocator answers.
pub const VECTORS: usize = 32;
/// Bytes at the end of the stack that exceptions and NMIs have for themselves.
pub const FAULT_STACKS: u64 = 1024;

/// Selectors of [`ControlTable::gdt`].
pub mod selector {
    /// 64-bit code, base 0.
    pub const CODE_64: u16 = 0x10;
    /// Data, base 0, limit 4 GiB.
    pub const DATA: u16 = 0x18;
    /// 32-bit code, base 0, limit 4 GiB.
    pub const CODE_32: u16 = 0x20;
    /// Data, base = physical address of the control page: 32-bit exceptions find the table without
    /// a stack.
    pub const CONTROL: u16 = 0x28;
    /// The 64-bit task state segment, which holds the exception stacks. Two slots.
    pub const TASK: u16 = 0x30;
}

/// How pages are moved: values of [`ControlTable::mover`].
pub mod mover {
    /// 8 bytes at a time, by general registers.
    pub const WORD: u64 = 0;
    /// 16 bytes at a time, by SSE2 registers.
    pub const SSE2: u64 = 1;
    /// 32 bytes at a time, by AVX registers.
    pub const AVX: u64 = 2;
    /// How many there are.
    pub const COUNT: u64 = 3;
}

/// An exception that ended an image.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fault {
    /// Exception vector, 0 to 31; from 32 to 255, an interrupt that the image had no gate for.
    pub vector: u64,
    /// The error code that came with it, 0 for vectors that have none.
    pub error_code: u64,
    /// Instruction pointer.
    pub rip: u64,
    /// Flags.
    pub rflags: u64,
    /// Code segment selector.
    pub cs: u64,
    /// Faulting address of a page fault.
    pub cr2: u64,
    /// `rax rcx rdx rbx rsp rbp rsi rdi r8 … r15`, in the order of their numbers in machine code.
    /// In 32-bit mode the first eight, zero-extended.
    pub registers: [u64; 16],
}

/// The 64-bit task state segment: Intel SDM volume 3, figure 8-11. Kept as 32-bit words, as its
/// stack pointers stand at odd multiples of four.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct TaskState {
    /// Word 9 and 10 are the first of the seven interrupt stacks, word 25 the offset of the I/O
    /// map.
    pub words: [u32; 26],
}

/// When an image is stopped, and by what. Another CPU sends an NMI, or a timer of the HPET raises
/// one.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Deadline {
    /// Time stamp counter ticks the image may run, 0 for no end.
    pub ticks: u64,
    /// The time stamp counter at the deadline; 0 before the image runs.
    pub expires: u64,
    /// Not 0: another CPU sends an NMI.
    pub sent: u64,
    /// Physical address of the registers of the HPET's timer, 0 if it is not used.
    pub timer: u64,
    /// Physical address of the HPET's main counter.
    pub counter: u64,
    /// The main counter's ticks until the timer raises an NMI.
    pub timer_ticks: u64,
    /// The timer's configuration register while it counts.
    pub timer_on: u64,
}

/// What an NMI finds while page tables or modes change: descriptors, gates and a stack at addresses
/// that both sides have. Those of the kernel's direct map are mapped by the kernel's page tables
/// and by the image's.
///
/// The structure is the gates' table itself. The gate of NMIs is at 16 for a CPU that is not in
/// long mode, and at 32 for one that is. As 64-bit gates, the words before it are not for use.
/// Intel SDM volume 3, figures 6-2 and 6-8.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Crossing {
    /// Operand of `lidt`, for this structure at its virtual address.
    pub idt_pointer: [u64; 2],
    /// The gate of NMIs in 32-bit mode.
    pub nmi_32: u64,
    /// Virtual address of the end of the stack for NMIs.
    pub stack_end: u64,
    /// The gate of NMIs in 64-bit mode.
    pub nmi_64: [u64; 2],
    /// Operand of `lgdt`, for [`ControlTable::gdt`] at its virtual address.
    pub gdt_pointer: [u64; 2],
    /// Operand of `lidt`, for this structure at its physical address.
    pub modes_idt_pointer: [u64; 2],
}

/// The relocator's parameters and results. Addresses are physical unless a field is documented
/// otherwise.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct ControlTable {
    /// The control page itself.
    pub control_page: u64,
    /// Kernel's stack pointer, virtual.
    pub kernel_rsp: u64,
    /// Kernel's CR0.
    pub kernel_cr0: u64,
    /// Kernel's CR3.
    pub kernel_cr3: u64,
    /// Kernel's CR4.
    pub kernel_cr4: u64,
    /// Kernel's EFER.
    pub kernel_efer: u64,
    /// Kernel's base of `%gs`: its code reaches per-CPU data, and may do so in any return, by it.
    pub kernel_gs_base: u64,
    /// Virtual address at which the kernel goes on.
    pub kernel_resume: u64,
    /// Page tables with everything identity-mapped.
    pub identity_cr3: u64,
    /// First word of the [page list](crate::page_list).
    pub page_list: u64,
    /// End of the image's stack.
    pub stack: u64,
    /// The address to call.
    pub entry: u64,
    /// One of [`crate::device::mode`].
    pub mode: u64,
    /// One of [`mover`].
    pub mover: u64,
    /// What the image is called with.
    pub arguments: [u64; 6],
    /// The return value.
    pub value: u64,
    /// Its `rdx` on return, in 64-bit mode: the upper half of the result, or a
    /// [handoff](crate::device::Handoff).
    pub value_high: u64,
    /// The entry point it left for the next call, in 64-bit mode; `entry` if it left none.
    pub next_entry: u64,
    /// One of [`crate::device::status`].
    pub status: u64,
    /// The [pages](crate::guard) of the CPU that guards the image while another runs it, 0 if the
    /// image is not guarded.
    pub guard: u64,
    /// Guarded, the first CPU that comes back sets the lowest bit, and counts.
    pub claimed: u64,
    /// When the image is stopped.
    pub deadline: Deadline,
    /// The exception, where there was one; with [`crate::device::status::DEADLINE`], where the
    /// image was.
    pub fault: Fault,
    /// Time stamp counter before the exchange, before the call, after the call, after the exchange
    /// back.
    pub stamps: [u64; 4],
    /// Operand of `lgdt`: the limit in the top 16 bits of the first word, then the base.
    pub gdt_pointer: [u64; 2],
    /// Operand of `lidt` in 64-bit mode.
    pub idt_pointer: [u64; 2],
    /// Operand of `lidt` in 32-bit mode.
    pub idt32_pointer: [u64; 2],
    /// Descriptors, by [`selector`].
    pub gdt: [u64; 8],
    /// Exception stacks of 64-bit mode.
    pub task: TaskState,
    /// For the time in which page tables or modes change.
    pub crossing: Crossing,
    /// Gates of 64-bit mode.
    pub idt: [[u64; 2]; VECTORS],
    /// Gates of 32-bit mode.
    pub idt32: [u64; VECTORS],
}

const _: () = {
    assert!(TABLE_OFFSET.is_multiple_of(16));
    assert!(TABLE_OFFSET + size_of::<ControlTable>() <= 4096);
    assert!(size_of::<Fault>() == 22 * 8);
    assert!(size_of::<Deadline>() == 7 * 8);
    assert!(size_of::<TaskState>() == 104);
    assert!(offset_of!(ControlTable, idt).is_multiple_of(8));
};

impl Fault {
    /// No exception.
    pub const EMPTY: Self =
        Self { vector: 0, error_code: 0, rip: 0, rflags: 0, cs: 0, cr2: 0, registers: [0; 16] };
}

impl Deadline {
    /// No deadline.
    pub const NONE: Self =
        Self { ticks: 0, expires: 0, sent: 0, timer: 0, counter: 0, timer_ticks: 0, timer_on: 0 };
}

impl Crossing {
    /// All zeros.
    pub const EMPTY: Self = Self {
        idt_pointer: [0; 2],
        nmi_32: 0,
        stack_end: 0,
        nmi_64: [0; 2],
        gdt_pointer: [0; 2],
        modes_idt_pointer: [0; 2],
    };
}

impl ControlTable {
    /// All zeros.
    pub const EMPTY: Self = Self {
        control_page: 0,
        kernel_rsp: 0,
        kernel_cr0: 0,
        kernel_cr3: 0,
        kernel_cr4: 0,
        kernel_efer: 0,
        kernel_gs_base: 0,
        kernel_resume: 0,
        identity_cr3: 0,
        page_list: 0,
        stack: 0,
        entry: 0,
        mode: 0,
        mover: 0,
        arguments: [0; 6],
        value: 0,
        value_high: 0,
        next_entry: 0,
        status: 0,
        guard: 0,
        claimed: 0,
        deadline: Deadline::NONE,
        fault: Fault::EMPTY,
        stamps: [0; 4],
        gdt_pointer: [0; 2],
        idt_pointer: [0; 2],
        idt32_pointer: [0; 2],
        gdt: [0; 8],
        task: TaskState { words: [0; 26] },
        crossing: Crossing::EMPTY,
        idt: [[0; 2]; VECTORS],
        idt32: [0; VECTORS],
    };
}
