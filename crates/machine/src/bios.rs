//! The facts that calls of the BIOS depend on. Not by [`Machine::probe`](crate::Machine::probe).

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use abi::Field;
use firmware::examination::{Function, Known, Named};
use firmware::need::{Controller, Facts};
use firmware::rom;

use crate::encryption::Encryption;
use crate::root::Root;
use crate::{Error, Fact, Machine, iomem};

/// Address of the local APIC's registers after a reset (Intel SDM volume 3, 11.4.1).
const LOCAL_APIC: u64 = 0xfee0_0000;
/// First vector of the 8259s: `ISA_IRQ_VECTOR(0)` of `arch/x86/include/asm/irq_vectors.h`.
const VECTORS: u8 = 0x30;

/// The facts under a root directory, of the machine that was probed there.
#[must_use]
pub fn facts(root: &Path, machine: &Machine) -> Facts {
    let root = Root::new(root);
    let resource = |name: &str| {
        let all = machine.memory.as_ref().ok().into_iter().flat_map(iomem::MemoryMap::resources);
        all.clone().find(|resource| resource.name == name).map_or(0, |resource| resource.first)
    };
    Facts {
        uefi: root.has("/sys/firmware/efi"),
        encryption: match machine.encryption {
            Encryption::Active(kind) => Some(format!("{kind:?}")),
            _ => None,
        },
        hpet: Some(resource("HPET 0")).filter(|&address| address != 0).unwrap_or_else(|| hpet(&root)),
        io_apic: resource("IOAPIC 0"),
        vectors: VECTORS,
        uses_8254: uses_8254(&root),
        controllers: controllers(&root),
        ..Facts::default()
    }
}

/// The local APIC's registers: where the kernel names them, or else where they are after a reset.
/// 6.12 does not name them, and no kernel moves them.
#[must_use]
pub fn local_apic(machine: &Machine) -> u64 {
    let resources = machine.memory.as_ref().map(iomem::MemoryMap::resources).unwrap_or_default();
    let named = resources.iter().find(|resource| resource.name == "Local APIC");
    named.map_or(LOCAL_APIC, |resource| resource.first)
}

/// What the machine is compared with by `kjump test-machine`.
#[must_use]
pub fn known(root: &Path, machine: &Machine, facts: &Facts) -> Known {
    let folder = Root::new(root);
    let named = |range: &crate::firmware_map::FirmwareRange| Named {
        first: range.first,
        last: range.last,
        kind: range.kind.clone(),
    };
    let map = machine.firmware_map.as_ref().ok().filter(|map| !map.is_empty());
    let mut memory_map: Option<Vec<Named>> = map.map(|map| map.iter().map(named).collect());
    if let Some(map) = &mut memory_map {
        map.sort_unstable();
    }
    let buses = folder.names("/sys/class/pci_bus").unwrap_or_default();
    let bus = |name: &String| u8::from_str_radix(name.strip_prefix("0000:")?, 16).ok();
    Known {
        memory_map,
        disks: disks(root),
        controllers: facts.controllers.clone(),
        functions: functions(&folder),
        last_bus: buses.iter().filter_map(bus).max(),
        monitors: monitors(root),
        rom: rom(root).ok(),
        tsc_khz: 0,
    }
}

/// The real-time clock, in seconds since 1970; `None` if the kernel has none.
#[must_use]
pub fn clock(root: &Path) -> Option<u64> {
    Root::new(root).text("/sys/class/rtc/rtc0/since_epoch").ok()?.trim().parse().ok()
}

/// The PCI devices of the first domain, by address.
fn functions(root: &Root) -> Vec<Function> {
    const DEVICES: &str = "/sys/bus/pci/devices";
    let number = |name: &str, file: &str| {
        let text = root.text(&format!("{DEVICES}/{name}/{file}")).ok()?;
        u32::from_str_radix(text.trim().strip_prefix("0x")?, 16).ok()
    };
    let one = |name: &String| {
        let address = pci_address(name)?;
        Some(Function { address, id: number(name, "device")? << 16 | number(name, "vendor")? & 0xffff })
    };
    let names = root.names(DEVICES).unwrap_or_default();
    let mut all: Vec<Function> = names.iter().filter_map(one).collect();
    all.sort_unstable_by_key(|function| function.address);
    all
}

