//! The arguments of `kjump initramfs`.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use clap::{Args, ValueEnum, ValueHint};

use crate::terminal::number;

/// Build a small initramfs: kjump, its module, drivers, busybox and one command
///
/// It holds this program under all its names, kjump.ko and the drivers asked for with what they
/// need, and a first process that loads them in order, waits for the disk asked for, and runs
/// COMMAND. When that has succeeded, it goes back to the kernel that jumped here by `kjump return
/// 0`, again each time it is switched to; where nobody jumped here, it powers off. When it fails,
/// the kernel panics. Without COMMAND, it goes back as soon as all drivers are loaded. The same
/// input makes the same bytes.
#[derive(Debug, Args)]
pub(crate) struct InitramfsArgs {
    /// File to write, readable by its owner only
    #[arg(long, short, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) output: PathBuf,
    /// Kernel it is for, as `uname -r` says it there
    #[arg(long, value_name = "VERSION", value_parser = version)]
    pub(crate) kernel_version: String,
    /// A file or folder to put into it; repeatable
    #[arg(long, value_name = "HOST:GUEST", value_parser = number::os(pair))]
    pub(crate) add: Vec<Pair>,
    /// A driver to load, by its module's name; repeatable. One that is built in needs no loading
    #[arg(long, value_name = "NAME")]
    pub(crate) driver: Vec<String>,
    /// Wait until this disk is there, and give its device to COMMAND as $DISK
    #[arg(long, value_name = "LABEL=L|UUID=U|/dev/NAME|first", value_parser = disk)]
    pub(crate) disk: Option<Disk>,
    /// How it is compressed
    #[arg(long, value_enum, value_name = "CODEC", default_value_t)]
    pub(crate) compress: InitramfsCodec,
    /// The kernel's modules, with modules.dep; without it, /lib/modules/VERSION
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) module_dir: Option<PathBuf>,
    /// kjump.ko for that kernel, if it is not among its modules
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) module: Option<PathBuf>,
    /// A static busybox; Debian's package busybox-static has one
    #[arg(long, value_name = "FILE", default_value = "/bin/busybox", value_hint = ValueHint::FilePath)]
    pub(crate) busybox: PathBuf,
    /// A static kjump; without it, this program
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) program: Option<PathBuf>,
    /// The command and its arguments
    #[arg(last = true, value_name = "COMMAND")]
    pub(crate) command: Vec<OsString>,
}

/// How an initramfs is compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum InitramfsCodec {
    /// By zstd, which kernels since 5.9 can be built to read
    #[default]
    Zstd,
    /// By gzip, which nearly all kernels read
    Gzip,
    /// Not at all
    None,
}

/// The disk that the command is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Disk {
    /// Whichever comes first by its name.
    First,
    /// This device.
    Device(String),
    /// The one with this LABEL= or UUID=.
    Tagged(String),
}

/// A disk as it is named on the command line.
pub(crate) fn disk(word: &str) -> Result<Disk, String> {
    let tag =
        word.split_once('=').filter(|(kind, name)| ["LABEL", "UUID"].contains(kind) && !name.is_empty());
    match word {
        "first" => Ok(Disk::First),
        _ if tag.is_some() => Ok(Disk::Tagged(word.to_owned())),
        _ if word.strip_prefix("/dev/").is_some_and(|name| !name.is_empty()) => {
            Ok(Disk::Device(word.to_owned()))
        }
        _ => Err("there are LABEL=..., UUID=..., /dev/... and first".into()),
    }
}

/// A kernel's version: the name of a folder.
pub(crate) fn version(word: &str) -> Result<String, String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._+-~".contains(&byte);
    if word.starts_with(|first: char| first.is_ascii_digit()) && word.bytes().all(plain) {
        Ok(word.to_owned())
    } else {
        Err("a version is what `uname -r` says, such as 6.1.0-35-amd64".into())
    }
}

/// A file or folder of the host, and what it is to be called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pair {
    pub(super) host: PathBuf,
    pub(super) guest: String,
}

/// `HOST:GUEST`. A guest's path that ends in `/` is a folder to put the file into.
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
    fn a_version_leads_nowhere_else() {
        assert!(version("6.1.0-35-cloud-amd64").is_ok());
        for word in ["", "..", "6.1/../../x", "/6.1", "6.1 x", "6.1'"] {
            assert!(version(word).is_err(), "{word}");
        }
    }
}
