//! Programs of Debian that kexec starts and that are not Linux: memtest86+, memdisk, GRUB, iPXE.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::debian::apt::{Archive, Suites};
use crate::{program, tree};

/// The packages with the programs, and GRUB's tool that makes an image.
const PACKAGES: &[&str] = &["memtest86+", "syslinux-common", "grub-pc-bin", "grub-common", "ipxe"];

/// Names for a guest, and paths in the packages.
const COPIED: &[(&str, &str)] = &[
    ("memtest", "boot/memtest86+x64.bin"),
    ("memdisk", "usr/lib/syslinux/memdisk"),
    ("ipxe", "boot/ipxe.lkrn"),
];

/// GRUB's modules.
const GRUB: &str = "usr/lib/grub/i386-pc";

/// The dynamic loader for GRUB's tool; links in the packages lead to the machine's own.
const LOADER: &str = "lib/x86_64-linux-gnu/ld-linux-x86-64.so.2";

/// What GRUB does first: it talks on the first serial port, and lists the memory map. Then it waits
/// for commands, unless there is one more.
const COMMANDS: &str = "serial --unit=0 --speed=115200
terminal_input serial
terminal_output serial
lsmmap
";

/// Disks with GRUB by their names for a guest, and its last command.
const DISKS: &[(&str, &str)] =
    &[("grub-waits", "terminal_input console\n"), ("grub-exits", "exit\n"), ("grub-restarts", "reboot\n")];

/// Bytes of such a disk.
const DISK: usize = 2 << 20;

/// The directory with them, fetched first if necessary.
///
/// # Errors
/// They cannot be fetched, or GRUB's image cannot be made.
pub(crate) fn directory() -> Result<PathBuf> {
    let has_all = |dir: &Path| DISKS.iter().all(|(name, _)| dir.join(name).exists());
    tree::made_once("loaders", has_all, |into| {
        let unpacked = into.with_extension("unpacked");
        tree::recreate(&unpacked)?;
        let archive = Archive::open(Suites::Stable)?;
        let is_library = |name: &str| name.starts_with("lib") || name == "zlib1g";
        archive.unpack(&archive.with_needs(PACKAGES, is_library)?, &unpacked)?;
        fs::create_dir_all(into)?;
        for (name, path) in COPIED {
            fs::copy(unpacked.join(path), into.join(name)).with_context(|| (*path).to_owned())?;
        }
        fs::write(into.join("grub"), grub(&unpacked, into, "lnxboot.img", "")?)?;
        for (name, last) in DISKS {
            let mut disk = grub(&unpacked, into, "boot.img", last)?;
            disk.resize(DISK.max(disk.len()), 0);
            fs::write(into.join(name), disk)?;
        }
        Ok(fs::remove_dir_all(&unpacked)?)
    })
}

/// GRUB's core with a few modules, and before it what loads it: `lnxboot.img`, for the form of a
/// kernel, or `boot.img`, for a disk.
fn grub(unpacked: &Path, work: &Path, first: &str, last: &str) -> Result<Vec<u8>> {
    let (commands, core) = (work.join("commands"), work.join("core"));
    fs::write(&commands, format!("{COMMANDS}{last}"))?;
    let libraries = ["lib", "usr/lib"].map(|lib| unpacked.join(lib).join("x86_64-linux-gnu"));
    let path = libraries.map(|path| path.display().to_string()).join(":");
    let mut make = Command::new(unpacked.join(LOADER));
    make.args(["--library-path", &path]).arg(unpacked.join("usr/bin/grub-mkimage"));
    make.args(["--format=i386-pc", "--prefix=/boot/grub", "--directory"]).arg(unpacked.join(GRUB));
    make.arg("--config").arg(&commands).arg("--output").arg(&core);
    program::quiet(make.args(["normal", "serial", "terminal", "lsmmap", "biosdisk", "minicmd", "reboot"]))?;
    let mut bytes = fs::read(unpacked.join(GRUB).join(first))?;
    bytes.extend(fs::read(&core)?);
    fs::remove_file(commands)?;
    fs::remove_file(core)?;
    Ok(bytes)
}
