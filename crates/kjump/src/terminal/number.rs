//! Numbers of a command line, in base 0 as in C: hexadecimal with `0x`, octal with `0`, else
//! decimal.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use abi::device::Range;
use abi::page_list::PAGE_SIZE;
use clap::builder::{OsStringValueParser, TypedValueParser};

/// A number from 0 to 2^64 - 1.
pub(crate) fn unsigned(word: &str) -> Result<u64, String> {
    let (digits, base) = match word.as_bytes() {
        [b'0', b'x' | b'X', ..] => (&word[2..], 16),
        [b'0', _, ..] => (&word[1..], 8),
        _ => (word, 10),
    };
    if !digits.starts_with('+')
        && let Ok(number) = u64::from_str_radix(digits, base)
    {
        return Ok(number);
    }
    Err(format!("{word:?} is not a number from 0 to 2^64 - 1 (0x1f, 037 or 31)"))
}

/// A size in whole pages: a number of bytes, with K, M, G or T for KiB, MiB, GiB or TiB.
pub(crate) fn size(word: &str) -> Result<u64, String> {
    let bytes = bytes(word).filter(|bytes| bytes.is_multiple_of(PAGE_SIZE));
    bytes.ok_or_else(|| format!("{word:?} is not a size in whole pages of {PAGE_SIZE} bytes, such as 256M"))
}

/// An amount of memory: a number of bytes, with K, M, G or T for KiB, MiB, GiB or TiB.
pub(crate) fn amount(word: &str) -> Result<u64, String> {
    bytes(word).ok_or_else(|| format!("{word:?} is not an amount of memory, such as 256M"))
}

fn bytes(word: &str) -> Option<u64> {
    let shift = match word.as_bytes().last()? {
        b'k' | b'K' => 10,
        b'm' | b'M' => 20,
        b'g' | b'G' => 30,
        b't' | b'T' => 40,
        _ => 0,
    };
    let digits = if shift == 0 { word } else { &word[..word.len() - 1] };
    unsigned(digits).ok()?.checked_mul(1 << shift).filter(|bytes| *bytes > 0)
}

/// Seconds, with `ms` at the end milliseconds, as a whole number of milliseconds, at least one;
/// `none` is 0.
pub(crate) fn deadline(word: &str) -> Result<u64, String> {
    const LIMIT: f64 = 1e9;
    let invalid = || {
        format!(
            "{word:?} is neither a number of seconds from 0.001 to 1000000000 (0.5, 0.5s or 500ms) nor `none`"
        )
    };
    if word == "none" {
        return Ok(0);
    }
    let (digits, unit) = match (word.strip_suffix("ms"), word.strip_suffix('s')) {
        (Some(digits), _) => (digits, 1e-3),
        (None, Some(digits)) => (digits, 1.0),
        (None, None) => (word, 1.0),
    };
    let seconds = digits.parse::<f64>().map_err(|_| invalid())? * unit;
    if !(1e-3..=LIMIT).contains(&seconds) {
        return Err(invalid());
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is from 1 to 10^12")]
    Ok((seconds * 1e3).round() as u64)
}

/// A number from -2^63 to 2^64 - 1; a negative one as its two's complement.
pub(crate) fn either_sign(word: &str) -> Result<u64, String> {
    let Some(digits) = word.strip_prefix('-') else { return unsigned(word) };
    let magnitude = unsigned(digits).map_err(|_| not_signed(word))?;
    if magnitude > 1 << 63 { Err(not_signed(word)) } else { Ok(magnitude.wrapping_neg()) }
}

fn not_signed(word: &str) -> String {
    format!("{word:?} is not a number from -2^63 to 2^64 - 1")
}

/// `START-END`, whole pages. An END that is the start of a page is the first address after the
/// range. One that is the last byte of a page, as in `/proc/iomem`, is the last address in it.
pub(crate) fn page_range(word: &str) -> Result<Range, String> {
    let (start, end) = word.split_once('-').ok_or_else(|| format!("{word:?} is not START-END"))?;
    let (start, last) = (unsigned(start)?, unsigned(end)?);
    let end = if last % PAGE_SIZE == PAGE_SIZE - 1 { last.wrapping_add(1) } else { last };
    if !start.is_multiple_of(PAGE_SIZE) || !end.is_multiple_of(PAGE_SIZE) {
        return Err(format!("{word:?} does not start and end with a page of {PAGE_SIZE:#x} bytes"));
    }
    if start < end { Ok(Range { start, end }) } else { Err(format!("{word:?} ends before it starts")) }
}

/// A file and the physical address that its bytes go to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FileTo {
    pub(crate) path: PathBuf,
    pub(crate) address: u64,
}

/// A file and the physical addresses that its bytes come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FileFrom {
    pub(crate) path: PathBuf,
    pub(crate) address: u64,
    pub(crate) length: u64,
}

/// `FILE@ADDRESS`.
pub(crate) fn file_to(word: &OsStr) -> Result<FileTo, String> {
    let (path, address) = split_last(word, b'@').ok_or_else(|| format!("{word:?} is not FILE@ADDRESS"))?;
    Ok(FileTo { path, address: unsigned(&address)? })
}

