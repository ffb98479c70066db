//! ELF files, 64- and 32-bit, little-endian: the headers, notes and symbols that kernels, core
//! files and elfcorehdrs have.
//!
//! The two classes have the same structures; addresses, offsets and sizes are `u64` in one and
//! `u32` in the other, and a few fields stand in another order. [`CLASS_64`] and [`CLASS_32`] hold
//! the places of the fields of each, so that one generic reader serves both.
//!
//! Sources: System V ABI (gABI), chapters 4 "ELF Header", "Sections", "Symbol Table" and 5 "Program
//! Header", "Note Section"; `include/uapi/linux/elf.h`.

use crate::field::{Field, are_apart};

/// The first bytes of every ELF file.
pub const MAGIC: [u8; 4] = *b"\x7fELF";
/// The first bytes of a 64-bit little-endian file: [`MAGIC`], class, data encoding, version.
pub const IDENT_64: [u8; 7] = *b"\x7fELF\x02\x01\x01";

/// The bytes after [`MAGIC`], and what both classes have at the same place in the file header.
pub mod ident {
    use crate::field::Field;

    /// [`CLASS_32`] or [`CLASS_64`].
    pub const CLASS: Field<u8> = Field::at(4);
    /// Byte order: [`LITTLE_ENDIAN`].
    pub const DATA: Field<u8> = Field::at(5);
    /// Version: 1.
    pub const VERSION: Field<u8> = Field::at(6);
    /// Size of the identification.
    pub const SIZE: usize = 16;

    /// Addresses of 32 bits.
    pub const CLASS_32: u8 = 1;
    /// Addresses of 64 bits.
    pub const CLASS_64: u8 = 2;
    /// Least significant byte first.
    pub const LITTLE_ENDIAN: u8 = 1;
}

/// Kind of file.
pub mod file_type {
    /// An executable at fixed addresses.
    pub const EXECUTABLE: u16 = 2;
    /// A shared object, or a position-independent executable.
    pub const SHARED: u16 = 3;
    /// A core file.
    pub const CORE: u16 = 4;
}

/// Architecture of the file.
pub mod machine {
    /// x86, 32-bit.
    pub const I386: u16 = 3;
    /// x86-64.
    pub const X86_64: u16 = 62;
}

/// The only version there is, in the identification and in the file header.
pub const VERSION: u32 = 1;
/// As the number of program headers: the true number is in [`SectionHeader::info`] of the first
/// section header. Linux's reader of elfcorehdrs does not know this.
pub const MANY_PROGRAM_HEADERS: u16 = 0xffff;

/// Meaning of a program header.
pub mod program_type {
    /// Bytes of the file that belong in memory.
    pub const LOAD: u32 = 1;
    /// What a dynamic linker needs.
    pub const DYNAMIC: u32 = 2;
    /// Path of a program interpreter.
    pub const INTERPRETER: u32 = 3;
    /// Notes.
    pub const NOTE: u32 = 4;
}

/// Kind of section.
pub mod section_type {
    /// Bytes of the program.
    pub const PROGBITS: u32 = 1;
    /// Relocations with addends.
    pub const RELA: u32 = 4;
}

/// Section numbers with a meaning of their own.
pub mod section_index {
    /// No section: the symbol is defined elsewhere.
    pub const UNDEFINED: u16 = 0;
}

/// The file header: `Elf64_Ehdr`, `Elf32_Ehdr`.
#[derive(Clone, Copy, Debug)]
pub struct FileHeader<A> {
    /// Bytes of this header.
    pub size: usize,
    /// One of [`file_type`].
    pub kind: Field<u16>,
    /// One of [`machine`].
    pub machine: Field<u16>,
    /// [`VERSION`].
    pub version: Field<u32>,
    /// Virtual address of the first instruction.
    pub entry: Field<A>,
    /// Where the program headers start in the file.
    pub program_headers: Field<A>,
    /// Where the section headers start in the file.
    pub section_headers: Field<A>,
    /// Flags of the architecture; x86 has none.
    pub flags: Field<u32>,
    /// [`FileHeader::size`].
    pub header_size: Field<u16>,
    /// [`ProgramHeader::size`].
    pub program_header_size: Field<u16>,
    /// Number of program headers, or [`MANY_PROGRAM_HEADERS`].
    pub program_header_count: Field<u16>,
    /// [`SectionHeader::size`].
    pub section_header_size: Field<u16>,
    /// Number of section headers.
    pub section_header_count: Field<u16>,
    /// Number of the section with the names of sections.
    pub section_names: Field<u16>,
}