/// `0000:BUS:DEVICE.FUNCTION` as 16 bits.
fn pci_address(name: &str) -> Option<u16> {
    let (bus, rest) = name.strip_prefix("0000:")?.split_once(':')?;
    let (device, function) = rest.split_once('.')?;
    let [bus, device, function] = [bus, device, function].map(|digits| u8::from_str_radix(digits, 16).ok());
    let (device, function) = (device.filter(|device| *device < 32)?, function.filter(|one| *one < 8)?);
    Some(u16::from_be_bytes([bus?, device << 3 | function]))
}

/// Sizes in sectors of 512 bytes of the disks, with their names.
#[must_use]
pub fn disks(root: &Path) -> Vec<(String, u64)> {
    let root = Root::new(root);
    let size = |name: &str| root.text(&format!("/sys/block/{name}/size")).ok()?.trim().parse().ok();
    let names = root.names("/sys/block").unwrap_or_default();
    names.into_iter().filter_map(|name| size(&name).map(|size| (name, size))).collect()
}

/// What the monitors on the kernel's outputs report, with the names of the outputs.
#[must_use]
pub fn monitors(root: &Path) -> Vec<(String, Vec<u8>)> {
    let root = Root::new(root);
    let names = root.names("/sys/class/drm").unwrap_or_default();
    let edid = |name: &String| root.bytes(&format!("/sys/class/drm/{name}/edid")).ok();
    let all = names.into_iter().filter_map(|name| edid(&name).map(|bytes| (name, bytes)));
    all.filter(|(_, bytes)| !bytes.is_empty()).collect()
}

/// Memory from 0xc0000 to 0xfffff: option ROMs and the BIOS. The kernel shows it even where it
/// restricts `/dev/mem`, unless it is locked down.
///
/// # Errors
/// `/dev/mem` cannot be read.
pub fn rom(root: &Path) -> Fact<Vec<u8>> {
    const DEVICE: &str = "/dev/mem";
    let failure = |error| Error::Unreadable { path: DEVICE.into(), error };
    let mut file = File::open(root.join("dev/mem")).map_err(failure)?;
    file.seek(SeekFrom::Start(rom::START)).map_err(failure)?;
    let mut bytes = vec![0; rom::SIZE];
    file.read_exact(&mut bytes).map_err(failure)?;
    Ok(bytes)
}

/// The address of the HPET's registers by ACPI's table (IA-PC HPET specification, 3.2.4), for
/// kernels that do not name it; 0 if there is none.
fn hpet(root: &Root) -> u64 {
    let table = root.bytes("/sys/firmware/acpi/tables/HPET").unwrap_or_default();
    let is_memory = table.get(40) == Some(&0);
    Field::<u64>::at(44).read(&table).filter(|_| is_memory && table.starts_with(b"HPET")).unwrap_or(0)
}

/// Whether the 8254 is a clock event device of a CPU, or of all of them.
fn uses_8254(root: &Root) -> bool {
    const DIRECTORY: &str = "/sys/devices/system/clockevents";
    let names = root.names(DIRECTORY).unwrap_or_default();
    let device = |name: &String| root.text(&format!("{DIRECTORY}/{name}/current_device"));
    names.iter().filter_map(|name| device(name).ok()).any(|device| device.trim() == "pit")
}

