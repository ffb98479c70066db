//! EFI zboot images: `drivers/firmware/efi/libstub/zboot-header.S` of Linux.

use abi::Field;

use crate::bytes::{number, part};
use crate::{Compression, Error, Format, pe};

const KIND_AT: std::ops::Range<usize> = 4..8;
const KIND: &[u8] = b"zimg";
const PAYLOAD_AT: Field<u32> = Field::at(8);
const PAYLOAD_SIZE: Field<u32> = Field::at(12);
/// The zero-terminated name of the compression.
const COMPRESSION_AT: std::ops::Range<usize> = 24..56;

/// A kernel packed in an EFI program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Zboot<'a> {
    /// The kernel, compressed.
    pub payload: &'a [u8],
    /// Its compression.
    pub compression: Compression,
}

pub(crate) fn is_zboot(file: &[u8]) -> bool {
    file.starts_with(pe::MAGIC) && file.get(KIND_AT) == Some(KIND)
}

impl<'a> Zboot<'a> {
    /// The parts of a file.
    ///
    /// # Errors
    /// [`Error::Not`], [`Error::OutOfFile`], [`Error::UnknownCompression`].
    pub fn parse(file: &'a [u8]) -> Result<Self, Error> {
        if !is_zboot(file) {
            return Err(Error::Not { wanted: Format::Zboot });
        }
        let field = |field| number(file, field, "the EFI zboot header").map(u64::from);
        let payload = part(file, field(PAYLOAD_AT)?, field(PAYLOAD_SIZE)?, || "the packed kernel".into())?;
        let size = COMPRESSION_AT.len() as u64;
        let name = part(file, COMPRESSION_AT.start as u64, size, || "the name of the compression".into())?;
        let name = name.split(|&byte| byte == 0).next().unwrap_or(name);
        let name = String::from_utf8_lossy(name);
        let compression = Compression::named(&name);
        let compression = compression.ok_or_else(|| Error::UnknownCompression { name: name.into_owned() })?;
        Ok(Self { payload, compression })
    }

    /// Decompresses the kernel.
    ///
    /// # Errors
    /// Those of [`Compression::decompress`].
    pub fn decompress(&self, limit: u64) -> Result<Vec<u8>, Error> {
        self.compression.decompress(self.payload, limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PACKED: &[u8] = include_bytes!("../testdata/words.zst");

    fn image(name: &[u8]) -> Vec<u8> {
        let mut file = vec![0; 64];
        file[..8].copy_from_slice(b"MZ\0\0zimg");
        file[8] = 64;
        file[12..16].copy_from_slice(&u32::try_from(PACKED.len()).unwrap().to_le_bytes());
        file[24..24 + name.len()].copy_from_slice(name);
        [file.as_slice(), PACKED, &[0; 100]].concat()
    }

    #[test]
    fn the_kernel_is_decompressed() {
        let file = image(b"zstd22");
        assert_eq!(Format::recognise(&file), Some(Format::Zboot));
        let zboot = Zboot::parse(&file).unwrap();
        assert_eq!(zboot, Zboot { payload: PACKED, compression: Compression::Zstd });
        assert!(zboot.decompress(1 << 20).unwrap().starts_with(b"segment 0 of 0\n"));
    }

    #[test]
    fn unknown_compressions_and_missing_bytes_are_rejected() {
        let name = "zip".to_owned();
        assert_eq!(Zboot::parse(&image(b"zip")), Err(Error::UnknownCompression { name }));
        assert_eq!(Zboot::parse(b"MZ"), Err(Error::Not { wanted: Format::Zboot }));
        let file = image(b"zstd");
        for length in 0..64 + PACKED.len() {
            Zboot::parse(&file[..length]).unwrap_err();
        }
        assert!(Zboot::parse(&image(b"gzip")).unwrap().decompress(1 << 20).is_err());
    }

    proptest! {
        #[test]
        fn any_header_is_parsed_or_rejected(header in prop::collection::vec(any::<u8>(), 56)) {
            let mut file = image(b"zstd");
            file[8..64].copy_from_slice(&header);
            let _ = Zboot::parse(&file);
        }
    }
}
