//! Flat binaries: files that are loaded as they are.

use crate::pages::{self, Piece};
use crate::{Error, Mode, Program};

/// The whole file as a program, loaded and entered at a physical address, which may be anywhere in
/// a page.
///
/// # Errors
/// [`Error::Empty`], [`Error::TooHigh`].
pub fn parse(file: &[u8], address: u64, mode: Mode) -> Result<Program<'_>, Error> {
    if file.is_empty() {
        return Err(Error::Empty);
    }
    let piece = Piece { name: "flat binary".into(), address, size: file.len() as u64, bytes: file };
    Ok(Program { segments: pages::segments(vec![piece])?, entry: address, mode })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::borrow::Cow;

    #[test]
    fn a_flat_binary_is_one_segment_entered_at_its_first_byte() {
        let program = parse(&[1, 2, 3], 0x8000, Mode::Protected).unwrap();
        assert_eq!((program.entry, program.mode), (0x8000, Mode::Protected));
        let [segment] = program.segments.as_slice() else { panic!("not one segment") };
        assert_eq!((segment.address, segment.size), (0x8000, 0x1000));
        assert!(matches!(segment.bytes, Cow::Borrowed([1, 2, 3])));
    }

    #[test]
    fn a_boot_sector_can_be_loaded_at_0x7c00() {
        let program = parse(&[7; 512], 0x7c00, Mode::Protected).unwrap();
        let [segment] = program.segments.as_slice() else { panic!("not one segment") };
        assert_eq!((program.entry, segment.address, segment.size), (0x7c00, 0x7000, 0x1000));
        assert_eq!(segment.bytes[..0xc00], [0; 0xc00]);
        assert_eq!(segment.bytes[0xc00..], [7; 512]);
    }

    #[test]
    fn empty_files_and_addresses_that_overflow_are_rejected() {
        assert_eq!(parse(&[], 0x8000, Mode::Long), Err(Error::Empty));
        for address in [u64::MAX, u64::MAX - 1, u64::MAX - 0xfff] {
            assert!(matches!(parse(&[1, 2], address, Mode::Long), Err(Error::TooHigh { size: 2, .. })));
        }
    }
}
