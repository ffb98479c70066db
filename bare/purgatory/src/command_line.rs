/// What a peer kernel's user space reads to go back.
const WORD: &[u8] = b" kexec_jump_back_entry=0x";
const DIGITS: usize = 16;

/// Writes ` kexec_jump_back_entry=0x...` and a zero where a command line ends; whether there was room.
#[must_use]
pub fn append_jump_back(end: &mut [u8], entry: u64) -> bool {
    let Some(place) = end.get_mut(..WORD.len() + DIGITS + 1) else { return false };
    let digits = (0..DIGITS).rev().map(|digit| hex_digit(entry >> (4 * digit)));
    let text = WORD.iter().copied().chain(digits).chain([0]);
    place.iter_mut().zip(text).for_each(|(place, byte)| *place = byte);
    true
}

/// The lowest four bits as a digit.
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
    fn the_word_has_sixteen_digits_and_needs_its_room() {
        let mut place = [b'x'; 43];
        assert!(append_jump_back(&mut place, 0x1_2345_fa00_0041));
        assert_eq!(&place, b" kexec_jump_back_entry=0x00012345fa000041\0x");
        assert!(!append_jump_back(&mut [0; 41], 1));
    }
}
