//! Purgatory's parameters: a block at the start of its own memory, filled in by the planner of the
//! load.
//!
//! ```text
//! 0x00000  block: the fields below, then the regions that are checked
//! 0x01000  code and constants, entered at the first byte in 64-bit mode
//! 0x08000  variables and the stack, zero at first
//! 0x0f000  a page for the way to real mode
//! 0x10000
//! ```
//!
//! Purgatory runs at any address; below 4 GiB if the next kernel is not entered in 64-bit mode.
//! Everything that the block names is identity-mapped.

use crate::field::{Field, are_apart};

/// Offset of the code, which is also its entry point.
pub const ENTRY: usize = 0x1000;
/// Offset of the first byte that changes while it runs.
pub const VARIABLES: usize = 0x8000;
/// Offset of a page that stays free for the way to real mode.
pub const LAST_PAGE: usize = 0xf000;
/// All of its memory.
pub const MEMORY: usize = 0x1_0000;

/// First word of a block.
pub const MAGIC_NUMBER: u64 = u64::from_le_bytes(*b"kjumppur");

/// [`MAGIC_NUMBER`].
pub const MAGIC: Field<u64> = Field::at(0x00);
/// Bits of [`flag`].
pub const FLAGS: Field<u64> = Field::at(0x08);
/// I/O port of the serial console.
pub const SERIAL_PORT: Field<u64> = Field::at(0x10);
/// Its speed in baud; 0 leaves the port as it is.
pub const SERIAL_BAUD: Field<u64> = Field::at(0x18);
/// Seconds between a message that all is lost and the machine's reset.
pub const PAUSE: Field<u64> = Field::at(0x20);
/// One of [`mode`].
pub const MODE: Field<u64> = Field::at(0x28);
/// The entry point: an address; in real mode a segment times 65536 and an offset.
pub const GOAL: Field<u64> = Field::at(0x30);
/// The first of 16 registers by [`register`]; a stack pointer of 0 stands for purgatory's own.
pub const REGISTERS: usize = 0x38;
/// Real mode: the data segments' value in bits 0 to 15, the stack segment's in bits 16 to 31.
pub const SEGMENTS: Field<u64> = Field::at(0xb8);
/// Real mode: address of a page below 1 MiB that purgatory may use.
pub const LOW_PAGE: Field<u64> = Field::at(0xc0);
/// Address of [`JUMP_BACK_PARAMETER`] on the command line, in which purgatory writes the jump-back
/// entry; 0 for none.
pub const JUMP_BACK: Field<u64> = Field::at(0xc8);
/// Address of memory that is copied before the goal is entered.
pub const COPY_FROM: Field<u64> = Field::at(0xd0);
/// Where to.
pub const COPY_TO: Field<u64> = Field::at(0xd8);
/// Number of bytes.
pub const COPY_SIZE: Field<u64> = Field::at(0xe0);
/// How many regions there are.
pub const REGION_COUNT: Field<u64> = Field::at(0xe8);
/// The key of the digest: [`KEY_SIZE`] bytes.
pub const KEY: usize = 0xf0;
/// Bytes of a key.
pub const KEY_SIZE: usize = 32;
/// The digest: [`DIGEST_SIZE`] bytes, which stand for the rest of the block too.
pub const DIGEST: usize = 0x110;
/// Bytes of a digest.
pub const DIGEST_SIZE: usize = 32;
/// The regions.
pub const REGIONS: usize = 0x130;
/// Most regions there is room for.
pub const REGIONS_MAX: usize = (ENTRY - REGIONS) / region::SIZE;

/// The kernel parameter by which a peer's user space finds the jump-back entry, as planned.
pub const JUMP_BACK_PARAMETER: &[u8] = b"kexec_jump_back_entry=0x0000000000000000";

/// A register's field, by [`register`].
#[must_use]
pub const fn register_field(number: usize) -> Field<u64> {
    Field::at(REGISTERS + number * 8)
}

/// A region's fields, counted from its first byte.
pub mod region {
    use crate::field::Field;

    /// Bytes of an entry.
    pub const SIZE: usize = 24;
    /// Address.
    pub const START: Field<u64> = Field::at(0);
    /// Bytes whose digest counts.
    pub const BYTES: Field<u64> = Field::at(8);
    /// Bytes from there on that must be zero.
    pub const ZEROS: Field<u64> = Field::at(16);
}

/// Bits of [`FLAGS`].
pub mod flag {
    /// The digest is checked.
    pub const CHECK: u64 = 1 << 0;
    /// Purgatory returns: a return address is on top of the stack.
    pub const COMES_BACK: u64 = 1 << 1;
    /// Messages go to a serial port.
    pub const CONSOLE_SERIAL: u64 = 1 << 2;
    /// Messages go to the VGA's text memory.
    pub const CONSOLE_VGA: u64 = 1 << 3;
    /// The VGA is put into text mode.
    pub const RESET_VGA: u64 = 1 << 4;
}

/// How the goal is entered.
pub mod mode {
    /// In 64-bit mode with paging.
    pub const LONG: u64 = 0;
    /// In 32-bit protected mode without paging, flat selectors 0x10 (code) and 0x18 (data).
    pub const PROTECTED: u64 = 1;
    /// In real mode, with the BIOS's interrupt table and interrupt controllers as the BIOS has
    /// them.
    pub const REAL: u64 = 2;
}

/// Registers by their numbers in machine code.
pub mod register {
    /// `rax`
    pub const RAX: usize = 0;
    /// `rcx`
    pub const RCX: usize = 1;
    /// `rdx`
    pub const RDX: usize = 2;
    /// `rbx`
    pub const RBX: usize = 3;
    /// `rsp`
    pub const RSP: usize = 4;
    /// `rbp`
    pub const RBP: usize = 5;
    /// `rsi`
    pub const RSI: usize = 6;
    /// `rdi`
    pub const RDI: usize = 7;
    /// How many there are.
    pub const COUNT: usize = 16;
}

/// What purgatory returns to the running kernel with, instead of entering its goal: in `rax`, and
/// in `rdx` too, where it is neither 0 nor the address that a peer kernel may leave there.
pub mod verdict {
    /// The digest does not match: "damaged" in ASCII.
    pub const DAMAGED: u64 = u64::from_be_bytes(*b"damaged!");
    /// The block itself makes no sense.
    pub const SENSELESS: u64 = u64::from_be_bytes(*b"no block");
}

const _: () = {
    let spans = [
        MAGIC.span(),
        FLAGS.span(),
        SERIAL_PORT.span(),
        SERIAL_BAUD.span(),
        PAUSE.span(),
        MODE.span(),
        GOAL.span(),
        (REGISTERS, REGISTERS + register::COUNT * 8),
        SEGMENTS.span(),
        LOW_PAGE.span(),
        JUMP_BACK.span(),
        COPY_FROM.span(),
        COPY_TO.span(),
        COPY_SIZE.span(),
        REGION_COUNT.span(),
        (KEY, KEY + KEY_SIZE),
        (DIGEST, DIGEST + DIGEST_SIZE),
        (REGIONS, REGIONS + REGIONS_MAX * region::SIZE),
    ];
    assert!(are_apart(&spans, ENTRY));
    assert!(ENTRY < VARIABLES && VARIABLES < LAST_PAGE && LAST_PAGE + 0x1000 == MEMORY);
    let spans = [region::START.span(), region::BYTES.span(), region::ZEROS.span()];
    assert!(are_apart(&spans, region::SIZE));
};