fn controllers(root: &Root) -> Vec<Controller> {
    const DEVICES: &str = "/sys/bus/pci/devices";
    let names = root.names(DEVICES).unwrap_or_default();
    let class = |address: &str| {
        let text = root.text(&format!("{DEVICES}/{address}/class")).ok()?;
        u32::from_str_radix(text.trim().strip_prefix("0x")?, 16).ok()
    };
    let all = names.into_iter().filter_map(|address| {
        let class = class(&address).filter(|&class| Controller::is_class(class))?;
        Some(Controller { address, class, driver: None })
    });
    let mut controllers: Vec<Controller> = all.collect();
    if controllers.is_empty() {
        return controllers;
    }
    for driver in root.names("/sys/bus/pci/drivers").unwrap_or_default() {
        let held = root.names(&format!("/sys/bus/pci/drivers/{driver}")).unwrap_or_default();
        for controller in controllers.iter_mut().filter(|controller| held.contains(&controller.address)) {
            controller.driver = Some(driver.clone());
        }
    }
    controllers
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_pci_address_has_16_bits_in_the_first_domain() {
        assert_eq!(pci_address("0000:02:1f.7"), Some(0x02ff));
        for bad in ["0001:00:00.0", "0000:00:20.0", "0000:00:00.8", "0000:100:00.0", "0000:00", ""] {
            assert_eq!(pci_address(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_controller_has_the_driver_whose_directory_names_it() {
        let root = std::env::temp_dir().join(format!("kjump-bios-{}", std::process::id()));
        let hpet_table = format!("HPET{}\0\0\0\0\0\0\u{10}\0\0\0\0\0", "x".repeat(36));
        for (path, text) in [
            ("sys/bus/pci/devices/0000:00:01.1/class", "0x010180\n"),
            ("sys/bus/pci/devices/0000:00:02.0/class", "0x030000\n"),
            ("sys/bus/pci/devices/0000:00:03.0/class", "0x010601\n"),
            ("sys/bus/pci/devices/0000:00:04.0/class", "0x0c0330\n"),
            ("sys/bus/pci/devices/0000:00:05.0/class", "0x080501\n"),
            ("sys/bus/pci/drivers/ahci/0000:00:03.0/x", ""),
            ("sys/bus/pci/drivers/xhci_hcd/0000:00:04.0/x", ""),
            ("sys/bus/pci/drivers/sdhci-pci/0000:00:05.0/x", ""),
            ("sys/devices/system/clockevents/broadcast/current_device", "pit\n"),
            ("sys/bus/pci/devices/0000:00:03.0/vendor", "0x8086\n"),
            ("sys/bus/pci/devices/0000:00:03.0/device", "0x2922\n"),
            ("sys/class/pci_bus/0000:05/x", ""),
            ("sys/class/pci_bus/0001:07/x", ""),
            ("sys/class/rtc/rtc0/since_epoch", "1795781045\n"),
            ("sys/block/sda/size", "16384\n"),
            ("sys/firmware/acpi/tables/HPET", &hpet_table),
        ] {
            let file = root.join(path);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        }
        let facts = facts(&root, &Machine::probe(&root));
        let held = |address: &str, class, driver: Option<&str>| Controller {
            address: address.into(),
            class,
            driver: driver.map(Into::into),
        };
        assert_eq!(
            facts.controllers,
            [
                held("0000:00:01.1", 0x0001_0180, None),
                held("0000:00:03.0", 0x0001_0601, Some("ahci")),
                held("0000:00:04.0", 0x000c_0330, Some("xhci_hcd")),
                held("0000:00:05.0", 0x0008_0501, Some("sdhci-pci"))
            ]
        );
        assert!(facts.uses_8254 && !facts.uefi);
        assert_eq!(facts.hpet, 0x10_0000);
        assert_eq!(local_apic(&Machine::probe(&root)), LOCAL_APIC);
        assert_eq!(disks(&root), [("sda".into(), 16384)]);
        let known = known(&root, &Machine::probe(&root), &facts);
        assert_eq!(known.functions, [Function { address: 0x18, id: 0x2922_8086 }]);
        assert_eq!((known.last_bus, known.memory_map, clock(&root)), (Some(5), None, Some(1_795_781_045)));
        fs::remove_dir_all(root).unwrap();
    }
}
