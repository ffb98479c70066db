//! The sections of PE files: "PE Format", COFF File Header and Section Table.

use abi::Field;

use crate::Error;
use crate::bytes::{number, part};

/// The first bytes of every EFI program.
pub(crate) const MAGIC: &[u8] = b"MZ";
const SIGNATURE: &[u8] = b"PE\0\0";
const SIGNATURE_AT: Field<u32> = Field::at(0x3c);

/// The file header, after the signature.
const FILE_HEADER_SIZE: u64 = 20;
const SECTION_COUNT: Field<u16> = Field::at(2);
const OPTIONAL_HEADER_SIZE: Field<u16> = Field::at(16);

const SECTION_HEADER_SIZE: usize = 40;
const NAME_SIZE: usize = 8;
const VIRTUAL_SIZE: Field<u32> = Field::at(8);
const RAW_SIZE: Field<u32> = Field::at(16);
const RAW_AT: Field<u32> = Field::at(20);

/// A section header.
#[derive(Clone, Copy)]
pub(crate) struct SectionHeader<'a> {
    file: &'a [u8],
    header: &'a [u8],
}

impl<'a> SectionHeader<'a> {
    /// Its name, without padding.
    pub(crate) fn name(self) -> &'a [u8] {
        let name = self.header.get(..NAME_SIZE).unwrap_or(self.header);
        name.split(|&byte| byte == 0).next().unwrap_or(name)
    }

    /// Its bytes in the file, without padding.
    pub(crate) fn bytes(self) -> Result<&'a [u8], Error> {
        let field = |field| number(self.header, field, "a section header");
        let (virtual_size, raw_size) = (field(VIRTUAL_SIZE)?, field(RAW_SIZE)?);
        let size = if virtual_size == 0 { raw_size } else { raw_size.min(virtual_size) };
        part(self.file, field(RAW_AT)?.into(), size.into(), || {
            format!("section {}", String::from_utf8_lossy(self.name()))
        })
    }
}

/// Whether this is an EFI program: a DOS header that leads to the PE signature.
pub(crate) fn is_program(file: &[u8]) -> bool {
    let signature_at = SIGNATURE_AT.read(file).and_then(|at| usize::try_from(at).ok());
    let rest = signature_at.and_then(|at| file.get(at..));
    file.starts_with(MAGIC) && rest.is_some_and(|rest| rest.starts_with(SIGNATURE))
}

/// The section headers of an EFI program, in their order.
pub(crate) fn sections(file: &[u8]) -> Result<impl Iterator<Item = SectionHeader<'_>>, Error> {
    let signature_at = u64::from(number(file, SIGNATURE_AT, "the DOS header")?);
    let signature = part(file, signature_at, SIGNATURE.len() as u64, || "the PE signature".into())?;
    if signature != SIGNATURE {
        let found = u64::from(Field::<u32>::at(0).read(signature).unwrap_or(0));
        return Err(Error::Unsupported {
            field: "the PE signature",
            value: found,
            wanted: "expected 0x4550",
        });
    }
    let header_at = signature_at + SIGNATURE.len() as u64;
    let header = part(file, header_at, FILE_HEADER_SIZE, || "the PE file header".into())?;
    let optional = u64::from(number(header, OPTIONAL_HEADER_SIZE, "the PE file header")?);
    let count = u64::from(number(header, SECTION_COUNT, "the PE file header")?);
    let table_at = header_at + FILE_HEADER_SIZE + optional;
    let table =
        part(file, table_at, count * SECTION_HEADER_SIZE as u64, || format!("a table of {count} sections"))?;
    Ok(table.chunks_exact(SECTION_HEADER_SIZE).map(move |header| SectionHeader { file, header }))
}

/// Whether an EFI program has a signature: its certificate table is not empty.
pub(crate) fn is_signed(file: &[u8]) -> bool {
    certificates(file).is_some_and(|size| size > 0)
}

fn certificates(file: &[u8]) -> Option<u32> {
    const MAGIC_64: u16 = 0x20b;
    /// The fifth data directory; its offset depends on the kind of the optional header.
    const SIZE_64: usize = 112 + 4 * 8 + 4;
    const SIZE_32: usize = 96 + 4 * 8 + 4;
    let signature_at = usize::try_from(SIGNATURE_AT.read(file)?).ok()?;
    let headers = file.get(signature_at..)?.strip_prefix(SIGNATURE)?;
    let optional = headers.get(usize::try_from(FILE_HEADER_SIZE).ok()?..)?;
    let optional = optional.get(..usize::from(OPTIONAL_HEADER_SIZE.read(headers)?))?;
    let at = if Field::<u16>::at(0).read(optional)? == MAGIC_64 { SIZE_64 } else { SIZE_32 };
    Field::<u32>::at(at).read(optional)
}
