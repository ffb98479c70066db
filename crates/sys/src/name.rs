use std::fmt;
use std::str::FromStr;

/// A name that an image is kept under: 1 to 31 printable ASCII characters, no space.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ImageName(String);

/// The text is not an [`ImageName`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a name has 1 to {} printable ASCII characters without spaces, this has \
    {length}{}", ImageName::LONGEST,
    if *.printable { "" } else { ", not all of them such" })]
pub struct BadName {
    /// Its length in bytes.
    pub length: usize,
    /// Whether all of it is printable ASCII and no space.
    pub printable: bool,
}

impl ImageName {
    /// Most characters a name may have: four 64-bit words, of which the last byte is zero.
    pub const LONGEST: usize = 31;

    /// The name as [`abi::device::Name::name`] has it.
    #[must_use]
    pub fn words(&self) -> [u64; 4] {
        let mut words = [0; 4];
        for (word, bytes) in words.iter_mut().zip(self.0.as_bytes().chunks(8)) {
            let mut whole = [0; 8];
            for (to, from) in whole.iter_mut().zip(bytes) {
                *to = *from;
            }
            *word = u64::from_le_bytes(whole);
        }
        words
    }

    /// The name that these words are, or `None` if they are none: all zero, or no name at all.
    #[must_use]
    pub fn from_words(words: [u64; 4]) -> Option<Self> {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        let text = bytes.split(|&byte| byte == 0).next()?;
        std::str::from_utf8(text).ok()?.parse().ok()
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ImageName {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        let printable = text.bytes().all(|byte| byte.is_ascii_graphic());
        if text.is_empty() || text.len() > Self::LONGEST || !printable {
            return Err(BadName { length: text.len(), printable });
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for ImageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_survives_the_way_through_words() {
        for text in ["a", "kexec", "eightlet", "nine-bits", &"x".repeat(31)] {
            let name: ImageName = text.parse().unwrap();
            assert_eq!(ImageName::from_words(name.words()).as_ref(), Some(&name));
        }
    }

    #[test]
    fn the_first_character_is_the_lowest_byte() {
        assert_eq!("AB".parse::<ImageName>().unwrap().words(), [0x4241, 0, 0, 0]);
    }

    #[test]
    fn a_name_is_neither_empty_nor_long_nor_unprintable() {
        for text in ["", &"x".repeat(32), "a b", "a\nb", "gr\u{fc}n"] {
            assert!(text.parse::<ImageName>().is_err(), "{text}");
        }
        assert_eq!(
            "x".repeat(40).parse::<ImageName>().unwrap_err().to_string(),
            "a name has 1 to 31 printable ASCII characters without spaces, this has 40"
        );
    }

    #[test]
    fn words_of_a_hostile_module_are_no_name() {
        assert_eq!(ImageName::from_words([0; 4]), None);
        assert_eq!(ImageName::from_words([u64::MAX; 4]), None);
        assert_eq!(ImageName::from_words([0x4141_4141_4141_4141; 4]), None);
    }
}
