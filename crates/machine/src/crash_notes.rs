//! Addresses of the notes that describe the running kernel to another: `/sys/kernel/vmcoreinfo`,
//! and `crash_notes` of every CPU in `/sys/devices/system/cpu` (`kernel/ksysfs.c`,
//! `drivers/base/cpu.c`).

use plan::elfcorehdr::NoteAt;

use crate::root::Root;
use crate::{Error, Fact, Garbled};

/// The physical addresses of the notes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CrashNotes {
    /// The kernel's description of itself (VMCOREINFO).
    pub vmcoreinfo: Option<NoteAt>,
    /// The registers of the CPUs, in the order of their numbers; as the kernel fills them in, none
    /// before it crashes.
    pub cpus: Vec<NoteAt>,
}

/// The largest size accepted for a note.
const MOST: u64 = 1 << 20;

pub(crate) fn read(root: &Root) -> Fact<CrashNotes> {
    const DIRECTORY: &str = "/sys/devices/system/cpu";
    let vmcoreinfo = root.parse("/sys/kernel/vmcoreinfo", parse_place)?;
    let mut numbers: Vec<u32> = root.names(DIRECTORY)?.iter().filter_map(|name| cpu_number(name)).collect();
    numbers.sort_unstable();
    let mut cpus = Vec::new();
    for number in numbers {
        let file = |name| format!("{DIRECTORY}/cpu{number}/{name}");
        let address = match root.parse(&file("crash_notes"), parse_address) {
            // A kernel without kexec has none.
            Err(Error::Absent { .. }) => continue,
            address => address?,
        };
        let size = root.parse(&file("crash_notes_size"), parse_size)?;
        cpus.push(NoteAt { address, size });
    }
    Ok(CrashNotes { vmcoreinfo: Some(vmcoreinfo), cpus })
}

fn cpu_number(name: &str) -> Option<u32> {
    let digits = name.strip_prefix("cpu")?;
    digits.bytes().all(|digit| digit.is_ascii_digit()).then(|| digits.parse().ok())?
}

/// Parses an address and a size in hexadecimal digits, as in `0x0000000004afa000 1024`.
///
/// # Errors
/// [`Garbled`] if it is not one.
pub fn parse_place(text: &str) -> Result<NoteAt, Garbled> {
    let place = text.trim().split_once(' ').and_then(|(address, size)| {
        Some(NoteAt { address: hexadecimal(address)?, size: hexadecimal(size).filter(|&size| size <= MOST)? })
    });
    place.ok_or(Garbled { line: 1, wanted: "an address and a size (hexadecimal digits)" })
}

/// Parses an address in hexadecimal digits.
///
/// # Errors
/// [`Garbled`] if it is not one.
pub fn parse_address(text: &str) -> Result<u64, Garbled> {
    hexadecimal(text.trim()).ok_or(Garbled { line: 1, wanted: "an address (hexadecimal digits)" })
}

/// Parses a size in decimal digits.
///
/// # Errors
/// [`Garbled`] if it is not a size, or more than a note can have.
pub fn parse_size(text: &str) -> Result<u64, Garbled> {
    let size = text.trim().parse().ok().filter(|&size: &u64| size <= MOST && !text.starts_with('+'));
    size.ok_or(Garbled { line: 1, wanted: "the size of a note (decimal digits)" })
}

fn hexadecimal(text: &str) -> Option<u64> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    // `from_str_radix` would take a sign too.
    digits.bytes().all(|digit| digit.is_ascii_hexdigit()).then(|| u64::from_str_radix(digits, 16).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_an_address_and_a_size() {
        let place = NoteAt { address: 0x4af_a000, size: 0x1024 };
        assert_eq!(parse_place("0x0000000004afa000 1024\n"), Ok(place));
        assert_eq!(parse_place("4afa000 1024"), Ok(place));
        for bad in ["", "0x1000", "0x1000 ", " 10", "0x+1 10", "1000 100001", "10000000000000000 1"] {
            parse_place(bad).unwrap_err();
        }
    }

    #[test]
    fn an_address_is_hexadecimal_and_a_size_decimal() {
        assert_eq!(parse_address("7f41b600\n"), Ok(0x7f41_b600));
        assert_eq!(parse_size("368\n"), Ok(368));
        assert_eq!(["x", "", "+1", "1048577"].map(|text| parse_size(text).is_err()), [true; 4]);
        parse_address("+1").unwrap_err();
        assert_eq!(
            ["cpu0", "cpu12", "cpufreq", "cpu", "cpu+1"].map(cpu_number),
            [Some(0), Some(12), None, None, None]
        );
    }
}
