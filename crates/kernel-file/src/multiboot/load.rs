use abi::Field;

use super::{ALIGN_2, HAS_ADDRESSES, Header, LEAST_2, Multiboot, find_version};
use crate::bytes::{number, part};
use crate::pages::{self, Piece};
use crate::{Error, Format, Mode, Program, elf};

/// A multiboot kernel, ready to load.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kernel<'a> {
    /// The version of the specification.
    pub version: Multiboot,
    /// Its segments and its entry point in 32-bit mode.
    pub program: Program<'a>,
    /// Whether it can be loaded elsewhere, and gets its load address.
    pub is_relocatable: bool,
}

/// The addresses that a header may contain: of itself, of the first byte to load, of the end of
/// loaded bytes, of the end of zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Addresses {
    header: u64,
    load: u64,
    load_end: u64,
    zeros_end: u64,
}

/// The requests of a header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Wanted {
    addresses: Option<Addresses>,
    entry: Option<u64>,
    is_relocatable: bool,
}

/// The kernel of a multiboot version in a file.
///
/// # Errors
/// [`Error::Not`] without such a header; [`Error::Unsupported`] if it requires unsupported
/// features; those of [`elf::parse`].
pub fn load(file: &[u8], version: Multiboot) -> Result<Kernel<'_>, Error> {
    let header = find_version(file, version).ok_or(Error::Not { wanted: Format::Multiboot(version) })?;
    let bytes = part(file, header.offset as u64, header.size as u64, || "the multiboot header".into())?;
    let wanted = match version {
        Multiboot::One => of_one(&header, bytes)?,
        Multiboot::Two => of_two(&header, bytes)?,
    };
    let program = match wanted.addresses {
        Some(addresses) => flat(file, &header, addresses)?,
        None => elf::parse(file)?,
    };
    let entry = wanted.entry.unwrap_or(program.entry);
    // The entry point is in 32-bit mode, whatever the file's class.
    let program = Program { entry, mode: Mode::Protected, ..program };
    Ok(Kernel { version, program, is_relocatable: wanted.is_relocatable })
}

/// Bits 0 to 15 of the flags are requirements: aligned modules, memory map, video. Video counts as
/// optional: kernels check whether they got any.
const KNOWN_1: u32 = 0b111;

fn of_one(header: &Header, bytes: &[u8]) -> Result<Wanted, Error> {
    let unknown = header.word & 0xffff & !KNOWN_1;
    if unknown != 0 {
        let wanted = "supported requirements are bits 0 to 2";
        return Err(Error::Unsupported { field: "the multiboot flags", value: unknown.into(), wanted });
    }
    if header.word & HAS_ADDRESSES == 0 {
        return Ok(Wanted::default());
    }
    let field = |offset| number(bytes, Field::<u32>::at(offset), "the multiboot header").map(u64::from);
    let addresses =
        Addresses { header: field(12)?, load: field(16)?, load_end: field(20)?, zeros_end: field(24)? };
    Ok(Wanted { addresses: Some(addresses), entry: Some(field(28)?), is_relocatable: false })
}

const TAG_END: u16 = 0;
const TAG_INFORMATION: u16 = 1;
const TAG_ADDRESSES: u16 = 2;
const TAG_ENTRY: u16 = 3;
const TAG_CONSOLE: u16 = 4;
const TAG_FRAMEBUFFER: u16 = 5;
const TAG_ALIGN_MODULES: u16 = 6;
const TAG_EFI_SERVICES: u16 = 7;
const TAG_EFI_32: u16 = 8;
const TAG_EFI_64: u16 = 9;
const TAG_RELOCATABLE: u16 = 10;
/// Bit of a tag's flags: the tag is optional.
const OPTIONAL: u16 = 1;

fn of_two(header: &Header, bytes: &[u8]) -> Result<Wanted, Error> {
    if header.word != 0 {
        let wanted = "expected 0, x86 in 32-bit mode";
        return Err(Error::Unsupported {
            field: "the multiboot architecture",
            value: header.word.into(),
            wanted,
        });
    }
    let mut wanted = Wanted::default();
    let mut rest = bytes.get(LEAST_2..).unwrap_or(&[]);
    while !rest.is_empty() {
        let what = "a tag of the multiboot header";
        let kind = number(rest, Field::<u16>::at(0), what)?;
        let flags = number(rest, Field::<u16>::at(2), what)?;
        let size = number(rest, Field::<u32>::at(4), what)?;
        let tag = part(rest, 0, u64::from(size.max(8)), || what.into())?;
        if kind == TAG_END {
            break;
        }
        take(&mut wanted, kind, flags, tag)?;
        let next = (tag.len() as u64).next_multiple_of(ALIGN_2 as u64);
        rest = usize::try_from(next).ok().and_then(|next| rest.get(next..)).unwrap_or(&[]);
    }
    Ok(wanted)
}

fn take(wanted: &mut Wanted, kind: u16, flags: u16, tag: &[u8]) -> Result<(), Error> {
    let field =
        |offset| number(tag, Field::<u32>::at(offset), "a tag of the multiboot header").map(u64::from);
    match kind {
        TAG_ADDRESSES => {
            wanted.addresses = Some(Addresses {
                header: field(8)?,
                load: field(12)?,
                load_end: field(16)?,
                zeros_end: field(20)?,
            });
        }
        TAG_ENTRY => wanted.entry = Some(field(8)?),
        TAG_RELOCATABLE => wanted.is_relocatable = true,
        // Information that is passed, or that does not exist after kexec, which kernels must
        // handle.
        TAG_INFORMATION | TAG_CONSOLE | TAG_FRAMEBUFFER | TAG_ALIGN_MODULES | TAG_EFI_SERVICES
        | TAG_EFI_32 | TAG_EFI_64 => {}
        _ if flags & OPTIONAL != 0 => {}
        _ => {
            let wanted = "expected 0 to 10";
            return Err(Error::Unsupported {
                field: "a tag of the multiboot header",
                value: kind.into(),
                wanted,
            });
        }
    }
    Ok(())
}

