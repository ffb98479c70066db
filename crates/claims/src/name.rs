//! Names that images are kept under.

/// Bytes of a name, as it is stored: padded with zeros, of which there is at least one.
pub const ROOM: usize = 32;

/// Whether these bytes are a name: 1 to 31 printable ASCII characters other than the space, then
/// zeros.
#[must_use]
pub fn is_valid(name: &[u8; ROOM]) -> bool {
    let length = name.iter().take_while(|byte| byte.is_ascii_graphic()).count();
    (1..ROOM).contains(&length) && name.iter().skip(length).all(|byte| *byte == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn padded(text: &[u8]) -> [u8; ROOM] {
        core::array::from_fn(|index| text.get(index).copied().unwrap_or(0))
    }

    #[test]
    fn a_name_is_1_to_31_characters() {
        assert!(!is_valid(&padded(b"")));
        assert!(is_valid(&padded(b"k")));
        assert!(is_valid(&padded(&[b'k'; 31])));
        assert!(!is_valid(&padded(&[b'k'; 32])));
    }

    #[test]
    fn every_character_is_printable_and_not_a_space() {
        for byte in 1..=255 {
            assert_eq!(is_valid(&padded(&[b'a', byte, b'z'])), (b'!'..=b'~').contains(&byte), "{byte:#x}");
        }
    }

    #[test]
    fn the_padding_is_zeros() {
        assert!(!is_valid(&padded(b"peer\0x")));
        assert!(!is_valid(&padded(b"\0peer")));
    }
}
