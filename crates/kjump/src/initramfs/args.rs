//! The arguments of `kjump initramfs`.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use clap::{Args, ValueEnum, ValueHint};

use crate::terminal::number;

/// Where distributions install busybox.
const BUSYBOX: &str = "/bin/busybox";

/// Build a small initramfs: kjump, its module, drivers, busybox and one command
///
/// Contains this program under all its names, kjump.ko, the requested drivers with their
/// dependencies, and an init that loads them in order, waits for the disk, and runs COMMAND. If
/// COMMAND succeeds, init returns to the kernel that jumped here (`kjump return 0`), and does so
/// again after each switch to this kernel; if no kernel jumped here, it powers off. If COMMAND
/// fails, the kernel panics. Without COMMAND, init returns once the drivers are loaded. The same
/// input makes the same bytes.
#[derive(Debug, Args)]
pub(crate) struct InitramfsArgs {
    /// File to write; only its owner can read it
    #[arg(long, short, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) output: PathBuf,
    /// Version of the kernel it is for, as `uname -r` prints it
    #[arg(long, value_name = "VERSION", value_parser = version)]
    pub(crate) kernel_version: String,
    /// A file or directory to add; repeatable
    #[arg(long, value_name = "HOST:GUEST", value_parser = number::os(pair))]
    pub(crate) add: Vec<Pair>,
    /// A driver to load, by the name of its module; repeatable. Built-in drivers need no loading
    #[arg(long, value_name = "NAME")]
    pub(crate) driver: Vec<String>,
    /// Wait until this disk exists, and pass its device to COMMAND as $DISK
    #[arg(long, value_name = "LABEL=L|UUID=U|/dev/NAME|first", value_parser = disk)]
    pub(crate) disk: Option<Disk>,
    /// Instead of a command, write the memory of a kernel that `kjump hibernate` put to rest to its
    /// disk, which is found by itself. On any failure, that kernel goes on
    #[arg(long, conflicts_with_all = ["disk", "command"])]
    pub(crate) hibernate: bool,
    /// Compression
    #[arg(long, value_enum, value_name = "CODEC", default_value_t)]
    pub(crate) compress: InitramfsCodec,
    /// Directory of the kernel's modules, with modules.dep [default: /lib/modules/VERSION]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) module_dir: Option<PathBuf>,
    /// kjump.ko for that kernel, if it is not among its modules
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) module: Option<PathBuf>,
    /// A static busybox, as in Debian's package busybox-static
    #[arg(long, value_name = "FILE", default_value = BUSYBOX, value_hint = ValueHint::FilePath)]
    pub(crate) busybox: PathBuf,
    /// A static kjump [default: this program]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) program: Option<PathBuf>,
    /// The command and its arguments
    #[arg(last = true, value_name = "COMMAND")]
    pub(crate) command: Vec<OsString>,
}

impl InitramfsArgs {
    /// For the kernel of this release, with these drivers, other files of the host, and no command.
    pub(crate) fn of_host(release: &str, driver: Vec<String>, add: Vec<Pair>) -> Self {
        Self {
            output: PathBuf::new(),
            kernel_version: release.to_owned(),
            add,
            driver,
            disk: None,
            hibernate: false,
            compress: InitramfsCodec::Zstd,
            module_dir: None,
            module: None,
            busybox: PathBuf::from(BUSYBOX),
            program: None,
            command: Vec::new(),
        }
    }
}

/// The compression of an initramfs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum InitramfsCodec {
    /// zstd, which kernels since 5.9 can be built to read
    #[default]
    Zstd,
    /// gzip, which nearly all kernels read
    Gzip,
    /// No compression
    None,
}

/// The disk that the command is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Disk {
    /// The first one in the order of names.
    First,
    /// This device.
    Device(String),
    /// The one with this LABEL= or UUID=.
    Tagged(String),
}

/// Parses the name of a disk.
pub(crate) fn disk(word: &str) -> Result<Disk, String> {
    let tag =
        word.split_once('=').filter(|(kind, name)| ["LABEL", "UUID"].contains(kind) && !name.is_empty());
    match word {
        "first" => Ok(Disk::First),
        _ if tag.is_some() => Ok(Disk::Tagged(word.to_owned())),
        _ if word.strip_prefix("/dev/").is_some_and(|name| !name.is_empty()) => {
            Ok(Disk::Device(word.to_owned()))
        }
        _ => Err("expected LABEL=..., UUID=..., /dev/... or first".into()),
    }
}

/// Parses a kernel's version, which is the name of a directory.
pub(crate) fn version(word: &str) -> Result<String, String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._+-~".contains(&byte);
    if word.starts_with(|first: char| first.is_ascii_digit()) && word.bytes().all(plain) {
        Ok(word.to_owned())
    } else {
        Err("expected a version as printed by `uname -r`, such as 6.1.0-35-amd64".into())
    }
}

/// A file or directory of the host, and its path in the guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pair {
    pub(super) host: PathBuf,
    pub(super) guest: String,
}

/// Parses `HOST:GUEST`. A path of the guest that ends in `/` is a directory to put the file into.
pub(crate) fn pair(word: &OsStr) -> Result<Pair, String> {
    let wrong = || format!("{word:?} is not HOST:GUEST with an absolute path of the guest");
    let colon = word.as_bytes().iter().rposition(|byte| *byte == b':').ok_or_else(wrong)?;
    let host = PathBuf::from(OsStr::from_bytes(&word.as_bytes()[..colon]));
    let guest = std::str::from_utf8(&word.as_bytes()[colon + 1..]).map_err(|_| wrong())?;
    let name = host.file_name().ok_or_else(wrong)?.to_str().ok_or_else(wrong)?;
    let guest = if guest.ends_with('/') { format!("{guest}{name}") } else { guest.to_owned() };
    let sound = guest
        .strip_prefix('/')
        .is_some_and(|path| !path.split('/').any(|part| matches!(part, "" | "." | "..")));
    if sound { Ok(Pair { host, guest }) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_is_split_at_its_last_colon() {
        let found = |word: &str| pair(OsStr::new(word)).map(|pair| (pair.host, pair.guest));
        assert_eq!(found("a:b:/c"), Ok(("a:b".into(), "/c".into())));
        assert_eq!(found("x/a.txt:/etc/"), Ok(("x/a.txt".into(), "/etc/a.txt".into())));
        for word in ["a", "a:b", ":/b", "a:", "a:/b/../c", "a://b", "..:/b"] {
            assert!(found(word).is_err(), "{word}");
        }
    }

    #[test]
    fn a_disk_is_named_in_four_ways() {
        assert_eq!(disk("first"), Ok(Disk::First));
        assert_eq!(disk("/dev/vda"), Ok(Disk::Device("/dev/vda".into())));
        assert_eq!(disk("LABEL=a=b"), Ok(Disk::Tagged("LABEL=a=b".into())));
        for word in ["", "vda", "LABEL=", "NAME=x", "/dev/", "second"] {
            assert!(disk(word).is_err(), "{word}");
        }
    }

    #[test]
    fn a_version_cannot_name_another_directory() {
        assert!(version("6.1.0-35-cloud-amd64").is_ok());
        for word in ["", "..", "6.1/../../x", "/6.1", "6.1 x", "6.1'"] {
            assert!(version(word).is_err(), "{word}");
        }
    }
}
