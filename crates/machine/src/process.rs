//! The privileges of this process (`Documentation/filesystems/proc.rst`, `user_namespaces(7)`).

use std::path::Path;

use crate::root::Root;
use crate::{Fact, Garbled};

/// A capability, by its bit in `include/uapi/linux/capability.h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Capability {
    /// `CAP_SYS_MODULE`: load modules.
    SysModule = 16,
    /// `CAP_SYS_ADMIN`: see physical addresses, among much else.
    SysAdmin = 21,
    /// `CAP_SYS_BOOT`: kexec and reboot.
    SysBoot = 22,
}

/// The effective capabilities of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    effective: u64,
}

impl Capabilities {
    /// Whether the process has the capability.
    #[must_use]
    pub const fn has(self, capability: Capability) -> bool {
        self.effective >> capability as u32 & 1 == 1
    }
}

/// The name of a process. The process chose it: it may hold anything.
///
/// # Errors
/// There is no such process, or it cannot be read.
pub fn name(root: &Path, process: u64) -> Fact<String> {
    Ok(Root::new(root).text(&format!("/proc/{process}/comm"))?.trim_end().to_owned())
}

/// Parses `/proc/PID/status`.
///
/// # Errors
/// [`Garbled`] if the line `CapEff:` is missing or wrong.
pub fn parse_status(text: &str) -> Result<Capabilities, Garbled> {
    let wanted = "CapEff: and hexadecimal digits";
    for (line, number) in text.lines().zip(1..) {
        let Some(digits) = line.strip_prefix("CapEff:") else { continue };
        let digits = Some(digits.trim()).filter(|digits| !digits.starts_with('+'));
        let effective = digits.and_then(|digits| u64::from_str_radix(digits, 16).ok());
        return effective.map(|effective| Capabilities { effective }).ok_or(Garbled { line: number, wanted });
    }
    Err(Garbled { line: text.lines().count(), wanted })
}

/// Parses `/proc/PID/uid_map`: whether it is that of the first user namespace, which maps every
/// user to itself.
///
/// # Errors
/// [`Garbled`] if a line is not three numbers.
pub fn parse_uid_map(text: &str) -> Result<bool, Garbled> {
    let mut maps = Vec::new();
    for (line, number) in text.lines().zip(1..) {
        let numbers: Result<Vec<u64>, _> = line.split_whitespace().map(str::parse).collect();
        match numbers.as_deref() {
            Ok(&[inner, outer, count]) => maps.push((inner, outer, count)),
            _ => return Err(Garbled { line: number, wanted: "three numbers" }),
        }
    }
    Ok(maps == [(0, 0, u64::from(u32::MAX))])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_capability_is_a_bit_of_cap_eff() {
        let capabilities = parse_status("Name:\tkjump\nCapPrm:\t0\nCapEff:\t0000000000400000\n").unwrap();
        assert!(capabilities.has(Capability::SysBoot));
        assert!(!capabilities.has(Capability::SysModule));
    }

    #[test]
    fn a_status_without_valid_capabilities_is_garbled() {
        assert_eq!(parse_status("Name:\tx\nCapEff:\tfull\n").unwrap_err().line, 2);
        parse_status("").unwrap_err();
        parse_status("CapEff:\t+1\n").unwrap_err();
        parse_status("CapEff:\t11111111111111111\n").unwrap_err();
    }

    #[test]
    fn only_the_first_namespace_maps_every_user_to_itself() {
        assert_eq!(parse_uid_map("         0          0 4294967295\n"), Ok(true));
        assert_eq!(parse_uid_map("         0       1000          1\n"), Ok(false));
        assert_eq!(parse_uid_map(""), Ok(false));
        parse_uid_map("0 0\n").unwrap_err();
    }
}
