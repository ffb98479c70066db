//! Static ELF executables for x86, 64- and 32-bit: what their load headers say is all that counts.
//!
//! Layouts and numbers are those of the System V ABI, chapters 4 "ELF header" and 5 "Program header".

use crate::bytes::part;
use crate::pages::{self, Piece};
use crate::{Error, Mode, Program};

/// The first bytes of every ELF file.
pub const MAGIC: [u8; 4] = *b"\x7fELF";

const LITTLE_ENDIAN: u8 = 1;
const EXECUTABLE: u64 = 2;
const POSITION_INDEPENDENT: u64 = 3;
const MACHINE_386: u64 = 3;
const MACHINE_X86_64: u64 = 62;
/// As a number of program headers: the true number stands elsewhere.
const MANY_HEADERS: u64 = 0xffff;

const HEADER_LOAD: u64 = 1;
const HEADER_DYNAMIC: u64 = 2;
const HEADER_INTERPRETER: u64 = 3;

/// Where a field is, and how many bytes it has.
type Field = (usize, usize);

/// What differs between the 64- and the 32-bit form.
struct Class {
    mode: Mode,
    machine: u64,
    entry: Field,
    headers_at: Field,
    header_size: Field,
    header_count: Field,
    /// Size of a program header.
    size: usize,
    offset: Field,
    virt: Field,
    phys: Field,
    filesz: Field,
    memsz: Field,
}

const CLASS_64: Class = Class {
    mode: Mode::Long,
    machine: MACHINE_X86_64,
    entry: (24, 8),
    headers_at: (32, 8),
    header_size: (54, 2),
    header_count: (56, 2),
    size: 56,
    offset: (8, 8),
    virt: (16, 8),
    phys: (24, 8),
    filesz: (32, 8),
    memsz: (40, 8),
};

const CLASS_32: Class = Class {
    mode: Mode::Protected,
    machine: MACHINE_386,
    entry: (24, 4),
    headers_at: (28, 4),
    header_size: (42, 2),
    header_count: (44, 2),
    size: 32,
    offset: (4, 4),
    virt: (8, 4),
    phys: (12, 4),
    filesz: (16, 4),
    memsz: (20, 4),
};

/// The fields both forms have in the same place.
const CLASS: Field = (4, 1);
const DATA: Field = (5, 1);
const TYPE: Field = (16, 2);
const MACHINE: Field = (18, 2);
const HEADER_TYPE: Field = (0, 4);

/// The program that an ELF file's load headers describe, each at its *physical* address.
///
/// The entry point is taken as physical if a load header puts something there, else as virtual and translated by the
/// load header that has it, else as it stands.
///
/// # Errors
/// Every [`Error`] but [`Error::Unrecognised`] and [`Error::Empty`].
pub fn parse(file: &[u8]) -> Result<Program<'_>, Error> {
    let class = class(file)?;
    check_kind(file, class)?;
    let headers = load_headers(file, class)?;
    let entry = physical_entry(&headers, number(file, class.entry, "ELF header")?);
    let pieces = headers.into_iter().map(|header| header.piece).collect();
    let segments = pages::segments(pieces)?;
    if segments.is_empty() {
        return Err(Error::NoLoadHeader);
    }
    Ok(Program { segments, entry, mode: class.mode })
}

fn class(file: &[u8]) -> Result<&'static Class, Error> {
    match number(file, CLASS, "ELF header")? {
        1 => Ok(&CLASS_32),
        2 => Ok(&CLASS_64),
        value => {
            Err(Error::Unsupported { field: "ELF class", value, wanted: "1 (32-bit) and 2 (64-bit) exist" })
        }
    }
}

fn check_kind(file: &[u8], class: &Class) -> Result<(), Error> {
    let check = |field, at, right, wanted| match number(file, at, "ELF header")? {
        value if value == right => Ok(()),
        value => Err(Error::Unsupported { field, value, wanted }),
    };
    check("ELF data encoding", DATA, LITTLE_ENDIAN.into(), "x86 is little-endian, 1")?;
    check(
        "ELF machine",
        MACHINE,
        class.machine,
        "needed is 62 (x86-64) in a 64-bit file, 3 (386) in a 32-bit one",
    )?;
    if number(file, TYPE, "ELF header")? == POSITION_INDEPENDENT {
        return Err(Error::NotStatic { header: "type 3, position-independent" });
    }
    check("ELF type", TYPE, EXECUTABLE, "needed is 2, a static executable")
}

/// A piece of the program, and the virtual address that the file gives it.
struct LoadHeader<'a> {
    piece: Piece<'a>,
    virt: u64,
}

fn load_headers<'a>(file: &'a [u8], class: &Class) -> Result<Vec<LoadHeader<'a>>, Error> {
    let mut load_headers = Vec::new();
    let mut bytes = 0_u64;
    for (index, header) in program_headers(file, class)?.enumerate() {
        match number(header, HEADER_TYPE, "program header")? {
            HEADER_LOAD => load_headers.push(load_header(file, class, header, index)?),
            HEADER_DYNAMIC => return Err(Error::NotStatic { header: "a dynamic section" }),
            HEADER_INTERPRETER => return Err(Error::NotStatic { header: "an interpreter" }),
            _ => continue,
        }
        bytes = bytes.saturating_add(load_headers.last().map_or(0, |header| header.piece.bytes.len() as u64));
    }
    // No linker lets two load headers have the same bytes. With this, what is copied is bounded by the file's size.
    let length = file.len() as u64;
    if bytes > length { Err(Error::SharedBytes { bytes, length }) } else { Ok(load_headers) }
}

fn program_headers<'a>(file: &'a [u8], class: &Class) -> Result<impl Iterator<Item = &'a [u8]>, Error> {
    let count = number(file, class.header_count, "ELF header")?;
    let size = number(file, class.header_size, "ELF header")?;
    if count == MANY_HEADERS {
        let wanted = "at most 65534 can be counted here";
        return Err(Error::Unsupported { field: "number of program headers", value: count, wanted });
    }
    if count > 0 && size != class.size as u64 {
        let wanted = "it is 56 in a 64-bit file, 32 in a 32-bit one";
        return Err(Error::Unsupported { field: "size of a program header", value: size, wanted });
    }
    let at = number(file, class.headers_at, "ELF header")?;
    Ok(part(file, at, count * size, || "the table of program headers".into())?.chunks_exact(class.size))
}

fn load_header<'a>(
    file: &'a [u8],
    class: &Class,
    header: &[u8],
    index: usize,
) -> Result<LoadHeader<'a>, Error> {
    let number = |field| number(header, field, "program header");
    let name = || format!("load header {index}");
    let (filesz, memsz) = (number(class.filesz)?, number(class.memsz)?);
    if filesz > memsz {
        return Err(Error::TooManyBytes { name: name(), filesz, memsz });
    }
    let bytes = part(file, number(class.offset)?, filesz, name)?;
    let piece = Piece { name: name(), address: number(class.phys)?, size: memsz, bytes };
    Ok(LoadHeader { piece, virt: number(class.virt)? })
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

/// The little-endian number in a field of at most 8 bytes.
fn number(bytes: &[u8], (start, size): Field, what: &'static str) -> Result<u64, Error> {
    let field = part(bytes, start as u64, size as u64, || format!("a field of the {what}"))?;
    Ok(field.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte)))
}

#[cfg(test)]
mod tests;
