//! Release, command line, lockdown, secure boot and switches of the running kernel.

use std::path::Path;

use crate::root::Root;
use crate::{Error, Fact, Garbled};

/// How far the kernel restricts root (`security/lockdown/lockdown.c`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lockdown {
    /// There is no restriction.
    Off,
    /// Root cannot change the kernel.
    Integrity,
    /// Root cannot read the kernel either.
    Confidentiality,
}

/// Whether the firmware checks what it boots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecureBoot {
    /// The machine was not booted by UEFI.
    NoUefi,
    /// It does not check.
    Off,
    /// It checks.
    On,
}

pub(crate) fn release(root: &Root) -> Fact<String> {
    root.parse("/proc/sys/kernel/osrelease", parse_release)
}

/// The name of this machine, empty if `/proc` is not mounted.
#[must_use]
pub fn host_name() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_owned()
}

/// The command line the running kernel was booted with, without the line end.
///
/// # Errors
/// `/proc/cmdline` is missing, or cannot be read.
pub fn command_line(root: &Path) -> Fact<Vec<u8>> {
    read_command_line(&Root::new(root))
}

pub(crate) fn read_command_line(root: &Root) -> Fact<Vec<u8>> {
    Ok(root.bytes("/proc/cmdline")?.trim_ascii_end().to_vec())
}

/// Parses a kernel release.
///
/// # Errors
/// [`Garbled`] if it is empty or could lead out of the directories named after releases.
pub fn parse_release(text: &str) -> Result<String, Garbled> {
    let release = text.trim();
    let sound = !release.is_empty() && release.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'/');
    sound.then(|| release.into()).ok_or(Garbled { line: 1, wanted: "a kernel release" })
}

/// Parses the levels of lockdown, the one in force in brackets.
///
/// # Errors
/// [`Garbled`] if no known level is in brackets.
pub fn parse_lockdown(text: &str) -> Result<Lockdown, Garbled> {
    text.split_whitespace()
        .find_map(|word| match word {
            "[none]" => Some(Lockdown::Off),
            "[integrity]" => Some(Lockdown::Integrity),
            "[confidentiality]" => Some(Lockdown::Confidentiality),
            _ => None,
        })
        .ok_or(Garbled { line: 1, wanted: "levels of lockdown, one in brackets" })
}

/// Parses a switch: `0`, `1`, `N` or `Y`.
///
/// # Errors
/// [`Garbled`] for any other text.
pub fn parse_switch(text: &str) -> Result<bool, Garbled> {
    match text.trim() {
        "0" | "N" => Ok(false),
        "1" | "Y" => Ok(true),
        _ => Err(Garbled { line: 1, wanted: "0, 1, N or Y" }),
    }
}

/// Parses a limit: a number, -1 for no limit.
///
/// # Errors
/// [`Garbled`] if it is not a number.
pub fn parse_limit(text: &str) -> Result<i64, Garbled> {
    text.trim().parse().map_err(|_| Garbled { line: 1, wanted: "a number, -1 for no limit" })
}

/// The UEFI variable `SecureBoot` (UEFI specification, 3.3): four bytes of attributes, then 0 or 1.
pub(crate) fn secure_boot(root: &Root) -> Fact<SecureBoot> {
    const VARIABLE: &str = "/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c";
    if !root.has("/sys/firmware/efi") {
        return Ok(SecureBoot::NoUefi);
    }
    match root.bytes(VARIABLE)?.as_slice() {
        [_, _, _, _, 0] => Ok(SecureBoot::Off),
        [_, _, _, _, 1] => Ok(SecureBoot::On),
        _ => {
            let garbled = Garbled { line: 1, wanted: "four bytes of attributes and 0 or 1" };
            Err(Error::Garbled { path: VARIABLE.into(), garbled })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_level_of_lockdown_is_the_one_in_brackets() {
        assert_eq!(parse_lockdown("[none] integrity confidentiality\n"), Ok(Lockdown::Off));
        assert_eq!(parse_lockdown("none [integrity] confidentiality\n"), Ok(Lockdown::Integrity));
        assert_eq!(parse_lockdown("none integrity [confidentiality]\n"), Ok(Lockdown::Confidentiality));
        for bad in ["", "none integrity", "[chaos]"] {
            parse_lockdown(bad).unwrap_err();
        }
    }

    #[test]
    fn a_release_cannot_lead_to_another_directory() {
        assert_eq!(parse_release("6.1.0-35-amd64\n").as_deref(), Ok("6.1.0-35-amd64"));
        for bad in ["", "\n", "../../etc", "6.1 0", "6.1\0"] {
            parse_release(bad).unwrap_err();
        }
    }

    #[test]
    fn a_limit_is_a_number_of_either_sign() {
        assert_eq!((parse_limit("-1\n"), parse_limit("3\n")), (Ok(-1), Ok(3)));
        parse_limit("many").unwrap_err();
    }

    #[test]
    fn a_switch_is_a_digit_or_a_letter() {
        assert_eq!(parse_switch("1\n"), Ok(true));
        assert_eq!(parse_switch("N\n"), Ok(false));
        parse_switch("2").unwrap_err();
    }
}
