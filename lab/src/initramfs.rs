//! The guest's root file system: busybox, the product, the drivers, the agent and its instructions.

use std::path::Path;
use std::process::Command;

use crate::cpio::Tree;
use crate::drivers::{self, Driver, Drivers};
use crate::vm::Vm;
use crate::{Error, Job, Kernel, Product, Result};

/// The drivers of the virtual machine's own devices.
const DRIVERS: [&str; 3] = ["virtio_pci", "virtio_blk", "virtio_net"];
/// Drivers of devices that a user of the lab may add, where the kernel has them.
const MORE_DRIVERS: [&str; 5] = ["ahci", "sd_mod", "nvme", "e1000e", "xhci_pci"];
/// The path of our module below the directory of a kernel's modules.
const OWN_MODULE: &str = "extra/kjump.ko";
/// The other names the program answers to.
const NAMES: [&str; 3] = ["kexec", "makedumpfile", "vmcore-dmesg"];

/// The path in a guest of the kernel that follows the first.
pub const NEXT_KERNEL: &str = "/boot/next";
/// The path in a guest of the root file system of the kernel that follows the first.
pub const NEXT_INITRD: &str = "/boot/next.cpio";

/// Writes the root file system, with that of the next kernel in it if there is a successor.
pub(crate) fn write(vm: &Vm, job: &Job, file: &Path) -> Result<()> {
    let mut tree = build(vm, job)?;
    if let Some(next) = &vm.successor {
        let archive = file.with_extension("next.cpio");
        build(&vm.as_successor(), next)?.write(&archive)?;
        let bytes = std::fs::read(&archive).map_err(Error::file("read", &archive))?;
        tree.bytes(NEXT_INITRD, 0o600, bytes);
        std::fs::remove_file(&archive).map_err(Error::file("remove", &archive))?;
        tree.host_file(NEXT_KERNEL, &vm.successor_kernel().image())?;
    }
    tree.write(file)
}

fn build(vm: &Vm, job: &Job) -> Result<Tree> {
    let mut tree = Tree::default();
    base(&mut tree);
    busybox(&mut tree, &vm.kit.busybox)?;
    tree.host_file("/init", &vm.kit.agent)?;
    tree.link("/bin/complaints", "/init");
    let drivers = drivers_of(&vm.kernel, &vm.drivers)?;
    modules(&mut tree, &vm.kernel, &vm.product, &drivers)?;
    tree.bytes("/lab/modules", 0o600, loading_order(vm, &drivers));
    for (kernel, product) in &vm.peers {
        peer(&mut tree, vm, kernel, product)?;
    }
    product(&mut tree, vm)?;
    job.add_to(&mut tree);
    tree.bytes("/lab/disks", 0o600, vm.disks.len().to_string());
    for (host, guest) in &vm.files {
        tree.host_file(guest, host)?;
    }
    Ok(tree)
}

fn base(tree: &mut Tree) {
    for name in ["/proc", "/sys", "/dev", "/run", "/mnt", "/var", "/etc", "/lib/modules"] {
        tree.directory(name, 0o755);
    }
    tree.directory("/root", 0o700);
    tree.directory("/tmp", 0o1777);
    // The kernel opens the console for the first process before /dev is mounted.
    tree.device("/dev/console", 5, 1);
    tree.bytes("/etc/passwd", 0o644, "root:x:0:0:root:/root:/bin/sh\n");
    tree.bytes("/etc/group", 0o644, "root:x:0:\n");
    tree.bytes("/etc/hosts", 0o644, "127.0.0.1 localhost\n");
    // The name server of QEMU's user network.
    tree.bytes("/etc/resolv.conf", 0o644, "nameserver 10.0.2.3\n");
    tree.link("/etc/mtab", "/proc/mounts");
    tree.bytes("/lib/lab.sh", 0o644, include_str!("lab.sh"));
}

