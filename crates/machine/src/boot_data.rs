//! Boot parameters of the running kernel that the next one needs:
//! `/sys/kernel/boot_params` (`Documentation/ABI/testing/sysfs-kernel-boot_params`) and
//! `/sys/firmware/efi/systab`.

use abi::boot_params::{ACPI_RSDP_ADDR, SCREEN_INFO_SIZE, SIZE};

use plan::SetupData;

use crate::firmware_map::parse_address;
use crate::root::Root;
use crate::{Error, Fact, Garbled};

/// The parts that cannot be determined again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BootData {
    /// Address of the ACPI root pointer.
    pub rsdp: Option<u64>,
    /// `screen_info`: the frame buffer.
    pub screen: Option<[u8; SCREEN_INFO_SIZE]>,
    /// All of `boot_params`.
    pub params: Vec<u8>,
}

pub(crate) fn read(root: &Root) -> Fact<BootData> {
    const PARAMS: &str = "/sys/kernel/boot_params/data";
    let garbled = |garbled| Error::Garbled { path: PARAMS.into(), garbled };
    let mut data = parse(&root.bytes(PARAMS)?).map_err(garbled)?;
    if data.rsdp.is_none() {
        data.rsdp = root.text("/sys/firmware/efi/systab").ok().as_deref().and_then(rsdp_of_systab);
    }
    Ok(data)
}

/// The running kernel's setup_data, in the order of its numbers.
pub(crate) fn read_setup_data(root: &Root) -> Fact<Vec<SetupData>> {
    const DIRECTORY: &str = "/sys/kernel/boot_params/setup_data";
    let mut names = match root.names(DIRECTORY) {
        Err(Error::Absent { .. }) => return Ok(Vec::new()),
        other => other?,
    };
    names.sort_by_key(|name| (name.len(), name.clone()));
    let fact = |name: &String| {
        let kind = root.parse(&format!("{DIRECTORY}/{name}/type"), parse_address)?;
        let kind = u32::try_from(kind).unwrap_or(0);
        Ok(SetupData { kind, bytes: root.bytes(&format!("{DIRECTORY}/{name}/data"))? })
    };
    names.iter().map(fact).collect()
}

/// Parses a `boot_params`.
///
/// # Errors
/// [`Garbled`] if it is not a page.
pub fn parse(bytes: &[u8]) -> Result<BootData, Garbled> {
    if bytes.len() != SIZE {
        return Err(Garbled { line: 1, wanted: "4096 bytes of boot_params" });
    }
    let screen = bytes
        .first_chunk()
        .copied()
        .filter(|screen: &[u8; SCREEN_INFO_SIZE]| screen.iter().any(|&byte| byte != 0));
    Ok(BootData {
        rsdp: ACPI_RSDP_ADDR.read(bytes).filter(|&address| address != 0),
        screen,
        params: bytes.to_vec(),
    })
}

/// The root pointer among the tables of EFI: ACPI 2.0's if there is one.
fn rsdp_of_systab(text: &str) -> Option<u64> {
    let find = |name: &str| {
        let mut addresses = text.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix("=0x"));
        addresses.find_map(|digits| u64::from_str_radix(digits.trim(), 16).ok())
    };
    find("ACPI20").or_else(|| find("ACPI")).filter(|&address| address != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zero_field_is_unknown() {
        let mut bytes = [0; SIZE];
        assert_eq!(parse(&bytes), Ok(BootData { params: vec![0; SIZE], ..BootData::default() }));
        assert!(ACPI_RSDP_ADDR.write(&mut bytes, 0x7fbf_e014));
        bytes[15] = 0x70;
        let data = parse(&bytes).unwrap();
        assert_eq!((data.rsdp, data.screen.unwrap()[15]), (Some(0x7fbf_e014), 0x70));
        parse(&bytes[1..]).unwrap_err();
    }

    #[test]
    fn the_newer_of_two_root_pointers_counts() {
        assert_eq!(rsdp_of_systab("ACPI=0x10\nACPI20=0x20\nSMBIOS=0x30\n"), Some(0x20));
        assert_eq!(rsdp_of_systab("SMBIOS=0x30\nACPI=0x10\n"), Some(0x10));
        assert_eq!(rsdp_of_systab("ACPI20=0xnone\n"), None);
    }
}
