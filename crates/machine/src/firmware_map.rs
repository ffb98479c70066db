//! `/sys/firmware/memmap`: the firmware's memory map at boot (`drivers/firmware/memmap.c`).

use crate::root::Root;
use crate::{Error, Fact, Garbled};

/// A range of the firmware's memory map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FirmwareRange {
    /// Address of the first byte.
    pub first: u64,
    /// Address of the last byte.
    pub last: u64,
    /// The kernel's name for its type, as in `System RAM`.
    pub kind: String,
}

/// The ranges, sorted by address.
pub(crate) fn read(root: &Root) -> Fact<Vec<FirmwareRange>> {
    const DIRECTORY: &str = "/sys/firmware/memmap";
    let mut ranges = Vec::new();
    for name in root.names(DIRECTORY)? {
        let field = |field| format!("{DIRECTORY}/{name}/{field}");
        let first = root.parse(&field("start"), parse_address)?;
        let last = root.parse(&field("end"), parse_address)?;
        if first > last {
            let garbled = Garbled { line: 1, wanted: "an address above the start" };
            return Err(Error::Garbled { path: field("end"), garbled });
        }
        let kind = root.text(&field("type"))?.trim().into();
        ranges.push(FirmwareRange { first, last, kind });
    }
    ranges.sort_by_key(|range| range.first);
    Ok(ranges)
}

/// Parses an address like `0x9fc00`.
///
/// # Errors
/// [`Garbled`] if it is not an address.
pub fn parse_address(text: &str) -> Result<u64, Garbled> {
    let digits = text.trim().strip_prefix("0x").filter(|digits| !digits.starts_with('+'));
    let address = digits.and_then(|digits| u64::from_str_radix(digits, 16).ok());
    address.ok_or(Garbled { line: 1, wanted: "an address (0x and hexadecimal digits)" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_hexadecimal() {
        assert_eq!(parse_address("0x9fc00\n"), Ok(0x9_fc00));
        for bad in ["", "0x", "9fc00", "0x+1", "0x10000000000000000"] {
            parse_address(bad).unwrap_err();
        }
    }
}
