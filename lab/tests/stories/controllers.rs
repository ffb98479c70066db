//! A machine with one controller of each kind in a current PC.

use std::path::PathBuf;

use lab::{Machine, Scratch, Vm};

/// Their drivers.
pub(crate) const DRIVERS: [&str; 5] = ["ahci", "sd_mod", "nvme", "e1000e", "xhci_pci"];

/// The first disk is `/dev/sda` on AHCI, the second `/dev/nvme0n1`; the network card is not
/// connected.
pub(crate) fn with_controllers(vm: Vm, disks: &[Scratch; 2]) -> Vm {
    let mut vm = vm.machine(Machine::Q35);
    for (disk, device) in disks.iter().zip(["ide-hd", "nvme,serial=x"]) {
        let file = PathBuf::from(disk);
        let (file, name) = (file.display(), &device[..4]);
        vm = vm.qemu("-drive").qemu(format!("file={file},format=raw,if=none,id={name}"));
        vm = vm.qemu("-device").qemu(format!("{device},drive={name}"));
    }
    for device in ["e1000e", "qemu-xhci"] {
        vm = vm.qemu("-device").qemu(device);
    }
    vm
}
