//! Firmware with Secure Boot: UEFI variables with Microsoft's keys and an owner's key, and an EFI
//! system partition with Debian's signed shim and GRUB.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use super::apt::{self, Suites};
use super::{packages, programs};
use crate::program;

/// OVMF that has its variables in flash which only SMM can write; the variables' template has
/// Microsoft's keys, which Debian's shim is signed with.
const CODE: &str = "usr/share/OVMF/OVMF_CODE_4M.secboot.fd";
const VARIABLES: &str = "usr/share/OVMF/OVMF_VARS_4M.ms.fd";
/// Where the firmware and shim look for them, and where the packages have them.
const LOADERS: [(&str, &str); 2] = [
    ("EFI/BOOT/BOOTX64.EFI", "usr/lib/shim/shimx64.efi.signed"),
    ("EFI/BOOT/grubx64.efi", "usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed"),
];
/// The owner of the machine owner's key in its variable: any GUID.
const OWNER: &str = "5a1dc1a8-7cd7-4d0c-9d3c-3d1d5c0f3f44";
/// Bytes of the EFI system partition.
const PARTITION: u64 = 128 << 20;

/// Firmware and a disk to switch a machine on with.
pub(crate) struct SecureBoot {
    /// The firmware's code, which is not written to.
    pub(crate) code: PathBuf,
    /// Its variables.
    pub(crate) variables: PathBuf,
    /// A disk that is one EFI system partition.
    pub(crate) partition: PathBuf,
}

/// A key pair of a machine's owner, as DKMS makes and uses it.
pub(crate) struct OwnersKey {
    /// `mok.key`, PEM.
    pub(crate) private: PathBuf,
    /// `mok.pub`, a certificate in DER.
    pub(crate) certificate: PathBuf,
}

/// Makes a key pair in a directory.
///
/// # Errors
/// openssl is missing or fails.
pub(crate) fn owners_key(dir: &Path) -> Result<OwnersKey> {
    packages::for_secure_boot()?;
    let key = OwnersKey { private: dir.join("mok.key"), certificate: dir.join("mok.pub") };
    let mut openssl = Command::new("openssl");
    openssl.args(["req", "-new", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "36500"]);
    openssl.args(["-subj", "/CN=A machine's owner", "-outform", "DER", "-keyout"]).arg(&key.private);
    program::quiet(openssl.arg("-out").arg(&key.certificate))?;
    Ok(key)
}

impl SecureBoot {
    /// Firmware that trusts the owner's key as MokManager would have enrolled it, and that starts a
    /// kernel by shim and GRUB.
    ///
    /// # Errors
    /// A package cannot be had, or a program fails.
    pub(crate) fn new(
        dir: &Path,
        key: &OwnersKey,
        kernel: &Path,
        initrd: &Path,
        command_line: &str,
    ) -> Result<Self> {
        let ovmf = apt::unpacked(Suites::Stable, "ovmf", |_| Ok(vec!["ovmf".to_owned()]))?;
        let signed = apt::unpacked(Suites::Stable, "tools/secure-boot", |_| {
            Ok(["shim-signed", "grub-efi-amd64-signed"].map(str::to_owned).to_vec())
        })?;
        let variables = dir.join("variables");
        enroll(&ovmf.join(VARIABLES), &variables, key, dir)?;
        let partition = dir.join("efi");
        let config = dir.join("grub.cfg");
        fs::write(&config, format!("linux /vmlinuz {command_line}\ninitrd /initrd.img\nboot\n"))?;
        let loaders = LOADERS.map(|(to, from)| (to, signed.join(from)));
        let files = [
            ("EFI/debian/grub.cfg", config),
            ("vmlinuz", kernel.to_owned()),
            ("initrd.img", initrd.to_owned()),
        ];
        write_partition(&partition, loaders.iter().chain(&files).map(|(to, from)| (*to, from.as_path())))?;
        Ok(Self { code: ovmf.join(CODE), variables, partition })
    }
}

/// Copies a variable store with the owner's key added to MokList, which shim passes on.
fn enroll(template: &Path, store: &Path, key: &OwnersKey, dir: &Path) -> Result<()> {
    let pem = dir.join("mok.pem");
    let mut openssl = Command::new("openssl");
    openssl.args(["x509", "-inform", "DER", "-in"]).arg(&key.certificate).arg("-out").arg(&pem);
    program::quiet(&mut openssl)?;
    let mut add = programs::uefi_variables()?;
    add.arg("--input").arg(template).arg("--output").arg(store);
    program::quiet(add.args(["--secure-boot", "--add-mok", OWNER]).arg(pem)).map(drop)
}

/// Makes a FAT file system with these files.
fn write_partition<'a>(image: &Path, files: impl Iterator<Item = (&'a str, &'a Path)>) -> Result<()> {
    fs::File::create(image)?.set_len(PARTITION)?;
    let tool = |name: &str| {
        let mut tool = Command::new(name);
        tool.arg("-i").arg(image).env("MTOOLS_SKIP_CHECK", "1");
        tool
    };
    program::quiet(tool("mformat").args(["-F", "::"]))?;
    program::quiet(tool("mmd").args(["::EFI", "::EFI/BOOT", "::EFI/debian"]))?;
    for (to, from) in files {
        program::quiet(tool("mcopy").arg(from).arg(format!("::{to}"))).with_context(|| to.to_owned())?;
    }
    Ok(())
}