/// A program header: `Elf64_Phdr`, `Elf32_Phdr`.
#[derive(Clone, Copy, Debug)]
pub struct ProgramHeader<A> {
    /// Bytes of a program header.
    pub size: usize,
    /// One of [`program_type`].
    pub kind: Field<u32>,
    /// Readable, writable, executable.
    pub flags: Field<u32>,
    /// Where the bytes start in the file. In an elfcorehdr: their physical address at present.
    pub offset: Field<A>,
    /// Virtual address of the first byte.
    pub virt: Field<A>,
    /// Physical address of the first byte.
    pub phys: Field<A>,
    /// Bytes in the file.
    pub file_size: Field<A>,
    /// Bytes in memory; those that the file does not have are zero.
    pub memory_size: Field<A>,
    /// Alignment of the addresses, in bytes.
    pub align: Field<A>,
}

/// A section header: `Elf64_Shdr`, `Elf32_Shdr`.
#[derive(Clone, Copy, Debug)]
pub struct SectionHeader<A> {
    /// Bytes of a section header.
    pub size: usize,
    /// Where its name starts in the section of names.
    pub name: Field<u32>,
    /// One of [`section_type`], or another kind.
    pub kind: Field<u32>,
    /// Flags.
    pub flags: Field<A>,
    /// Virtual address.
    pub address: Field<A>,
    /// Where its bytes start in the file.
    pub offset: Field<A>,
    /// Bytes of the section.
    pub bytes: Field<A>,
    /// Number of another section.
    pub link: Field<u32>,
    /// More about it; of the first section header see [`MANY_PROGRAM_HEADERS`].
    pub info: Field<u32>,
    /// Alignment of the address, in bytes.
    pub align: Field<A>,
    /// Size of an entry, if the section is a table.
    pub entry_size: Field<A>,
}

/// A symbol: `Elf64_Sym`, `Elf32_Sym`.
#[derive(Clone, Copy, Debug)]
pub struct Symbol<A> {
    /// Bytes of a symbol.
    pub size: usize,
    /// Where its name starts in the table of names.
    pub name: Field<u32>,
    /// Kind and binding.
    pub info: Field<u8>,
    /// Number of its section, or [`section_index::UNDEFINED`].
    pub section: Field<u16>,
    /// Its value; of most symbols the virtual address.
    pub value: Field<A>,
    /// Bytes of the object it names.
    pub bytes: Field<A>,
}

/// The structures of one class. `A` is the type of its addresses.
#[derive(Clone, Copy, Debug)]
pub struct Class<A> {
    /// The file header.
    pub file_header: FileHeader<A>,
    /// A program header.
    pub program_header: ProgramHeader<A>,
    /// A section header.
    pub section_header: SectionHeader<A>,
    /// A symbol.
    pub symbol: Symbol<A>,
}

/// 64-bit files.
pub const CLASS_64: Class<u64> = Class {
    file_header: FileHeader {
        size: 64,
        kind: Field::at(16),
        machine: Field::at(18),
        version: Field::at(20),
        entry: Field::at(24),
        program_headers: Field::at(32),
        section_headers: Field::at(40),
        flags: Field::at(48),
        header_size: Field::at(52),
        program_header_size: Field::at(54),
        program_header_count: Field::at(56),
        section_header_size: Field::at(58),
        section_header_count: Field::at(60),
        section_names: Field::at(62),
    },
    program_header: ProgramHeader {
        size: 56,
        kind: Field::at(0),
        flags: Field::at(4),
        offset: Field::at(8),
        virt: Field::at(16),
        phys: Field::at(24),
        file_size: Field::at(32),
        memory_size: Field::at(40),
        align: Field::at(48),
    },
    section_header: SectionHeader {
        size: 64,
        name: Field::at(0),
        kind: Field::at(4),
        flags: Field::at(8),
        address: Field::at(16),
        offset: Field::at(24),
        bytes: Field::at(32),
        link: Field::at(40),
        info: Field::at(44),
        align: Field::at(48),
        entry_size: Field::at(56),
    },
    symbol: Symbol {
        size: 24,
        name: Field::at(0),
        info: Field::at(4),
        section: Field::at(6),
        value: Field::at(8),
        bytes: Field::at(16),
    },
};

