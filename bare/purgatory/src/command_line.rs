use abi::purgatory::JUMP_BACK_PARAMETER;

/// Hexadecimal digits of the address.
const DIGITS: usize = 16;

/// Writes the jump-back entry into [`JUMP_BACK_PARAMETER`] on a command line, also over an earlier
/// one. Returns whether the parameter is there.
#[must_use]
pub fn write_jump_back(parameter: &mut [u8], entry: u64) -> bool {
    let Some((name, value)) = parameter.split_last_chunk_mut::<DIGITS>() else { return false };
    if JUMP_BACK_PARAMETER.strip_suffix(&[b'0'; DIGITS]).is_none_or(|expected| expected != name) {
        return false;
    }
    let digits = (0..DIGITS).rev().map(|digit| hex_digit(entry >> (4 * digit)));
    value.iter_mut().zip(digits).for_each(|(place, digit)| *place = digit);
    true
}

/// The lowest four bits as a hexadecimal digit.
pub(crate) const fn hex_digit(number: u64) -> u8 {
    match (number & 15) as u8 {
        digit @ 0..10 => b'0' + digit,
        digit => b'a' - 10 + digit,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_entry_is_written_into_its_parameter_only() {
        let mut parameter = *b"kexec_jump_back_entry=0x0000000000000000";
        assert!(write_jump_back(&mut parameter, 0x1_2345_fa00_0041));
        assert_eq!(&parameter, b"kexec_jump_back_entry=0x00012345fa000041");
        assert!(write_jump_back(&mut parameter, 0xb));
        assert_eq!(&parameter, b"kexec_jump_back_entry=0x000000000000000b");
        let mut other = [b'x'; 40];
        assert!(!write_jump_back(&mut other, 1) && other == [b'x'; 40]);
        assert!(!write_jump_back(&mut [], 1));
    }
}
