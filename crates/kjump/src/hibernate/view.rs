//! Where this kernel finds what it was given to see the one at rest.

use anyhow::Context;
use plan::linux::parameters::{self, Parameter};

/// The physical address of the ELF core header, by the command line of this kernel.
pub(super) fn header(line: &[u8]) -> anyhow::Result<u64> {
    let found = parameters::of_kernel(line).filter(|parameter| parameter.is_named(b"elfcorehdr"));
    let address = found.last().and_then(Parameter::value).and_then(|value| {
        let text = std::str::from_utf8(value).ok()?.split('@').next()?;
        u64::from_str_radix(text.strip_prefix("0x")?, 16).ok()
    });
    address.context("no elfcorehdr= in the kernel's command line")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_address_of_the_kernels_part_counts() {
        let line = b"a elfcorehdr=0x1000 elfcorehdr=0x2f000000@5 -- elfcorehdr=0x3";
        assert_eq!(header(line).unwrap(), 0x2f00_0000);
        for line in ["quiet", "elfcorehdr=", "elfcorehdr=12", "elfcorehdr=0xx", "-- elfcorehdr=0x1000"] {
            assert!(header(line.as_bytes()).is_err(), "{line}");
        }
    }
}
