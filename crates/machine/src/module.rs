//! kjump's own kernel module: whether it is loaded, installed, or can be built.

use crate::root::Root;
use crate::{Error, Fact};

/// The file names a module may have, compressed or not (`CONFIG_MODULE_COMPRESS`).
const NAMES: [&str; 4] = ["kjump.ko", "kjump.ko.xz", "kjump.ko.zst", "kjump.ko.gz"];
/// The directories for modules from outside of the kernel tree.
const DIRECTORIES: [&str; 3] = ["extra", "updates", "updates/dkms"];
/// The directories of programs.
const PROGRAMS: [&str; 3] = ["/usr/local/bin", "/usr/bin", "/bin"];

/// Where the module is installed for the running kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModuleFile {
    /// The path of the file.
    pub path: String,
    /// Whether `modprobe` finds it, that is, whether `depmod` has listed it.
    pub listed: bool,
}

/// Something that is missing to build the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// The headers of the running kernel.
    Headers,
    /// A program.
    Program(&'static str),
}

/// The packages of kjump that are installed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Packages {
    /// The program's, `kjump`.
    pub program: bool,
    /// The module's source, `kjump-dkms`.
    pub module: bool,
    /// They are RPM packages.
    pub by_rpm: bool,
    /// The certificate that DKMS signs modules with, [`DKMS_CERTIFICATE`].
    pub certificate: Certificate,
}

/// What is known of the certificate of DKMS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Certificate {
    /// There is none.
    #[default]
    Absent,
    /// It is not in the firmware's lists, or they cannot be read.
    Unknown,
    /// The firmware's lists had it at boot, so that the kernel trusts it.
    Enrolled,
}

/// The certificate of DKMS, for `mokutil --import` (dkms(8), Debian's `framework.conf`).
pub const DKMS_CERTIFICATE: &str = "/var/lib/dkms/mok.pub";
/// The certificates of the machine's owner, as shim passes them on (`MokVars.txt` of shim), and
/// those of the firmware (UEFI specification, 32.6.1).
const TRUSTED: [&str; 2] = [
    "/sys/firmware/efi/efivars/MokListRT-605dab50-e046-4300-abb6-3dd810dd8b23",
    "/sys/firmware/efi/efivars/db-d719b2cb-3d3a-4596-a3bc-dad00e67656f",
];

pub(crate) fn packages(root: &Root) -> Packages {
    // Where Debian's and where RPM packages have their licence.
    let by_dpkg = |name: &str| root.has(&format!("/usr/share/doc/{name}/copyright"));
    let by_rpm = |name: &str| root.has(&format!("/usr/share/licenses/{name}"));
    Packages {
        program: by_dpkg("kjump") || by_rpm("kjump"),
        module: by_dpkg("kjump-dkms") || by_rpm("kjump-dkms"),
        by_rpm: by_rpm("kjump"),
        certificate: certificate(root),
    }
}

fn certificate(root: &Root) -> Certificate {
    if !root.has(DKMS_CERTIFICATE) {
        return Certificate::Absent;
    }
    let Ok(certificate) = root.bytes(DKMS_CERTIFICATE) else { return Certificate::Unknown };
    let lists = TRUSTED.iter().filter_map(|list| root.bytes(list).ok());
    match lists.into_iter().any(|list| has_certificate(&list, &certificate)) {
        true => Certificate::Enrolled,
        false => Certificate::Unknown,
    }
}

/// Whether a list of signatures (`EFI_SIGNATURE_LIST`) has a certificate. The list contains the
/// bytes of the file.
fn has_certificate(list: &[u8], certificate: &[u8]) -> bool {
    !certificate.is_empty() && list.windows(certificate.len()).any(|part| part == certificate)
}

pub(crate) fn is_loaded(root: &Root) -> bool {
    root.has("/sys/module/kjump") || root.text("/proc/modules").is_ok_and(|text| names_module(&text))
}

/// Whether `/proc/modules` names the module.
#[must_use]
pub fn names_module(modules: &str) -> bool {
    modules.lines().any(|line| line.split(' ').next() == Some("kjump"))
}

pub(crate) fn find_file(root: &Root, release: Option<&str>) -> Fact<Option<ModuleFile>> {
    let Some(release) = release else {
        return Err(Error::Absent { path: "/proc/sys/kernel/osrelease".into() });
    };
    let folder = format!("/lib/modules/{release}");
    let listed = match root.text(&format!("{folder}/modules.dep")) {
        Ok(dependencies) => listed_path(&dependencies).map(|path| absolute(&folder, path)),
        Err(Error::Absent { .. }) => None,
        Err(error) => return Err(error),
    };
    if let Some(path) = listed.filter(|path| root.has(path)) {
        return Ok(Some(ModuleFile { path, listed: true }));
    }
    let places = DIRECTORIES.iter().flat_map(|inner| NAMES.map(|name| format!("{folder}/{inner}/{name}")));
    Ok(places.into_iter().find(|path| root.has(path)).map(|path| ModuleFile { path, listed: false }))
}

/// The path of the module in `modules.dep`, if it is there.
#[must_use]
pub fn listed_path(dependencies: &str) -> Option<&str> {
    let paths = dependencies.lines().filter_map(|line| Some(line.split_once(':')?.0));
    paths.into_iter().find(|path| path.rsplit('/').next().is_some_and(|name| NAMES.contains(&name)))
}

fn absolute(folder: &str, path: &str) -> String {
    if path.starts_with('/') { path.into() } else { format!("{folder}/{path}") }
}

pub(crate) fn missing_to_build(root: &Root, release: Option<&str>) -> Vec<Missing> {
    let headers = release.is_some_and(|release| root.has(&format!("/lib/modules/{release}/build/Makefile")));
    let mut missing = Vec::new();
    if !headers {
        missing.push(Missing::Headers);
    }
    let has = |program: &str| PROGRAMS.iter().any(|folder| root.has(&format!("{folder}/{program}")));
    let programs = ["make", "gcc", "ld", "rustc"].into_iter().filter(|program| !has(program));
    missing.extend(programs.map(Missing::Program));
    missing
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_is_found_by_its_full_name() {
        assert!(names_module("loop 40960 0 - Live 0x0\nkjump 45056 0 - Live 0x0 (OE)\n"));
        assert!(!names_module("kjump_sample 45056 0 - Live 0x0 (OE)\nother 1 1 kjump, Live 0x0\n"));
        assert!(!names_module(""));
    }

    #[test]
    fn a_certificate_is_found_in_a_list_of_them() {
        let list = b"\x06\0\0\0header, owner, 0\x82another, owner, 0\x82DKMS";
        assert!(has_certificate(list, b"0\x82DKMS"));
        assert!(!has_certificate(list, b"0\x82DKMS and more"));
        assert!(!has_certificate(b"", b"0\x82DKMS"));
        assert!(!has_certificate(list, b""));
    }

    #[test]
    fn a_module_is_listed_compressed_or_not_in_any_directory() {
        let list = "kernel/fs/fat.ko: \nextra/kjump.ko.xz: kernel/lib/crc.ko\n";
        assert_eq!(listed_path(list), Some("extra/kjump.ko.xz"));
        assert_eq!(listed_path("updates/kjump.ko:\n"), Some("updates/kjump.ko"));
        assert_eq!(listed_path("extra/kjump.ko.bak: \nextra/notkjump.ko: extra/kjump.ko\n"), None);
    }
}
