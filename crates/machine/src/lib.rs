//! Facts about the machine, read from `/proc` and `/sys` under a given root directory.
//!
//! [`Machine::probe`] reads everything at once and decides nothing: a [`Fact`] that could not be
//! read names the file that would contain it. The parsers are pure functions of a text, and no text
//! is trusted.
//!
//! | module | reads |
//! |---|---|
//! | [`iomem`] | `/proc/iomem` |
//! | [`firmware_map`] | `/sys/firmware/memmap` |
//! | [`boot_data`] | `/sys/kernel/boot_params/data`: the parameters the kernel was booted with |
//! | [`boot_entries`] | `/boot` and the like: the boot loader's menu; not by [`Machine::probe`] |
//! | [`crash_notes`] | `/sys/kernel/vmcoreinfo` and `crash_notes`: the addresses of the kernel's notes |
//! | [`drivers`] | drivers, their devices, network links; not by [`Machine::probe`] |
//! | [`efi`] | `/sys/firmware/efi`: what a kernel started by kexec needs of EFI |
//! | [`config`] | the kernel's configuration, in the places where distributions install it |
//! | [`kernel`] | release, command line, lockdown, secure boot, switches |
//! | [`kexec`] | `/sys/kernel/kexec_*`: what is loaded, and the memory reserved for crash kernels |
//! | [`network`] | the names of network interfaces; not by [`Machine::probe`] |
//! | [`page_flags`] | the use of each page frame; not by [`Machine::probe`], since it takes time |
//! | [`process`] | the privileges of this process |
//! | [`bios`] | what calls of the BIOS depend on; not by [`Machine::probe`] |
//! | [`amounts`] | `/proc/meminfo` |
//! | [`cpu`] | `/proc/cpuinfo` |
//! | [`suspend_stats`] | why a suspend failed; not by [`Machine::probe`] |
//! | [`encryption`] | whether memory is encrypted |
//! | [`xen`] | whether the kernel runs under Xen |
//! | [`module`] | kjump's own module: loaded, installed, or whether it can be built |
#![forbid(unsafe_code)]

pub mod amounts;
pub mod bios;
pub mod boot_data;
pub mod boot_entries;
pub mod config;
pub mod cpu;
pub mod crash_notes;
pub mod disk;
pub mod drivers;
pub mod efi;
pub mod encryption;
mod fact;
pub mod firmware_map;
pub mod iomem;
pub mod kernel;
pub mod kexec;
pub mod module;
pub mod network;
pub mod page_flags;
pub mod planning;
pub mod process;
mod root;
mod snapshot;
pub mod suspend_stats;
pub mod xen;

use std::path::Path;

pub use fact::{Error, Fact, Garbled};
use root::Root;
pub use snapshot::Snapshot;

/// Everything that is read about a machine.
#[derive(Debug)]
pub struct Machine {
    /// The kernel's release, as in `6.1.0-35-cloud-amd64`.
    pub release: Fact<String>,
    /// The command line the kernel was booted with.
    pub command_line: Fact<Vec<u8>>,
    /// How the kernel was configured.
    pub config: Fact<config::Config>,
    /// How far the kernel restricts root.
    pub lockdown: Fact<kernel::Lockdown>,
    /// Whether the firmware checks what it boots.
    pub secure_boot: Fact<kernel::SecureBoot>,
    /// `kernel.kexec_load_disabled`.
    pub load_disabled: Fact<bool>,
    /// `kernel.kexec_load_limit_reboot` (6.3): the number of loads left, -1 for no limit.
    pub load_limit_reboot: Fact<i64>,
    /// `kernel.kexec_load_limit_panic` (6.3): likewise for crash kernels.
    pub load_limit_panic: Fact<i64>,
    /// Whether a kernel is loaded to be started by `kexec -e`.
    pub kexec_loaded: Fact<bool>,
    /// Whether a crash kernel is loaded.
    pub kexec_crash_loaded: Fact<bool>,
    /// Bytes of memory reserved for crash kernels, 0 if none is.
    pub kexec_crash_size: Fact<u64>,
    /// Bytes that a kernel of 6.6 or newer wants for an elfcorehdr that it can rewrite.
    pub crash_elfcorehdr_size: Fact<u64>,
    /// Whether the kernel refuses modules that are not signed.
    pub signatures_enforced: Fact<bool>,
    /// The map of physical memory.
    pub memory: Fact<iomem::MemoryMap>,
    /// The firmware's memory map at boot.
    pub firmware_map: Fact<Vec<firmware_map::FirmwareRange>>,
    /// The boot parameters that a next kernel needs too.
    pub boot_data: Fact<boot_data::BootData>,
    /// The addresses of the kernel's notes for another kernel.
    pub crash_notes: Fact<crash_notes::CrashNotes>,
    /// EFI's tables and the memory of its runtime services; `None` if the machine was not booted by
    /// EFI.
    pub efi: Fact<Option<plan::Efi>>,
    /// The kernel's setup_data.
    pub setup_data: Fact<Vec<plan::SetupData>>,
    /// The amounts of memory.
    pub amounts: Fact<amounts::Amounts>,
    /// The capabilities of this process.
    pub capabilities: Fact<process::Capabilities>,
    /// Whether this process is in the first user namespace, where capabilities count for the whole
    /// machine.
    pub first_namespace: Fact<bool>,
    /// The features and the number of CPUs.
    pub cpu: Fact<cpu::Cpu>,
    /// Whether memory is encrypted.
    pub encryption: encryption::Encryption,
    /// Whether the kernel runs under Xen.
    pub xen: Fact<xen::Xen>,
    /// Whether kjump's module is loaded.
    pub module_loaded: bool,
    /// The file of kjump's module for this kernel, if it is installed.
    pub module_file: Fact<Option<module::ModuleFile>>,
    /// What is missing for building the module for this kernel.
    pub missing_to_build: Vec<module::Missing>,
    /// kjump's own packages.
    pub packages: module::Packages,
    /// Whether there is a `/dev/kjump`.
    pub device_node: bool,
}

