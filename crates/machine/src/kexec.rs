//! `/sys/kernel/kexec_*`: what the kernel's own kexec has loaded, and the memory reserved for crash
//! kernels (`Documentation/ABI/testing/sysfs-kernel-kexec-kdump`).

use std::path::Path;

use crate::kernel::parse_switch;
use crate::root::Root;
use crate::{Fact, Garbled};

/// Whether a kernel is loaded to be started by `kexec -e`.
///
/// # Errors
/// The file is missing, as in a kernel without kexec, or cannot be read.
pub fn loaded(root: &Path) -> Fact<bool> {
    read_loaded(&Root::new(root))
}

/// Whether a crash kernel is loaded.
///
/// # Errors
/// As for [`loaded`].
pub fn crash_loaded(root: &Path) -> Fact<bool> {
    read_crash_loaded(&Root::new(root))
}

/// Bytes of memory reserved for crash kernels, 0 if none is.
///
/// # Errors
/// As for [`loaded`].
pub fn crash_size(root: &Path) -> Fact<u64> {
    read_crash_size(&Root::new(root))
}

pub(crate) fn read_loaded(root: &Root) -> Fact<bool> {
    root.parse("/sys/kernel/kexec_loaded", parse_switch)
}

pub(crate) fn read_crash_loaded(root: &Root) -> Fact<bool> {
    root.parse("/sys/kernel/kexec_crash_loaded", parse_switch)
}

pub(crate) fn read_crash_size(root: &Root) -> Fact<u64> {
    root.parse("/sys/kernel/kexec_crash_size", parse_size)
}

pub(crate) fn read_elfcorehdr_size(root: &Root) -> Fact<u64> {
    root.parse("/sys/kernel/crash_elfcorehdr_size", parse_size)
}

/// Parses a size in decimal digits.
///
/// # Errors
/// [`Garbled`] if it is not a number of bytes.
pub fn parse_size(text: &str) -> Result<u64, Garbled> {
    let size = text.trim().parse().ok().filter(|_| !text.starts_with('+'));
    size.ok_or(Garbled { line: 1, wanted: "a size in bytes (decimal digits)" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_decimal() {
        assert_eq!((parse_size("0\n"), parse_size("268435456\n")), (Ok(0), Ok(256 << 20)));
        for bad in ["", "\n", "+1", "-1", "0x10", "256M"] {
            parse_size(bad).unwrap_err();
        }
    }

    #[test]
    fn a_kernel_without_kexec_has_none_of_the_files() {
        let root = Path::new("/nowhere");
        assert_eq!(loaded(root).unwrap_err().to_string(), "/sys/kernel/kexec_loaded does not exist");
        assert!(crash_loaded(root).is_err() && crash_size(root).is_err());
    }
}
