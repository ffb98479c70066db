//! `kjump initramfs`: a small root file system for a kernel that is to be jumped to.
//!
//! What is needed is read (`host`), listed (`entries`), and packed (`archive`).

mod archive;
mod entries;
mod host;
mod init;
pub mod modules;

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use crate::cli::InitramfsWords;
use crate::terminal::output_file;
use crate::terminal::quantity;
use crate::terminal::report::{self, Outcome};

use entries::{Content, Entries};
use host::Parts;

/// The other names the program answers to.
const NAMES: [&str; 2] = ["kexec", "makedumpfile"];

pub(crate) fn run(words: &InitramfsWords) -> anyhow::Result<Outcome> {
    let parts = Parts::read(words)?;
    let entries = plan(parts, &words.kernel_version, words.disk.as_ref(), &words.command)?;
    let bytes = archive::compress(archive::pack(&entries)?, words.compress)?;
    output_file::write_bytes(&words.output, &bytes)?;
    let (path, size) = (words.output.display(), quantity::bytes(bytes.len() as u64));
    report::print(&format!("{path}: {size}, for {}\n", words.kernel_version))?;
    Ok(Outcome::Done)
}

/// Everything that the initramfs holds.
fn plan(parts: Parts, version: &str, disk: Option<&Disk>, command: &[OsString]) -> anyhow::Result<Entries> {
    let mut entries = Entries::default();
    base(&mut entries)?;
    entries.add("/bin/busybox", Content::Bytes(parts.busybox).with_mode(0o755))?;
    entries.add("/sbin/kjump", Content::Bytes(parts.program).with_mode(0o755))?;
    for name in NAMES {
        entries.add(&format!("/sbin/{name}"), Content::Link("kjump".into()).with_mode(0o777))?;
    }
    let folder = format!("/lib/modules/{version}");
    let (mut dependencies, mut order) = (String::new(), Vec::new());
    for module in parts.modules {
        let path = format!("{folder}/{}", module.path);
        dependencies += &format!("{}: {}\n", module.path, module.needs.join(" "));
        entries.add(&path, Content::Bytes(module.bytes).with_mode(0o644))?;
        order.push(path);
    }
    // For modprobe, should the command use it.
    entries.add(&format!("{folder}/modules.dep"), Content::Bytes(dependencies.into()).with_mode(0o644))?;
    entries.add("/init", Content::Bytes(init::script(&order, disk, command)).with_mode(0o755))?;
    for (name, entry) in parts.added {
        entries.add(&name, entry)?;
    }
    Ok(entries)
}

/// An archive, not compressed, of files and folders of the host.
pub(crate) fn archive_of(pairs: &[Pair]) -> anyhow::Result<Vec<u8>> {
    let added = host::added(pairs)?;
    let mut entries = Entries::default();
    // It is unpacked over another root file system, whose folders get the modes that are said here.
    for (folder, mode) in [("/root", 0o700), ("/tmp", 0o1777)] {
        if added.iter().any(|(name, _)| name.starts_with(&format!("{folder}/"))) {
            entries.add(folder, Content::Folder.with_mode(mode))?;
        }
    }
    for (name, entry) in added {
        entries.add(&name, entry)?;
    }
    archive::pack(&entries)
}

fn base(entries: &mut Entries) -> anyhow::Result<()> {
    for name in ["/proc", "/sys", "/dev", "/run", "/mnt", "/etc"] {
        entries.add(name, Content::Folder.with_mode(0o755))?;
    }
    entries.add("/root", Content::Folder.with_mode(0o700))?;
    entries.add("/tmp", Content::Folder.with_mode(0o1777))?;
    // The first process gets it as its standard output before anybody mounts /dev.
    entries.add("/dev/console", Content::CharacterDevice { major: 5, minor: 1 }.with_mode(0o600))
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
    host: PathBuf,
    guest: String,
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