/// `FILE@ADDRESS:LENGTH`.
pub(crate) fn file_from(word: &OsStr) -> Result<FileFrom, String> {
    let invalid = || format!("{word:?} is not FILE@ADDRESS:LENGTH");
    let (path, range) = split_last(word, b'@').ok_or_else(invalid)?;
    let (address, length) = range.split_once(':').ok_or_else(invalid)?;
    let (address, length) = (unsigned(address)?, unsigned(length)?);
    match address.checked_add(length) {
        _ if length == 0 => Err(format!("{word:?} has a length of 0")),
        None => Err(format!("{word:?} goes beyond the end of the address space")),
        Some(_) => Ok(FileFrom { path, address, length }),
    }
}

/// A non-empty path, which need not be UTF-8, and the rest after the last separator, which must be.
fn split_last(word: &OsStr, separator: u8) -> Option<(PathBuf, String)> {
    let bytes = word.as_bytes();
    let at = bytes.iter().rposition(|&byte| byte == separator)?;
    let (path, rest) = (bytes.get(..at)?, bytes.get(at + 1..)?);
    let rest = String::from_utf8(rest.to_vec()).ok()?;
    (!path.is_empty()).then(|| (OsString::from_vec(path.to_vec()).into(), rest))
}

/// A number from 1 to 2^64 - 1.
pub(crate) fn at_least_one(word: &str) -> Result<u64, String> {
    unsigned(word).and_then(|number| if number > 0 { Ok(number) } else { Err("at least 1".into()) })
}

/// A parser of arguments that need not be UTF-8.
pub(crate) fn os<T>(parser: fn(&OsStr) -> Result<T, String>) -> impl TypedValueParser<Value = T>
where
    T: Clone + Send + Sync + 'static,
{
    OsStringValueParser::new().try_map(move |word| parser(&word))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_first_characters_of_a_number_select_its_base() {
        for (word, number) in [
            ("0", 0),
            ("31", 31),
            ("0x1F", 31),
            ("0X1f", 31),
            ("037", 31),
            ("18446744073709551615", u64::MAX),
            ("0xffffffffffffffff", u64::MAX),
        ] {
            assert_eq!(unsigned(word), Ok(number), "{word}");
        }
        for word in ["", "0x", "08", "1f", "+1", "0x+1", "-1", "1 ", "0x10000000000000000", "\u{661}"] {
            assert!(unsigned(word).is_err(), "{word}");
        }
    }

    #[test]
    fn an_argument_may_be_negative() {
        assert_eq!(either_sign("-1"), Ok(u64::MAX));
        assert_eq!(either_sign("-0x8000000000000000"), Ok(1 << 63));
        for word in ["-0x8000000000000001", "--1", "-"] {
            assert!(either_sign(word).is_err(), "{word}");
        }
    }

    #[test]
    fn a_time_is_in_seconds_unless_it_has_a_unit() {
        for (word, milliseconds) in [
            ("2", 2000),
            ("2s", 2000),
            ("0.5", 500),
            ("0.5s", 500),
            ("500ms", 500),
            ("1ms", 1),
            ("1000000000s", 1_000_000_000_000),
            ("none", 0),
        ] {
            assert_eq!(deadline(word), Ok(milliseconds), "{word}");
        }
        for word in [
            "", "s", "ms", "0", "0s", "0.1ms", "2m", "2 s", "2ss", "2mss", "-1s", "nans", "infs", "1e10s",
            "nones",
        ] {
            assert!(deadline(word).unwrap_err().contains("500ms"), "{word}");
        }
    }

    #[test]
    fn a_range_ends_with_a_page_or_before_one() {
        let range = Range { start: 0x2000_0000, end: 0x3000_0000 };
        assert_eq!(page_range("0x20000000-0x30000000"), Ok(range));
        assert_eq!(page_range("0x20000000-0x2fffffff"), Ok(range));
        for word in
            ["0x1000", "0x1000-0x1000", "0x1001-0x2000", "0x1000-0x2001", "0-0xffffffffffffffff", "a-b"]
        {
            assert!(page_range(word).is_err(), "{word}");
        }
    }

    #[test]
    fn a_file_name_may_contain_the_separators() {
        assert_eq!(file_to(OsStr::new("a@b:c@0x10")), Ok(FileTo { path: "a@b:c".into(), address: 16 }));
        let from = FileFrom { path: "a@b".into(), address: 16, length: 4 };
        assert_eq!(file_from(OsStr::new("a@b@0x10:4")), Ok(from));
        assert_eq!(file_to(OsStr::from_bytes(b"\xff@1")).unwrap().path.as_os_str().as_bytes(), b"\xff");
    }

    #[test]
    fn a_file_without_address_or_length_is_refused() {
        for word in ["", "file", "@0x10", "file@", "file@x"] {
            assert!(file_to(OsStr::new(word)).is_err(), "{word}");
        }
        for word in ["file@0x10", "file@0x10:0", "file@0xffffffffffffffff:1", "file:1@5", "@1:1"] {
            assert!(file_from(OsStr::new(word)).is_err(), "{word}");
        }
    }

    proptest! {
        #[test]
        fn every_number_is_read_back_in_every_base(number: u64) {
            for word in [format!("{number}"), format!("{number:#x}"), format!("0{number:o}")] {
                prop_assert_eq!(unsigned(&word), Ok(number));
            }
            prop_assert_eq!(either_sign(&format!("{}", number.cast_signed())), Ok(number));
        }

        #[test]
        fn no_argument_breaks_a_parser(word in "[-@:0-9a-fx+]{0,12}") {
            let _ = (unsigned(&word), either_sign(&word), page_range(&word));
            let _ = (file_to(OsStr::new(&word)), file_from(OsStr::new(&word)));
        }
    }
}