/// 32-bit files.
pub const CLASS_32: Class<u32> = Class {
    file_header: FileHeader {
        size: 52,
        kind: Field::at(16),
        machine: Field::at(18),
        version: Field::at(20),
        entry: Field::at(24),
        program_headers: Field::at(28),
        section_headers: Field::at(32),
        flags: Field::at(36),
        header_size: Field::at(40),
        program_header_size: Field::at(42),
        program_header_count: Field::at(44),
        section_header_size: Field::at(46),
        section_header_count: Field::at(48),
        section_names: Field::at(50),
    },
    program_header: ProgramHeader {
        size: 32,
        kind: Field::at(0),
        offset: Field::at(4),
        virt: Field::at(8),
        phys: Field::at(12),
        file_size: Field::at(16),
        memory_size: Field::at(20),
        flags: Field::at(24),
        align: Field::at(28),
    },
    section_header: SectionHeader {
        size: 40,
        name: Field::at(0),
        kind: Field::at(4),
        flags: Field::at(8),
        address: Field::at(12),
        offset: Field::at(16),
        bytes: Field::at(20),
        link: Field::at(24),
        info: Field::at(28),
        align: Field::at(32),
        entry_size: Field::at(36),
    },
    symbol: Symbol {
        size: 16,
        name: Field::at(0),
        value: Field::at(4),
        bytes: Field::at(8),
        info: Field::at(12),
        section: Field::at(14),
    },
};

/// A note: this header, then the name and then the contents, each padded to [`ALIGN`](note::ALIGN)
/// bytes. The same in both classes, because Linux pads to 4 bytes in 64-bit core files too.
pub mod note {
    use crate::field::{Field, are_apart};

    /// Bytes of the name, its final zero included.
    pub const NAME_SIZE: Field<u32> = Field::at(0);
    /// Bytes of the contents.
    pub const CONTENT_SIZE: Field<u32> = Field::at(4);
    /// Kind of note; the name gives it its meaning.
    pub const KIND: Field<u32> = Field::at(8);
    /// Bytes of this header.
    pub const HEADER_SIZE: usize = 12;
    /// Name and contents are padded to a multiple of this many bytes.
    pub const ALIGN: usize = 4;

    /// Under the name `CORE`: registers of a thread, or in a vmcore of a CPU.
    pub const PRSTATUS: u32 = 1;
    /// Name of the registers of CPUs, without the final zero.
    pub const CORE: &[u8] = b"CORE";
    /// Name of the note that describes the kernel, without the final zero; its kind is 0.
    pub const VMCOREINFO: &[u8] = b"VMCOREINFO";

    const _: () = assert!(are_apart(&[NAME_SIZE.span(), CONTENT_SIZE.span(), KIND.span()], HEADER_SIZE));
}

/// Asserts that every field of a class has its own bytes, in the order of the System V ABI.
macro_rules! assert_layout {
    ($layout:expr, $size:expr, [$($field:ident),* $(,)?]) => {
        const _: () = assert!($layout.size == $size && are_apart(&[$($layout.$field.span()),*], $size));
        const _: () = assert!(ends_at(&[$($layout.$field.span()),*], $size));
    };
}

/// Whether the last span ends there: with [`are_apart`], no field is missing at the end.
const fn ends_at(spans: &[(usize, usize)], size: usize) -> bool {
    matches!(spans, [.., (_, end)] if *end == size)
}

macro_rules! assert_file_header {
    ($class:expr, $size:expr) => {
        const _: () = assert!($class.file_header.kind.offset() == ident::SIZE);
        assert_layout!(
            $class.file_header,
            $size,
            [
                kind,
                machine,
                version,
                entry,
                program_headers,
                section_headers,
                flags,
                header_size,
                program_header_size,
                program_header_count,
                section_header_size,
                section_header_count,
                section_names,
            ]
        );
        assert_layout!(
            $class.section_header,
            $class.section_header.size,
            [name, kind, flags, address, offset, bytes, link, info, align, entry_size]
        );
    };
}

assert_file_header!(CLASS_64, 64);
assert_file_header!(CLASS_32, 52);
assert_layout!(CLASS_64.program_header, 56, [kind, flags, offset, virt, phys, file_size, memory_size, align]);
assert_layout!(CLASS_32.program_header, 32, [kind, offset, virt, phys, file_size, memory_size, flags, align]);
assert_layout!(CLASS_64.symbol, 24, [name, info, section, value, bytes]);
assert_layout!(CLASS_32.symbol, 16, [name, value, bytes, info, section]);
const _: () = assert!(CLASS_64.section_header.size == 64 && CLASS_32.section_header.size == 40);
