//! The description of a virtual machine.

use std::path::PathBuf;
use std::time::Duration;

use crate::{Error, Job, Kernel, Kit, Product, Result};

/// One thread of the host for all CPUs. With one thread each, QEMU before 8.1 has a race between a
/// CPU that patches code and another that is translating it, and kernels die of a stray breakpoint.
/// Where the host has fewer idle CPUs than the guest has, a suspend also takes six times as long,
/// because CPUs spin while they wait for each other.
pub(crate) const ACCELERATOR: &str = "tcg,thread=single";

/// The machine model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Machine {
    /// QEMU's i440FX of 1996.
    #[default]
    Pc,
    /// QEMU's Q35 of 2009, with PCI Express.
    Q35,
    /// Bochs's i440FX: another interpreter of instructions, another BIOS. It has neither disks nor
    /// a network, takes a minute or two to boot, and needs a longer [`timeout`](Vm::timeout).
    Bochs,
}

/// A disk: a file of the host, and where writes to it are recorded.
#[derive(Clone, Debug)]
pub(crate) struct Disk {
    pub(crate) file: PathBuf,
    pub(crate) log: Option<PathBuf>,
}

/// A virtual machine: described by its methods, started by [`Vm::run`] or [`Vm::stream`]. It always
/// has a virtio network card. The command runs as root, after all drivers are loaded and all disks
/// have appeared.
#[derive(Clone, Debug)]
#[must_use]
pub struct Vm {
    pub(crate) kernel: Kernel,
    pub(crate) product: Product,
    pub(crate) peers: Vec<(Kernel, Product)>,
    pub(crate) kit: Kit,
    pub(crate) cpus: u32,
    pub(crate) mebibytes: u32,
    pub(crate) disks: Vec<Disk>,
    pub(crate) append: Vec<String>,
    pub(crate) files: Vec<(PathBuf, String)>,
    pub(crate) timeout: Duration,
    pub(crate) cpu: Option<String>,
    pub(crate) accelerator: String,
    pub(crate) machine: Machine,
    pub(crate) uefi: bool,
    pub(crate) load_module: bool,
    pub(crate) drivers: Vec<String>,
    pub(crate) arguments: Vec<String>,
    pub(crate) successor: Option<Job>,
    pub(crate) resumes: bool,
    pub(crate) power_cut: Option<String>,
}

impl Vm {
    /// One CPU, 512 MiB of memory, a limit of 300 s, no disk.
    pub fn new(kernel: Kernel, product: Product, kit: Kit) -> Self {
        Self {
            kernel,
            product,
            peers: Vec::new(),
            kit,
            cpus: 1,
            mebibytes: 512,
            disks: Vec::new(),
            append: Vec::new(),
            files: Vec::new(),
            timeout: Duration::from_secs(300),
            cpu: None,
            accelerator: ACCELERATOR.to_owned(),
            machine: Machine::default(),
            uefi: false,
            load_module: true,
            drivers: Vec::new(),
            arguments: Vec::new(),
            successor: None,
            resumes: false,
            power_cut: None,
        }
    }

    /// Adds a kernel to boot from the running one: `/boot/vmlinuz-RELEASE`, and its drivers and the
    /// module in `/lib/modules/RELEASE`, for `kjump initramfs`.
    pub fn with_peer(mut self, kernel: Kernel, product: Product) -> Self {
        self.peers.push((kernel, product));
        self
    }

    /// The number of CPUs.
    pub fn smp(mut self, cpus: u32) -> Self {
        self.cpus = cpus;
        self
    }

    /// The memory in MiB.
    pub fn mem(mut self, mebibytes: u32) -> Self {
        self.mebibytes = mebibytes;
        self
    }

    /// Adds a virtio disk with the content of a raw file of the host: `/dev/vda` and so on.
    pub fn disk(mut self, file: impl Into<PathBuf>) -> Self {
        self.disks.push(Disk { file: file.into(), log: None });
        self
    }

    /// The same, and records what is written to it in another file: see
    /// [`WriteLog`](crate::WriteLog).
    pub fn recorded_disk(mut self, file: impl Into<PathBuf>, log: impl Into<PathBuf>) -> Self {
        self.disks.push(Disk { file: file.into(), log: Some(log.into()) });
        self
    }

    /// Adds arguments to the kernel's command line.
    pub fn append(mut self, arguments: impl Into<String>) -> Self {
        self.append.push(arguments.into());
        self
    }

