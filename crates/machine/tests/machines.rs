//! The machines of `testdata/machines`, as they are read.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::{Path, PathBuf};

use machine::Machine;
use machine::config::Setting;
use machine::encryption::{Encryption, Kind};
use machine::kernel::{Lockdown, SecureBoot};
use machine::module::Missing;
use machine::process::Capability;
use machine::xen::Xen;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/machines").join(name)
}

fn probe(name: &str) -> Machine {
    Machine::probe(&folder(name))
}

#[test]
fn a_stock_cloud_machine_is_read_completely() {
    let machine = probe("debian-6.1-cloud");
    assert_eq!(machine.release.unwrap(), "6.1.0-35-cloud-amd64");
    assert_eq!(machine.lockdown.unwrap(), Lockdown::Off);
    assert_eq!(machine.secure_boot.unwrap(), SecureBoot::NoUefi);
    assert!(!machine.load_disabled.unwrap());
    assert!(!machine.signatures_enforced.unwrap());
    assert_eq!(machine.xen.unwrap(), Xen::No);
    assert_eq!(machine.encryption, Encryption::None);
    assert_eq!(machine.cpu.unwrap().count, 2);
    assert_eq!(machine.amounts.unwrap().total, 2_030_648 * 1024);
    assert!(machine.first_namespace.unwrap() && machine.capabilities.unwrap().has(Capability::SysBoot));
    assert!(machine.module_loaded && machine.device_node);
    assert!(machine.module_file.unwrap().unwrap().listed);
    let config = machine.config.unwrap();
    assert_eq!(config.path(), "/boot/config-6.1.0-35-cloud-amd64");
    assert_eq!((config.get("CONFIG_KEXEC"), config.get("CONFIG_KEXEC_JUMP")), (Setting::Yes, Setting::No));
}

#[test]
fn the_firmwares_map_has_the_memory_that_the_kernel_shows() {
    let machine = probe("debian-6.1-cloud");
    let ram = machine.memory.unwrap().system_ram();
    let firmware = machine.firmware_map.unwrap();
    assert_eq!(firmware.len(), 7);
    assert!(firmware.is_sorted_by_key(|range| range.first));
    for range in ram {
        assert!(firmware.iter().any(|entry| {
            entry.kind == "System RAM" && entry.first <= range.start().get() && range.end() - 1 <= entry.last
        }));
    }
}

#[test]
fn secure_boot_and_lockdown_are_two_facts() {
    let machine = probe("debian-6.12-secure-boot");
    assert_eq!(machine.secure_boot.unwrap(), SecureBoot::On);
    assert_eq!(machine.lockdown.unwrap(), Lockdown::Integrity);
    assert!(machine.signatures_enforced.unwrap());
    assert!(!machine.module_loaded && !machine.device_node);
    assert_eq!(machine.module_file.unwrap(), None);
}

#[test]
fn a_paravirtual_guest_is_not_a_virtual_machine() {
    let machine = probe("xen-pv-guest");
    assert_eq!(machine.xen.unwrap(), Xen::Paravirtual);
    assert_eq!(machine.lockdown.unwrap_err().to_string(), "/sys/kernel/security/lockdown does not exist");
}

#[test]
fn active_encryption_is_more_than_supported_encryption() {
    let machine = probe("amd-sme-active");
    assert_eq!(machine.encryption, Encryption::Active(Kind::Sme));
    assert_eq!(machine.secure_boot.unwrap(), SecureBoot::Off);
    assert_eq!(machine.missing_to_build, []);
}

#[test]
fn a_module_that_depmod_has_not_listed_is_found() {
    let machine = probe("kexec-load-disabled");
    assert!(machine.load_disabled.unwrap());
    let file = machine.module_file.unwrap().unwrap();
    assert_eq!(file.path, "/lib/modules/6.1.0-35-cloud-amd64/updates/dkms/kjump.ko.xz");
    assert!(!file.listed);
    assert_eq!(machine.missing_to_build.first(), Some(&Missing::Headers));
}

#[test]
fn without_privileges_addresses_are_hidden() {
    let machine = probe("not-root");
    assert!(machine.memory.unwrap().is_hidden());
    assert!(!machine.capabilities.unwrap().has(Capability::SysBoot));
}

#[test]
fn a_plans_facts_are_known_of_a_stock_machine_with_privileges_only() {
    let known = probe("debian-6.1-cloud");
    let machine = known.for_plan().unwrap();
    assert_eq!((machine.ram.len(), machine.firmware.len(), machine.rsdp), (2, 7, Some(0xf_59d0)));
    let ram = known.memory.unwrap().system_ram();
    assert_eq!(machine.usable_ram(), ram, "kernel and firmware agree");
    let hidden = "the kernel shows no addresses in /proc/iomem; run as root, with CAP_SYS_ADMIN";
    assert_eq!(probe("not-root").for_plan().unwrap_err().to_string(), hidden);
    let planned = probe("debian-6.12-secure-boot").for_plan().unwrap();
    assert!(!planned.firmware.is_empty(), "without the firmware's map, the kernel's does");
    assert_eq!(planned.usable_ram(), planned.ram);
}

#[test]
fn nothing_is_known_of_a_machine_that_does_not_exist() {
    let machine = Machine::probe(Path::new("/nowhere"));
    assert_eq!(machine.memory.unwrap_err().to_string(), "/proc/iomem does not exist");
    assert!(machine.module_file.is_err() && !machine.module_loaded);
}

#[test]
fn the_machine_this_test_runs_on_is_read() {
    let machine = Machine::probe(Path::new("/"));
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    assert_eq!(machine.release.unwrap(), release.trim());
    assert!(!machine.memory.unwrap().resources().is_empty());
    assert!(machine.cpu.unwrap().count > 0);
}

#[test]
fn the_kernels_notes_about_itself_are_found() {
    let notes = probe("debian-6.1-cloud").crash_notes.unwrap();
    let place = |address, size| plan::elfcorehdr::NoteAt { address, size };
    assert_eq!(notes.vmcoreinfo, Some(place(0x1a0_2000, 0x1024)));
    assert_eq!(notes.cpus, [place(0x7f41_b600, 368), place(0x7f51_b600, 368)]);
    assert!(probe("not-root").crash_notes.is_err());
}
