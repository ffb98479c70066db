use std::fmt;

use abi::setup_header as header;

use crate::multiboot::{self, Multiboot};
use crate::{Compression, elf, pe, uki, zboot};

/// A format of kernel files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Any of the others, compressed as a whole.
    Compressed(Compression),
    /// An executable with load headers. It may have a multiboot header too: see
    /// [`multiboot::find`].
    Elf,
    /// Linux for x86.
    BzImage,
    /// A unified kernel image.
    Uki,
    /// A kernel packed in an EFI program.
    Zboot,
    /// Not an ELF file, but with a multiboot header that contains load addresses.
    Multiboot(Multiboot),
    /// A network boot image of Etherboot and its relatives.
    Nbi,
    /// A boot image of Beowulf clusters.
    Beoboot,
}

/// The first bytes of a network boot image (`include/boot/image.h` of Etherboot).
const NBI_MAGIC: [u8; 4] = 0x1b03_1336_u32.to_le_bytes();
/// Minimum size of a network boot image: the sector with its headers.
const NBI_HEADER: usize = 512;
/// The first bytes of a boot image of Beoboot, followed by the number of the i386.
const BEOBOOT_MAGIC: [u8; 5] = *b"BeoB\x01";

impl Format {
    /// The format of a file, if it is recognised. A flat binary never is.
    ///
    /// A recognised file may still be damaged, which the parser of its format reports.
    #[must_use]
    pub fn recognise(file: &[u8]) -> Option<Self> {
        if let Some(compression) = Compression::recognise(file) {
            return Some(Self::Compressed(compression));
        }
        let by_bytes = [
            (Self::Elf, file.starts_with(&elf::MAGIC)),
            // A bzImage is also an EFI program, so it comes first.
            (Self::BzImage, is_bzimage(file)),
            (Self::Zboot, zboot::is_zboot(file)),
            (Self::Uki, uki::is_uki(file)),
            (Self::Nbi, file.len() >= NBI_HEADER && file.starts_with(&NBI_MAGIC)),
            (Self::Beoboot, file.starts_with(&BEOBOOT_MAGIC)),
        ];
        let found = by_bytes.into_iter().find(|&(_, is_it)| is_it).map(|(format, _)| format);
        // An EFI program may have a multiboot header for its ELF twin, as Xen does.
        found.or_else(|| {
            let header = if pe::is_program(file) { None } else { multiboot::find(file) };
            header.map(|header| Self::Multiboot(header.version))
        })
    }
}

fn is_bzimage(file: &[u8]) -> bool {
    header::BOOT_FLAG.read(file) == Some(header::BOOT_FLAG_MAGIC)
        && header::HEADER.read(file) == Some(header::HEADER_MAGIC)
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Compressed(compression) => compression.fmt(f),
            Self::Elf => f.write_str("ELF"),
            Self::BzImage => f.write_str("bzImage"),
            Self::Uki => f.write_str("UKI (unified kernel image)"),
            Self::Zboot => f.write_str("EFI zboot"),
            Self::Multiboot(Multiboot::One) => f.write_str("multiboot 1"),
            Self::Multiboot(Multiboot::Two) => f.write_str("multiboot 2"),
            Self::Nbi => f.write_str("NBI (network boot image)"),
            Self::Beoboot => f.write_str("beoboot"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sector(magic: &[u8]) -> Vec<u8> {
        let mut file = magic.to_vec();
        file.resize(512, 0);
        file
    }

    #[test]
    fn unsupported_formats_are_named() {
        assert_eq!(Format::recognise(&sector(b"\x36\x13\x03\x1b")), Some(Format::Nbi));
        assert_eq!(Format::recognise(b"\x36\x13\x03\x1b"), None);
        assert_eq!(Format::recognise(&sector(b"BeoB\x01")), Some(Format::Beoboot));
        let error = crate::parse(&sector(b"BeoB\x01")).unwrap_err().to_string();
        assert_eq!(error, "file format beoboot is not supported");
    }

    #[test]
    fn a_file_that_only_begins_like_an_efi_program_is_not_recognised() {
        for file in [b"".as_slice(), b"M", b"MZ", &sector(b"MZ"), &[0xff; 4096]] {
            assert_eq!(Format::recognise(file), None);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_recognised_or_not(file in prop::collection::vec(any::<u8>(), 0..2048)) {
            let _ = Format::recognise(&file);
        }
    }
}
