use abi::elf::{self, FileHeader, ProgramHeader, file_type, machine, program_type};

use super::{NoteAt, RestingMemory, Stretch, VirtualMap};
use crate::Error;

const HEADER: FileHeader<u64> = elf::CLASS_64.file_header;
const PROGRAM: ProgramHeader<u64> = elf::CLASS_64.program_header;

/// Limit of notes and stretches together: the kernel reads the number of program headers from 16
/// bits only.
pub const MOST_HEADERS: usize = elf::MANY_PROGRAM_HEADERS as usize - 1;

/// The virtual address in a program header if it is unknown.
const NO_ADDRESS: u64 = u64::MAX;

/// Bytes of an elfcorehdr with these numbers of notes and stretches.
#[must_use]
pub const fn size(notes: usize, stretches: usize) -> u64 {
    (HEADER.size + (notes + stretches) * PROGRAM.size) as u64
}

/// Number of load headers that describe this memory; the kernel's image is described twice.
#[must_use]
pub fn header_count(memory: &RestingMemory, map: &VirtualMap) -> usize {
    memory.stretches().len() + image(memory, map).count()
}

/// The bytes of an elfcorehdr, [`size`] of them.
///
/// # Errors
/// [`Error::TooManyHeaders`].
pub fn render(notes: &[NoteAt], memory: &RestingMemory, map: &VirtualMap) -> Result<Vec<u8>, Error> {
    let count = notes.len() + header_count(memory, map);
    if count > MOST_HEADERS {
        return Err(Error::TooManyHeaders { count, limit: MOST_HEADERS });
    }
    let mut bytes = elf_header(count).to_vec();
    bytes.extend(notes.iter().flat_map(note));
    bytes.extend(image(memory, map).flatten());
    bytes.extend(memory.stretches().iter().flat_map(|&stretch| load(stretch, map.direct)));
    Ok(bytes)
}

/// The load headers of the kernel's image.
fn image(memory: &RestingMemory, map: &VirtualMap) -> impl Iterator<Item = [u8; PROGRAM.size]> {
    map.image.iter().flat_map(|image| {
        let offset = image.virt.wrapping_sub(image.phys.start);
        memory.within(image.phys.clone()).map(move |stretch| load(stretch, Some(offset)))
    })
}

fn elf_header(count: usize) -> [u8; HEADER.size] {
    let short = |number| u16::try_from(number).unwrap_or(elf::MANY_PROGRAM_HEADERS);
    let mut bytes = [0; HEADER.size];
    for (place, byte) in bytes.iter_mut().zip(elf::IDENT_64) {
        *place = byte;
    }
    let written = HEADER.kind.write(&mut bytes, file_type::CORE)
        && HEADER.machine.write(&mut bytes, machine::X86_64)
        && HEADER.version.write(&mut bytes, elf::VERSION)
        && HEADER.program_headers.write(&mut bytes, HEADER.size as u64)
        && HEADER.header_size.write(&mut bytes, short(HEADER.size))
        && HEADER.program_header_size.write(&mut bytes, short(PROGRAM.size))
        && HEADER.program_header_count.write(&mut bytes, short(count));
    debug_assert!(written, "abi asserts that every field lies in the header");
    bytes
}

/// The kernel reads the notes at the offset, and finds their end itself.
fn note(note: &NoteAt) -> [u8; PROGRAM.size] {
    program_header(program_type::NOTE, note.address, 0, note.address, note.size)
}

/// `offset` is the difference between virtual and physical addresses.
fn load(stretch: Stretch, offset: Option<u64>) -> [u8; PROGRAM.size] {
    let virt = offset.map_or(NO_ADDRESS, |offset| offset.wrapping_add(stretch.start));
    program_header(program_type::LOAD, stretch.at, virt, stretch.start, stretch.size)
}

fn program_header(kind: u32, offset: u64, virt: u64, phys: u64, size: u64) -> [u8; PROGRAM.size] {
    let mut bytes = [0; PROGRAM.size];
    let written = PROGRAM.kind.write(&mut bytes, kind)
        && PROGRAM.offset.write(&mut bytes, offset)
        && PROGRAM.virt.write(&mut bytes, virt)
        && PROGRAM.phys.write(&mut bytes, phys)
        && PROGRAM.file_size.write(&mut bytes, size)
        && PROGRAM.memory_size.write(&mut bytes, size);
    debug_assert!(written, "abi asserts that every field lies in a program header");
    bytes
}

#[cfg(test)]
mod tests {
    use super::super::Change;
    use super::*;

    #[test]
    fn the_header_has_a_program_header_for_every_note_and_stretch() {
        let memory = RestingMemory::in_place(std::iter::once(0x1000..0x5000))
            .with(&[Change::moved(0x2000..0x3000, 0x9000)]);
        let notes = [NoteAt { address: 0x7010, size: 0x200 }];
        let image = super::super::KernelImage { phys: 0x1800..0x2800, virt: 0xffff_ffff_8100_0800 };
        let map = VirtualMap { direct: Some(0xffff_8880_0000_0000), image: Some(image) };
        let bytes = render(&notes, &memory, &map).unwrap();
        assert_eq!(header_count(&memory, &map), 5);
        assert_eq!(bytes.len() as u64, size(1, 5));
        assert_eq!(&bytes[..20], b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x04\0\x3e\0");
        assert_eq!(HEADER.program_header_count.read(&bytes), Some(6));
        let fields = |number: usize| {
            let bytes = &bytes[HEADER.size + number * PROGRAM.size..];
            let field = |field: abi::Field<u64>| field.read(bytes).unwrap();
            assert_eq!(field(PROGRAM.file_size), field(PROGRAM.memory_size));
            let kind = PROGRAM.kind.read(bytes).unwrap();
            (kind, field(PROGRAM.offset), field(PROGRAM.virt), field(PROGRAM.phys), field(PROGRAM.file_size))
        };
        assert_eq!(fields(0), (4, 0x7010, 0, 0x7010, 0x200));
        assert_eq!(fields(1), (1, 0x1800, 0xffff_ffff_8100_0800, 0x1800, 0x800));
        assert_eq!(fields(2), (1, 0x9000, 0xffff_ffff_8100_1000, 0x2000, 0x800));
        assert_eq!(fields(3), (1, 0x1000, 0xffff_8880_0000_1000, 0x1000, 0x1000));
        assert_eq!(fields(4), (1, 0x9000, 0xffff_8880_0000_2000, 0x2000, 0x1000));
        assert_eq!(fields(5), (1, 0x3000, 0xffff_8880_0000_3000, 0x3000, 0x2000));
    }

    #[test]
    fn more_headers_than_the_kernel_reads_are_rejected() {
        let memory =
            |count: u64| RestingMemory::in_place((0..count).map(|page| page * 8192..page * 8192 + 4096));
        assert_eq!(render(&[], &memory(65534), &VirtualMap::default()).unwrap().len() as u64, size(0, 65534));
        let text = "65535 notes and memory ranges for an elfcorehdr, at most 65534 are possible";
        assert_eq!(render(&[], &memory(65535), &VirtualMap::default()).unwrap_err().to_string(), text);
    }
}