impl Machine {
    /// Reads all facts under a root directory, `/` for the machine itself.
    #[must_use]
    pub fn probe(root: &Path) -> Self {
        Self::read(&Root::new(root))
    }

    /// The same, and a recording for [`replay`](Self::replay).
    #[must_use]
    pub fn record(root: &Path) -> (Self, Snapshot) {
        let root = Root::recording(root);
        let machine = Self::read(&root);
        (machine, root.into_record())
    }

    /// Reads all facts from a recording.
    #[must_use]
    pub fn replay(snapshot: Snapshot) -> Self {
        Self::read(&Root::saved(snapshot))
    }

    fn read(root: &Root) -> Self {
        let release = kernel::release(root);
        let command_line = kernel::read_command_line(root);
        let config = config::find(root, release.as_deref().ok());
        let cpu = root.parse("/proc/cpuinfo", cpu::parse);
        Self {
            lockdown: root.parse("/sys/kernel/security/lockdown", kernel::parse_lockdown),
            secure_boot: kernel::secure_boot(root),
            load_disabled: root.parse("/proc/sys/kernel/kexec_load_disabled", kernel::parse_switch),
            load_limit_reboot: root.parse("/proc/sys/kernel/kexec_load_limit_reboot", kernel::parse_limit),
            load_limit_panic: root.parse("/proc/sys/kernel/kexec_load_limit_panic", kernel::parse_limit),
            kexec_loaded: kexec::read_loaded(root),
            kexec_crash_loaded: kexec::read_crash_loaded(root),
            kexec_crash_size: kexec::read_crash_size(root),
            crash_elfcorehdr_size: kexec::read_elfcorehdr_size(root),
            signatures_enforced: root
                .parse("/sys/module/module/parameters/sig_enforce", kernel::parse_switch),
            memory: root.parse("/proc/iomem", iomem::parse),
            firmware_map: firmware_map::read(root),
            boot_data: boot_data::read(root),
            crash_notes: crash_notes::read(root),
            efi: efi::read(root),
            setup_data: boot_data::read_setup_data(root),
            amounts: root.parse("/proc/meminfo", amounts::parse),
            capabilities: root.parse("/proc/self/status", process::parse_status),
            first_namespace: root.parse("/proc/self/uid_map", process::parse_uid_map),
            encryption: encryption::find(
                root,
                cpu.as_ref().ok(),
                command_line.as_deref().ok().map(String::from_utf8_lossy).as_deref(),
                config.as_ref().ok(),
            ),
            xen: xen::find(root),
            module_loaded: module::is_loaded(root),
            module_file: module::find_file(root, release.as_deref().ok()),
            missing_to_build: module::missing_to_build(root, release.as_deref().ok()),
            packages: module::packages(root),
            device_node: root.has("/dev/kjump"),
            release,
            command_line,
            config,
            cpu,
        }
    }
}
