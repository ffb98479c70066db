//! Static ELF executables for x86, 64- and 32-bit: only their load headers count.

use abi::elf::{
    CLASS_32, CLASS_64, Class, FileHeader, MANY_PROGRAM_HEADERS, ProgramHeader, file_type, ident, machine,
    program_type,
};
use abi::{Field, Number};

use crate::bytes::{self, part};
use crate::pages::{self, Piece};
use crate::{Error, Mode, Program};

pub use abi::elf::MAGIC;

/// The file header, for the fields that both classes have at the same place.
const HEADER: FileHeader<u64> = CLASS_64.file_header;
/// Names in messages.
const ELF_HEADER: &str = "a field of the ELF header";
const PROGRAM_HEADER: &str = "a field of the program header";

/// The program that the load headers of an ELF file describe, each at its *physical* address.
///
/// The entry point is physical if it is in a load header's physical range; otherwise it is
/// translated if it is in a virtual range, and else unchanged.
///
/// # Errors
/// Every [`Error`] but [`Error::Unrecognised`] and [`Error::Empty`].
pub fn parse(file: &[u8]) -> Result<Program<'_>, Error> {
    match bytes::number(file, ident::CLASS, ELF_HEADER)? {
        ident::CLASS_32 => program(file, &CLASS_32, machine::I386, Mode::Protected),
        ident::CLASS_64 => program(file, &CLASS_64, machine::X86_64, Mode::Long),
        class => {
            let wanted = "expected 1 (32-bit) or 2 (64-bit)";
            Err(Error::Unsupported { field: "ELF class", value: class.into(), wanted })
        }
    }
}

/// The type of a class's addresses.
trait Address: Number + Into<u64> {}
impl<A: Number + Into<u64>> Address for A {}

fn program<'a, A: Address>(
    file: &'a [u8],
    class: &Class<A>,
    machine: u16,
    mode: Mode,
) -> Result<Program<'a>, Error> {
    check_kind(file, machine)?;
    let headers = load_headers(file, class)?;
    let entry = physical_entry(&headers, number(file, class.file_header.entry, ELF_HEADER)?);
    let pieces = headers.into_iter().map(|header| header.piece).collect();
    let segments = pages::segments(pieces)?;
    if segments.is_empty() {
        return Err(Error::NoLoadHeader);
    }
    Ok(Program { segments, entry, mode })
}

fn check_kind(file: &[u8], right_machine: u16) -> Result<(), Error> {
    let check = |field, value, right, wanted| {
        if value == right { Ok(()) } else { Err(Error::Unsupported { field, value, wanted }) }
    };
    let data = number(file, ident::DATA, ELF_HEADER)?;
    check("ELF data encoding", data, ident::LITTLE_ENDIAN.into(), "expected 1, little-endian")?;
    let machine = number(file, HEADER.machine, ELF_HEADER)?;
    let wanted = match machine {
        0xb7 => "arm64; expected 0x3e, x86-64",
        0xf3 => "RISC-V; expected 0x3e, x86-64",
        0x28 => "arm; expected 0x3e, x86-64",
        0x15 => "PowerPC; expected 0x3e, x86-64",
        0x16 => "s390x; expected 0x3e, x86-64",
        _ => "expected 0x3e (x86-64) in a 64-bit file, 0x3 (386) in a 32-bit one",
    };
    check("ELF machine", machine, right_machine.into(), wanted)?;
    let kind = number(file, HEADER.kind, ELF_HEADER)?;
    if kind == file_type::SHARED.into() {
        return Err(Error::NotStatic { header: "type 3, position-independent" });
    }
    check("ELF type", kind, file_type::EXECUTABLE.into(), "expected 2, a static executable")
}

/// A piece of the program, and the virtual address that the file gives it.
struct LoadHeader<'a> {
    piece: Piece<'a>,
    virt: u64,
}

fn load_headers<'a, A: Address>(file: &'a [u8], class: &Class<A>) -> Result<Vec<LoadHeader<'a>>, Error> {
    let layout = &class.program_header;
    let mut load_headers = Vec::new();
    let mut bytes = 0_u64;
    for (index, header) in program_headers(file, class)?.enumerate() {
        match bytes::number(header, layout.kind, PROGRAM_HEADER)? {
            program_type::LOAD => load_headers.push(load_header(file, layout, header, index)?),
            program_type::DYNAMIC => return Err(Error::NotStatic { header: "a dynamic section" }),
            program_type::INTERPRETER => return Err(Error::NotStatic { header: "an interpreter" }),
            _ => continue,
        }
        bytes = bytes.saturating_add(load_headers.last().map_or(0, |header| header.piece.bytes.len() as u64));
    }
    // Linkers do not let load headers share bytes. This check bounds the memory for copies by the
    // size of the file.
    let length = file.len() as u64;
    if bytes > length { Err(Error::SharedBytes { bytes, length }) } else { Ok(load_headers) }
}

fn program_headers<'a, A: Address>(
    file: &'a [u8],
    class: &Class<A>,
) -> Result<impl Iterator<Item = &'a [u8]> + use<'a, A>, Error> {
    let (layout, size) = (&class.file_header, class.program_header.size);
    let count = bytes::number(file, layout.program_header_count, ELF_HEADER)?;
    let stated_size = number(file, layout.program_header_size, ELF_HEADER)?;
    if count == MANY_PROGRAM_HEADERS {
        let wanted = "expected at most 0xfffe";
        return Err(Error::Unsupported { field: "number of program headers", value: count.into(), wanted });
    }
    if count > 0 && stated_size != size as u64 {
        let wanted = "expected 0x38 in a 64-bit file, 0x20 in a 32-bit one";
        return Err(Error::Unsupported { field: "size of a program header", value: stated_size, wanted });
    }
    let (at, bytes) = (number(file, layout.program_headers, ELF_HEADER)?, u64::from(count) * size as u64);
    Ok(part(file, at, bytes, || "the table of program headers".into())?.chunks_exact(size))
}

fn load_header<'a, A: Address>(
    file: &'a [u8],
    layout: &ProgramHeader<A>,
    header: &[u8],
    index: usize,
) -> Result<LoadHeader<'a>, Error> {
    let number = |field| number(header, field, PROGRAM_HEADER);
    let name = || format!("load header {index}");
    let (filesz, memsz) = (number(layout.file_size)?, number(layout.memory_size)?);
    if filesz > memsz {
        return Err(Error::TooManyBytes { name: name(), filesz, memsz });
    }
    let bytes = part(file, number(layout.offset)?, filesz, name)?;
    let piece = Piece { name: name(), address: number(layout.phys)?, size: memsz, bytes };
    Ok(LoadHeader { piece, virt: number(layout.virt)? })
}

fn physical_entry(headers: &[LoadHeader<'_>], entry: u64) -> u64 {
    let within = |start: u64, size: u64| entry.checked_sub(start).filter(|&offset| offset < size);
    if headers.iter().any(|header| within(header.piece.address, header.piece.size).is_some()) {
        return entry;
    }
    let translated = headers.iter().find_map(|header| {
        within(header.virt, header.piece.size).and_then(|offset| header.piece.address.checked_add(offset))
    });
    translated.unwrap_or(entry)
}

fn number<T: Address>(bytes: &[u8], field: Field<T>, what: &str) -> Result<u64, Error> {
    bytes::number(bytes, field, what).map(Into::into)
}

#[cfg(test)]
mod tests;
