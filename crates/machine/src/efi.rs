//! `/sys/firmware/efi`: what a kernel that is started by kexec needs from EFI
//! (`Documentation/ABI/testing/sysfs-firmware-efi`, `sysfs-firmware-efi-runtime-map`).

use abi::efi;
use plan::Efi;

use crate::Fact;
use crate::firmware_map::parse_address;
use crate::root::Root;

const DIRECTORY: &str = "/sys/firmware/efi";

/// All of it or nothing: a kernel cannot use half of it.
pub(crate) fn read(root: &Root) -> Fact<Option<Efi>> {
    if !root.has(DIRECTORY) {
        return Ok(None);
    }
    let address = |name: &str| root.parse(&format!("{DIRECTORY}/{name}"), parse_address);
    let smbios = root.text(&format!("{DIRECTORY}/systab")).ok().and_then(|text| smbios_of_systab(&text));
    Ok(Some(Efi {
        vendor: address("fw_vendor")?,
        runtime: address("runtime")?,
        tables: address("config_table")?,
        // Newer kernels may lack the list, and do not need it.
        smbios: smbios.unwrap_or(0),
        map: map(root)?,
    }))
}

/// The descriptors in the order of their numbers, which is the firmware's order.
fn map(root: &Root) -> Fact<Vec<[u8; efi::DESCRIPTOR_SIZE]>> {
    let folder = format!("{DIRECTORY}/runtime-map");
    let mut names = root.names(&folder)?;
    names.sort_by_key(|name| (name.len(), name.clone()));
    let descriptor = |name: &String| {
        let number = |field: &str| root.parse(&format!("{folder}/{name}/{field}"), parse_address);
        let mut bytes = [0; efi::DESCRIPTOR_SIZE];
        let written = efi::TYPE.write(&mut bytes, u32::try_from(number("type")?).unwrap_or(0))
            && efi::PHYSICAL.write(&mut bytes, number("phys_addr")?)
            && efi::VIRTUAL.write(&mut bytes, number("virt_addr")?)
            && efi::PAGES.write(&mut bytes, number("num_pages")?)
            && efi::ATTRIBUTES.write(&mut bytes, number("attribute")?);
        debug_assert!(written, "abi asserts that every field lies in the descriptor");
        Ok(bytes)
    };
    names.iter().map(descriptor).collect()
}

/// The address of the older SMBIOS tables, which the kernel uses.
#[must_use]
pub fn smbios_of_systab(text: &str) -> Option<u64> {
    text.lines().find_map(|line| parse_address(line.strip_prefix("SMBIOS=")?).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn descriptors_are_in_the_firmwares_order_and_incomplete_data_is_an_error() {
        let folder = std::env::temp_dir().join(format!("kjump-efi-{}", std::process::id()));
        let efi = folder.join("sys/firmware/efi");
        for number in [0, 2, 10] {
            let place = efi.join(format!("runtime-map/{number}"));
            fs::create_dir_all(&place).unwrap();
            for (name, value) in [
                ("type", 5),
                ("phys_addr", number << 12),
                ("virt_addr", 0xff),
                ("num_pages", 1),
                ("attribute", 15),
            ] {
                fs::write(place.join(name), format!("{value:#x}\n")).unwrap();
            }
        }
        let root = Root::new(&folder);
        read(&root).unwrap_err();
        for name in ["fw_vendor", "runtime", "config_table"] {
            fs::write(efi.join(name), "0x7f00\n").unwrap();
        }
        let found = read(&root).unwrap().unwrap();
        assert_eq!((found.vendor, found.smbios), (0x7f00, 0));
        let at: Vec<_> = found.map.iter().map(|bytes| efi::PHYSICAL.read(bytes).unwrap()).collect();
        assert_eq!(at, [0, 0x2000, 0xa000]);
        fs::write(efi.join("systab"), "ACPI20=0x1\nSMBIOS3=0x2\nSMBIOS=0x3\n").unwrap();
        assert_eq!(read(&root).unwrap().unwrap().smbios, 3);
        fs::remove_dir_all(&folder).unwrap();
        assert_eq!(read(&Root::new(&folder)).unwrap(), None);
    }
}