    /// Copies a file or directory of the host to a path of the guest.
    pub fn file(mut self, host: impl Into<PathBuf>, guest: impl Into<String>) -> Self {
        self.files.push((host.into(), guest.into()));
        self
    }

    /// The same, written `HOST:GUEST`.
    ///
    /// # Errors
    /// The text has another form.
    pub fn pair(self, given: &str) -> Result<Self> {
        let (host, guest) = pair(given)?;
        Ok(self.file(host, guest))
    }

    /// The time limit of the run, from the start of the machine.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// The CPU model, as QEMU names it, with its features, or as Bochs does. Otherwise `max`, or an
    /// i7-4770 on Bochs. An emulated CPU has no cmpxchg16b, which QEMU emulates wrongly, unless the
    /// features name `cx16`.
    pub fn cpu(mut self, cpu: impl Into<String>) -> Self {
        self.cpu = Some(cpu.into());
        self
    }

    /// The accelerator, as QEMU names it: `kvm`, or `tcg,thread=multi`.
    pub fn accel(mut self, accelerator: impl Into<String>) -> Self {
        self.accelerator = accelerator.into();
        self
    }

    /// The machine model.
    pub fn machine(mut self, machine: Machine) -> Self {
        self.machine = machine;
        self
    }

    /// Boots the kernel by UEFI instead of a BIOS.
    pub fn uefi(mut self) -> Self {
        self.uefi = true;
        self
    }

    /// Leaves loading the module to the command.
    pub fn without_module(mut self) -> Self {
        self.load_module = false;
        self
    }

    /// Adds a driver to load, by the name of its module.
    pub fn driver(mut self, name: impl Into<String>) -> Self {
        self.drivers.push(name.into());
        self
    }

    /// Adds an argument for QEMU.
    pub fn qemu(mut self, argument: impl Into<String>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// Has another kernel follow the first, by kexec or after a crash: the last one added by
    /// [`with_peer`](Self::with_peer), or else the same one. The guest gets it and a root file
    /// system with this job as [`NEXT_KERNEL`](crate::NEXT_KERNEL) and
    /// [`NEXT_INITRD`](crate::NEXT_INITRD). The first kernel's job ends when the agent of the next
    /// kernel begins to send, and the exit status is that of this job.
    pub fn successor(mut self, job: Job) -> Self {
        self.successor = Some(job);
        self
    }

    /// Lets a kernel of an earlier run go on in this one, resumed by the job: the exit status is
    /// then that of the earlier job.
    pub fn resumes(mut self) -> Self {
        self.resumes = true;
        self
    }

    /// Cuts the power soon after the kernel's log contains this text.
    pub fn power_cut_after(mut self, text: impl Into<String>) -> Self {
        self.power_cut = Some(text.into());
        self
    }

    /// The machine for the next kernel: the program and the drivers of the machine only.
    pub(crate) fn as_successor(&self) -> Self {
        let product = Product { kjump: self.product.kjump.clone(), ..Product::default() };
        let kernel = self.successor_kernel().clone();
        Self { kernel, product, peers: Vec::new(), files: Vec::new(), successor: None, ..self.clone() }
    }

    pub(crate) fn successor_kernel(&self) -> &Kernel {
        self.peers.last().map_or(&self.kernel, |(kernel, _)| kernel)
    }
}

/// Splits `HOST:GUEST`. A guest path that ends in `/` is a directory to put the file into.
///
/// # Errors
/// There is no colon, or the guest's path is not absolute.
fn pair(given: &str) -> Result<(PathBuf, String)> {
    let wrong = || Error::NotAPair { given: given.to_owned() };
    let (host, guest) = given.rsplit_once(':').ok_or_else(wrong)?;
    let host = PathBuf::from(host);
    let name = host.file_name().ok_or_else(wrong)?.to_string_lossy();
    let guest = if guest.ends_with('/') { format!("{guest}{name}") } else { guest.to_owned() };
    if guest.starts_with('/') { Ok((host, guest)) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_names_a_file_of_the_host_and_one_of_the_guest() {
        assert_eq!(pair("a/b.img:/disk").unwrap(), ("a/b.img".into(), "/disk".to_owned()));
        assert_eq!(pair("C:x:/disk").unwrap(), ("C:x".into(), "/disk".to_owned()));
    }

    #[test]
    fn a_guest_directory_keeps_the_file_name() {
        assert_eq!(pair("a/b.img:/root/").unwrap().1, "/root/b.img");
    }

    #[test]
    fn half_a_pair_is_refused() {
        for given in ["a", "a:b", ":/b", "a:"] {
            assert!(pair(given).is_err(), "{given}");
        }
    }
}
