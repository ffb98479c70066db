//! Programs that tasks need on this machine: found, or installed by apt as root, or named in the
//! error.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::program;

/// A program, library or other file that a task needs on this machine, and its Debian package.
struct Need {
    thing: Thing,
    package: &'static str,
}

enum Thing {
    Program(&'static str),
    Library(&'static str),
    File(&'static str),
}

const fn program(name: &'static str, package: &'static str) -> Need {
    Need { thing: Thing::Program(name), package }
}

const LAB: &[Need] = &[
    program("qemu-system-x86_64", "qemu-system-x86"),
    program("gcc", "gcc"),
    // For the disks of stories.
    program("mke2fs", "e2fsprogs"),
    // The agent and kjump are static binaries.
    Need { thing: Thing::Library("libc.a"), package: "libc6-dev" },
];

/// Bochs, and the CD that it boots from.
const BOCHS: &[Need] = &[
    program("bochs", "bochs"),
    Need { thing: Thing::Library("bochs/plugins/libbx_term_gui.so"), package: "bochs-term" },
    Need { thing: Thing::File("/usr/share/bochs/BIOS-bochs-latest"), package: "bochsbios" },
    Need { thing: Thing::File("/usr/share/vgabios/vgabios.bin"), package: "vgabios" },
    program("grub-mkrescue", "grub-common"),
    Need { thing: Thing::File("/usr/lib/grub/i386-pc/cdboot.img"), package: "grub-pc-bin" },
    program("xorriso", "xorriso"),
    program("mformat", "mtools"),
];

const MODULE: &[Need] = &[
    // The headers of the release's kernels name this compiler; for later ones see `toolchain`.
    program("gcc-12", "gcc-12"),
    program("x86_64-linux-gnu-gcc-12", "gcc-12"),
    program("make", "make"),
    program("as", "binutils"),
    program("ld", "binutils"),
    program("nm", "binutils"),
    program("objcopy", "binutils"),
    program("objdump", "binutils"),
    program("bash", "bash"),
    program("perl", "perl"),
    // The kernel's objtool and modpost are linked against it.
    Need { thing: Thing::Library("libelf.so.1"), package: "libelf1" },
];

/// libFuzzer is C++.
const FUZZING: &[Need] = &[program("c++", "g++")];

/// Programs that read dumps.
const READERS: &[Need] = &[
    program("crash", "crash"),
    program("drgn", "python3-drgn"),
    Need { thing: Thing::Library("libkdumpfile.so.10"), package: "python3-libkdumpfile" },
];

/// Installs the programs that read dumps.
///
/// # Errors
/// Something is missing and cannot be installed; the message contains the command that installs it.
pub(crate) fn for_readers() -> Result<()> {
    have(READERS)
}

const PACKAGES: &[Need] = &[program("lintian", "lintian"), program("dpkg-deb", "dpkg")];

const DEBIAN_IMAGE: &[Need] = &[
    program("mmdebstrap", "mmdebstrap"),
    program("mke2fs", "e2fsprogs"),
    program("sfdisk", "fdisk"),
    program("qemu-img", "qemu-utils"),
];

const SECURE_BOOT: &[Need] = &[program("openssl", "openssl"), program("mformat", "mtools")];

/// Installs what makes keys and an EFI system partition.
///
/// # Errors
/// Something is missing and cannot be installed; the message contains the command that installs it.
pub(crate) fn for_secure_boot() -> Result<()> {
    have(SECURE_BOOT)
}

/// What checking Debian packages needs.
///
/// # Errors
/// Something is missing and cannot be installed; the message contains the command that installs it.
pub(crate) fn for_packages() -> Result<()> {
    have(PACKAGES)
}

/// What making a Debian system in a directory needs.
///
/// # Errors
/// Something is missing and cannot be installed; the message contains the command that installs it.
pub(crate) fn for_debian_image() -> Result<()> {
    have(DEBIAN_IMAGE)
}

/// Installs what a virtual machine needs.
///
/// # Errors
/// Something is missing and cannot be installed; the message contains the command that installs it.
pub(crate) fn for_lab() -> Result<()> {
    have(LAB)
}

/// Installs what a machine under Bochs needs in addition.
///
/// # Errors
/// Something is missing and cannot be installed; the message contains the command that installs it.
pub(crate) fn for_bochs() -> Result<()> {
    have(BOCHS)
}

/// Installs what building a kernel module needs.
///
/// # Errors
/// Something is missing and cannot be installed; the message contains the command that installs it.
pub(crate) fn for_module() -> Result<()> {
    have(MODULE)
}

/// Installs what building a fuzz target needs.
///
/// # Errors
/// Something is missing and cannot be installed; the message contains the command that installs it.
pub(crate) fn for_fuzzing() -> Result<()> {
    have(FUZZING)
}

fn have(needs: &[Need]) -> Result<()> {
    let absent = missing(needs);
    if absent.is_empty() {
        return Ok(());
    }
    if !is_root() {
        // One command for all tasks, so that it need not be repeated.
        let all = missing(LAB.iter().chain(MODULE).chain(FUZZING));
        bail!(
            "packages are missing; install them with\n    sudo apt-get install --no-install-recommends {}",
            all.join(" ")
        );
    }
    let _lock = crate::tree::lock("packages")?;
    install(&absent)
}

fn missing<'a>(needs: impl IntoIterator<Item = &'a Need>) -> Vec<&'static str> {
    let mut packages: Vec<_> =
        needs.into_iter().filter(|need| !need.thing.is_here()).map(|need| need.package).collect();
    packages.sort_unstable();
    packages.dedup();
    packages
}

impl Thing {
    fn is_here(&self) -> bool {
        match self {
            Self::Program(name) => program::find(name).is_some(),
            Self::File(path) => Path::new(path).exists(),
            Self::Library(name) => {
                ["/usr/lib/x86_64-linux-gnu", "/lib/x86_64-linux-gnu", "/usr/lib64", "/usr/lib"]
                    .iter()
                    .any(|place| Path::new(place).join(name).exists())
            }
        }
    }
}

fn install(packages: &[&str]) -> Result<()> {
    eprintln!("installing {}", packages.join(" "));
    if apt_install(packages).is_err() {
        // The machine's package lists may be missing or old.
        program::quiet(Command::new("apt-get").arg("update"))?;
        apt_install(packages).context("apt-get cannot install the missing packages")?;
    }
    Ok(())
}

fn apt_install(packages: &[&str]) -> Result<()> {
    let mut command = Command::new("apt-get");
    command.args(["install", "--yes", "--no-install-recommends"]).args(packages);
    program::quiet(command.env("DEBIAN_FRONTEND", "noninteractive")).map(drop)
}

/// The owner of /proc/self is the effective user.
pub(crate) fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|entry| entry.uid() == 0)
}
