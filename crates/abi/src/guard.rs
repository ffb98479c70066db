//! The guard's pages: what one CPU runs while another runs the image.
//!
//! ```text
//! 0x0000  code, entered at offset 0 in 64-bit mode at its physical address, or at offset 8 after the
//!         image has ended
//! 0x0600  GuardTable
//! ...     the guard's stack, which ends with the page
//! 0x1000  gates for every interrupt vector
//! ```
//!
//! Like the control page they are not destinations, and are identity-mapped. They lie below 4 GiB,
//! where a CPU that comes from real mode gets at them.

use core::mem::size_of;

/// Offset of the [`GuardTable`], in bytes.
pub const TABLE_OFFSET: usize = 0x600;
/// Most bytes the guard's code may have.
pub const CODE_LIMIT: usize = TABLE_OFFSET;
/// Where the code is entered when the image has ended.
pub const ENDED_OFFSET: usize = 8;
/// Offset of the gates, and of the end of the guard's stack.
pub const GATES_OFFSET: usize = 0x1000;
/// Interrupt vectors there are.
pub const VECTORS: usize = 256;

/// The guard's parameters and results. Addresses are physical.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct GuardTable {
    /// The control page of the image that is guarded.
    pub control_page: u64,
    /// Where in it the other CPU goes on once it is in 64-bit mode.
    pub begin: u64,
    /// Where in it the guard goes on when the image has ended.
    pub leave: u64,
    /// The registers of the local APIC; 0 where they are model-specific ones (x2APIC).
    pub apic: u64,
    /// The APIC identifier of the CPU that runs the image.
    pub cpu: u64,
    /// A page below 1 MiB, for what that CPU starts with. Its content is put back.
    pub low_page: u64,
    /// Time stamp counter ticks in a microsecond.
    pub microsecond: u64,
    /// Ticks the image may run, 0 for no end.
    pub deadline: u64,
    /// Whether the other CPU has come as far as 64-bit mode.
    pub started: u64,
    /// Operand of `lidt`: the limit in the top 16 bits of the first word, then the base.
    pub idt_pointer: [u64; 2],
}

/// Bytes the guard's stack has at least.
const STACK: usize = 1024;

const _: () = assert!(TABLE_OFFSET + size_of::<GuardTable>() + STACK <= GATES_OFFSET);
const _: () = assert!(TABLE_OFFSET.is_multiple_of(16));