fn busybox(tree: &mut Tree, program: &Path) -> Result<()> {
    let list = Command::new(program).arg("--list-full").output();
    let list = list.map_err(|source| Error::Spawn { program: program.display().to_string(), source })?;
    for name in String::from_utf8_lossy(&list.stdout).lines() {
        tree.link(&format!("/{name}"), "/bin/busybox");
    }
    tree.host_file("/bin/busybox", program)
}

fn drivers_of(kernel: &Kernel, more: &[String]) -> Result<Vec<Driver>> {
    let all = Drivers::of(kernel)?;
    let there = MORE_DRIVERS.iter().filter(|name| all.has(name));
    let wanted: Vec<String> =
        DRIVERS.iter().chain(there).map(|name| (*name).to_owned()).chain(more.iter().cloned()).collect();
    all.with_dependencies(&wanted)
}

/// The drivers and the modules built for the kernel, where modprobe finds them.
fn modules(tree: &mut Tree, kernel: &Kernel, product: &Product, drivers: &[Driver]) -> Result<()> {
    let root = module_directory(kernel);
    for driver in drivers {
        tree.bytes(&format!("{root}/{}", driver.file), 0o644, driver.bytes.as_slice());
    }
    let mut dependencies = drivers::dependency_file(drivers);
    if let Some(module) = &product.module {
        tree.host_file(&format!("{root}/{OWN_MODULE}"), module)?;
        dependencies += &format!("{OWN_MODULE}:\n");
    }
    if let Some(sample) = &product.sample {
        tree.host_file(&format!("{root}/extra/kjump_sample.ko"), sample)?;
        dependencies += &format!("extra/kjump_sample.ko: {OWN_MODULE}\n");
    }
    if let Some(tests) = &product.test_modules {
        for name in ["kjump_nmi.ko", "kjump_refuse.ko"] {
            tree.host_file(&format!("{root}/extra/{name}"), &tests.join(name))?;
            dependencies += &format!("extra/{name}:\n");
        }
    }
    tree.bytes(&format!("{root}/modules.dep"), 0o644, dependencies);
    for name in ["modules.builtin", "modules.order"] {
        tree.host_file(&format!("{root}/{name}"), &kernel.modules().join(name))?;
    }
    Ok(())
}

fn module_directory(kernel: &Kernel) -> String {
    format!("/lib/modules/{}", kernel.release)
}

/// The list of modules that the agent loads.
fn loading_order(vm: &Vm, drivers: &[Driver]) -> String {
    let own = (vm.load_module && vm.product.module.is_some()).then_some(OWN_MODULE);
    let files = drivers.iter().map(|driver| driver.file.as_str()).chain(own);
    files.map(|file| format!("{}/{file}\n", module_directory(&vm.kernel))).collect()
}

/// A kernel to boot from the running one, as if its packages were installed.
fn peer(tree: &mut Tree, vm: &Vm, kernel: &Kernel, product: &Product) -> Result<()> {
    tree.directory("/boot", 0o755);
    tree.host_file(&format!("/boot/vmlinuz-{}", kernel.release), &kernel.image())?;
    if kernel.release == vm.kernel.release {
        return Ok(());
    }
    modules(tree, kernel, product, &drivers_of(kernel, &vm.drivers)?)
}

fn product(tree: &mut Tree, vm: &Vm) -> Result<()> {
    if let Some(kjump) = &vm.product.kjump {
        tree.host_file("/sbin/kjump", kjump)?;
        for name in NAMES {
            tree.link(&format!("/sbin/{name}"), "kjump");
        }
    }
    if let Some(payloads) = &vm.product.payloads {
        tree.host_file("/lib/kjump/payloads", payloads)?;
    }
    for program in &vm.product.instruments {
        let name = program.file_name().unwrap_or_default().to_string_lossy();
        tree.host_file(&format!("/usr/bin/{name}"), program)?;
    }
    Ok(())
}
