//! A 64-bit ELF core header as a crash kernel, or a peer, reads it at `elfcorehdr=` (`fs/proc/vmcore.c`): the ELF
//! header, then program headers whose file offsets are physical addresses.
//!
//! Source: System V ABI, chapters 4 "ELF header" and 5 "Program header"; `include/uapi/linux/elf.h`.

use crate::field::{Field, are_apart};

/// Size of the ELF header.
pub const HEADER_SIZE: usize = 64;
/// The first bytes: the magic number, 64 bits, little-endian, version 1.
pub const IDENT: [u8; 7] = *b"\x7fELF\x02\x01\x01";
/// What the file is: [`TYPE_CORE`].
pub const TYPE: Field<u16> = Field::at(16);
/// Whose it is: [`MACHINE_X86_64`].
pub const MACHINE: Field<u16> = Field::at(18);
/// Version: 1.
pub const VERSION: Field<u32> = Field::at(20);
/// Where the program headers start.
pub const PROGRAM_HEADERS: Field<u64> = Field::at(32);
/// Size of this header.
pub const OWN_SIZE: Field<u16> = Field::at(52);
/// Size of a program header.
pub const PROGRAM_HEADER_SIZE_FIELD: Field<u16> = Field::at(54);
/// How many there are; [`MANY_PROGRAM_HEADERS`] has another meaning, which the kernel does not know.
pub const PROGRAM_HEADER_COUNT: Field<u16> = Field::at(56);

/// A core file.
pub const TYPE_CORE: u16 = 4;
/// x86-64.
pub const MACHINE_X86_64: u16 = 62;
/// As a number of program headers: it stands elsewhere.
pub const MANY_PROGRAM_HEADERS: u16 = 0xffff;

/// A program header: `Elf64_Phdr`.
pub mod program_header {
    use crate::field::{Field, are_apart};

    /// Its size.
    pub const SIZE: usize = 56;
    /// [`LOAD`] or [`NOTE`].
    pub const KIND: Field<u32> = Field::at(0);
    /// Where the bytes are: for the kernel, their physical address while it runs.
    pub const OFFSET: Field<u64> = Field::at(8);
    /// The virtual address they had.
    pub const VIRTUAL: Field<u64> = Field::at(16);
    /// The physical address they had.
    pub const PHYSICAL: Field<u64> = Field::at(24);
    /// How many bytes there are.
    pub const FILE_SIZE: Field<u64> = Field::at(32);
    /// How much memory they stand for.
    pub const MEMORY_SIZE: Field<u64> = Field::at(40);

    /// Memory.
    pub const LOAD: u32 = 1;
    /// Notes.
    pub const NOTE: u32 = 4;

    const _: () = assert!(are_apart(
        &[KIND.span(), OFFSET.span(), VIRTUAL.span(), PHYSICAL.span(), FILE_SIZE.span(), MEMORY_SIZE.span(),],
        SIZE,
    ));
}

const _: () = assert!(are_apart(
    &[
        (0, IDENT.len()),
        TYPE.span(),
        MACHINE.span(),
        VERSION.span(),
        PROGRAM_HEADERS.span(),
        OWN_SIZE.span(),
        PROGRAM_HEADER_SIZE_FIELD.span(),
        PROGRAM_HEADER_COUNT.span(),
    ],
    HEADER_SIZE,
));