/// The program by the header's addresses. An end of 0 is the end of the file, or means no zeros.
fn flat<'a>(file: &'a [u8], header: &Header, addresses: Addresses) -> Result<Program<'a>, Error> {
    let Addresses { header: header_at, load, load_end, zeros_end } = addresses;
    let wrong = |value| {
        Err(Error::Unsupported {
            field: "an address of the multiboot header",
            value,
            wanted: "expected load ≤ header, load ≤ end of load ≤ end of zeros",
        })
    };
    let offset = header_at.checked_sub(load).and_then(|before| (header.offset as u64).checked_sub(before));
    let Some(offset) = offset else { return wrong(load) };
    let size = match load_end {
        0 => (file.len() as u64).saturating_sub(offset),
        end if end < load => return wrong(end),
        end => end - load,
    };
    let bytes = part(file, offset, size, || "the kernel that the multiboot header describes".into())?;
    let memory = match zeros_end {
        0 => size,
        end if end < load + size => return wrong(end),
        end => end - load,
    };
    let piece = Piece { name: "multiboot kernel".into(), address: load, size: memory, bytes };
    let segments = pages::segments(vec![piece])?;
    if segments.is_empty() {
        return Err(Error::NoLoadHeader);
    }
    Ok(Program { segments, entry: load, mode: Mode::Protected })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn words(words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    /// A header of version 1 with addresses, at offset 64 of 256 bytes.
    fn one(flags: u32, addresses: [u32; 5]) -> Vec<u8> {
        let magic = 0x1bad_b002_u32;
        let header =
            [&[magic, flags, 0_u32.wrapping_sub(magic.wrapping_add(flags))][..], &addresses].concat();
        let mut file = [vec![0x11; 64], words(&header)].concat();
        file.resize(256, 0x22);
        file
    }

    fn two(tags: &[u8]) -> Vec<u8> {
        let (magic, size) = (0xe852_50d6_u32, u32::try_from(16 + tags.len()).unwrap());
        let header = words(&[magic, 0, size, 0_u32.wrapping_sub(magic.wrapping_add(size))]);
        let mut file = [header, tags.to_vec()].concat();
        file.resize(256, 0x33);
        file
    }

    #[test]
    fn bytes_are_loaded_at_the_headers_addresses() {
        let file = one(0x1_0003, [0x10_0040, 0x10_0000, 0x10_0080, 0x10_2000, 0x10_0010]);
        let image = load(&file, Multiboot::One).unwrap();
        assert_eq!((image.program.entry, image.program.mode), (0x10_0010, Mode::Protected));
        let [segment] = image.program.segments.as_slice() else { panic!("one segment") };
        assert_eq!((segment.address, segment.size, segment.bytes.len()), (0x10_0000, 0x2000, 0x80));
        let file = one(0x1_0000, [0x10_0040, 0x10_0000, 0, 0, 0x10_0000]);
        assert_eq!(load(&file, Multiboot::One).unwrap().program.segments[0].bytes.len(), 256);
    }

    #[test]
    fn tags_have_the_same_meaning_in_version_2() {
        let tags = [
            words(&[2, 24, 0x10_0000, 0x10_0000, 0, 0]),
            words(&[3, 12, 0x10_0020, 0]),
            words(&[10 | 1 << 16, 24, 0x10_0000, 0x100_0000, 0x1000, 0]),
            words(&[0, 8]),
        ];
        let file = two(&tags.concat());
        let image = load(&file, Multiboot::Two).unwrap();
        assert_eq!((image.program.entry, image.is_relocatable), (0x10_0020, true));
        assert_eq!(image.program.segments[0].bytes.len(), 256);
    }

    #[test]
    fn unsupported_requirements_are_rejected() {
        let flags = one(0x1_0008, [0x10_0040, 0x10_0000, 0, 0, 0]);
        assert!(matches!(load(&flags, Multiboot::One), Err(Error::Unsupported { value: 8, .. })));
        let tag = two(&words(&[99, 8]));
        assert!(matches!(load(&tag, Multiboot::Two), Err(Error::Unsupported { value: 99, .. })));
        load(&two(&words(&[99 | 1 << 16, 8])), Multiboot::Two).unwrap_err();
        load(&two(&words(&[2, 200])), Multiboot::Two).unwrap_err();
        for addresses in [
            [0x10_0040, 0x20_0000, 0, 0, 0],
            [0x10_0040, 0x10_0000, 0xf_ffff, 0, 0],
            [0x10_0040, 0x10_0000, 0x20_0000, 0, 0],
        ] {
            load(&one(0x1_0000, addresses), Multiboot::One).unwrap_err();
        }
        assert!(matches!(load(&[0; 64], Multiboot::Two), Err(Error::Not { .. })));
    }

    proptest! {
        #[test]
        fn any_header_is_loaded_or_rejected(
            words_1 in any::<[u32; 5]>(), tags in prop::collection::vec(any::<u8>(), 0..64),
        ) {
            let _ = load(&one(0x1_0000, words_1), Multiboot::One);
            let _ = load(&two(&tags), Multiboot::Two);
        }
    }
}
