//! Programs of the machine that tasks need: found, installed by apt where we are root, else asked for.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::program;

/// Something a task needs on the machine, and the Debian package that brings it.
struct Need {
    thing: Thing,
    package: &'static str,
}

enum Thing {
    Program(&'static str),
    Library(&'static str),
}

const fn program(name: &'static str, package: &'static str) -> Need {
    Need { thing: Thing::Program(name), package }
}

const LAB: &[Need] = &[
    program("qemu-system-x86_64", "qemu-system-x86"),
    program("gcc", "gcc"),
    // Stories have disks with file systems.
    program("mke2fs", "e2fsprogs"),
    // The agent and kjump are static binaries.
    Need { thing: Thing::Library("libc.a"), package: "libc6-dev" },
];

const MODULE: &[Need] = &[
    // Both kernels' headers name this compiler.
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
    // The kernel's objtool and modpost are linked to it.
    Need { thing: Thing::Library("libelf.so.1"), package: "libelf1" },
];

/// libFuzzer is C++.
const FUZZING: &[Need] = &[program("c++", "g++")];

/// Those who read dumps.
const READERS: &[Need] = &[
    program("crash", "crash"),
    program("drgn", "python3-drgn"),
    Need { thing: Thing::Library("libkdumpfile.so.10"), package: "python3-libkdumpfile" },
];

/// What reads dumps besides ours.
///
/// # Errors
/// Something is missing and cannot be installed; the message holds the command that installs it.
pub(crate) fn for_readers() -> Result<()> {
    have(READERS)
}

const PACKAGES: &[Need] = &[program("lintian", "lintian"), program("dpkg-deb", "dpkg")];

const DEBIAN_IMAGE: &[Need] = &[program("mmdebstrap", "mmdebstrap")];

/// What checking Debian packages needs.
///
/// # Errors
/// Something is missing and cannot be installed; the message holds the command that installs it.
pub(crate) fn for_packages() -> Result<()> {
    have(PACKAGES)
}

/// What making a Debian system in a directory needs.
///
/// # Errors
/// Something is missing and cannot be installed; the message holds the command that installs it.
pub(crate) fn for_debian_image() -> Result<()> {
    have(DEBIAN_IMAGE)
}

/// What a virtual machine needs.
///
/// # Errors
/// Something is missing and cannot be installed; the message holds the command that installs it.
pub(crate) fn for_lab() -> Result<()> {
    have(LAB)
}

/// What building a kernel module needs.
///
/// # Errors
/// Something is missing and cannot be installed; the message holds the command that installs it.
pub(crate) fn for_module() -> Result<()> {
    have(MODULE)
}

/// What building a fuzz target needs.
///
/// # Errors
/// Something is missing and cannot be installed; the message holds the command that installs it.
pub(crate) fn for_fuzzing() -> Result<()> {
    have(FUZZING)
}

fn have(needs: &[Need]) -> Result<()> {
    let absent = missing(needs);
    if absent.is_empty() {
        return Ok(());
    }
    if !is_root() {
        // One command for all tasks, rather than one after the other.
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
        apt_install(packages).context("apt-get could not install what is missing")?;
    }
    Ok(())
}

fn apt_install(packages: &[&str]) -> Result<()> {
    let mut command = Command::new("apt-get");
    command.args(["install", "--yes", "--no-install-recommends"]).args(packages);
    program::quiet(command.env("DEBIAN_FRONTEND", "noninteractive")).map(drop)
}

/// The owner of our own /proc entry is who we run as.
fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|entry| entry.uid() == 0)
}
