//! `kjump initramfs`: a small root file system for a kernel that is to be jumped to.
//!
//! What is needed is read (`host`), listed (`entries`), and packed (`archive`).

mod archive;
pub(crate) mod args;
mod entries;
mod host;
mod init;
pub mod modules;

use std::ffi::OsString;

use crate::terminal::output_file;
use crate::terminal::quantity;
use crate::terminal::report::{self, Outcome};

use args::{Disk, InitramfsArgs, Pair};
use entries::{Content, Entries};
use host::Parts;

/// The other names the program answers to.
const NAMES: [&str; 2] = ["kexec", "makedumpfile"];

pub(crate) fn run(args: &InitramfsArgs) -> anyhow::Result<Outcome> {
    let parts = Parts::read(args)?;
    let entries = plan(parts, &args.kernel_version, args.disk.as_ref(), &args.command)?;
    let bytes = archive::compress(archive::pack(&entries)?, args.compress)?;
    output_file::write_bytes(&args.output, &bytes)?;
    let (path, size) = (args.output.display(), quantity::bytes(bytes.len() as u64));
    report::print(&format!("{path}: {size}, for {}\n", args.kernel_version))?;
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
