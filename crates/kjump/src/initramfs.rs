//! `kjump initramfs`: a small root file system for a kernel to jump to.
//!
//! Files of the host are read (`host`), listed (`entries`), and packed (`archive`).

mod archive;
pub(crate) mod args;
mod entries;
mod host;
mod init;
mod modules;

use std::path::Path;

use anyhow::Context;

use crate::terminal::output_file;
use crate::terminal::quantity;
use crate::terminal::report::{self, Outcome};

pub(crate) use archive::pack;
use args::{InitramfsArgs, Pair};
pub(crate) use entries::{Content, Entries};
use host::Parts;
pub(crate) use init::Job;

pub(crate) fn run(args: &InitramfsArgs) -> anyhow::Result<Outcome> {
    let bytes = build(args)?;
    output_file::write_bytes(&args.output, &bytes)?;
    let (path, size) = (args.output.display(), quantity::bytes(bytes.len() as u64));
    report::print(&format!("{path}: {size}, for {}\n", args.kernel_version))?;
    Ok(Outcome::Done)
}

/// Makes an initramfs, compressed.
pub(crate) fn build(args: &InitramfsArgs) -> anyhow::Result<Vec<u8>> {
    let job = match args.hibernate {
        true => Job::Hibernate,
        false => Job::Command { disk: args.disk.as_ref(), command: &args.command },
    };
    build_for(args, job)
}

/// Makes one that has this job in place of that of the arguments.
pub(crate) fn build_for(args: &InitramfsArgs, job: Job<'_>) -> anyhow::Result<Vec<u8>> {
    let parts = Parts::read(args)?;
    let entries = plan(parts, &args.kernel_version, job)?;
    archive::compress(pack(&entries)?, args.compress)
}

/// The programs for another kernel that are not its own.
pub(crate) struct Tools {
    pub(crate) program: Vec<u8>,
    pub(crate) busybox: Vec<u8>,
    /// kjump.ko.
    pub(crate) module: Vec<u8>,
}

/// Reads them for the kernel of this version.
pub(crate) fn tools(
    version: &str,
    busybox: &Path,
    module_dir: Option<&Path>,
    module: Option<&Path>,
) -> anyhow::Result<Tools> {
    let parts = Parts::read(&InitramfsArgs {
        compress: args::InitramfsCodec::None,
        module_dir: module_dir.map(Path::to_owned),
        module: module.map(Path::to_owned),
        busybox: busybox.to_owned(),
        ..InitramfsArgs::of_host(version, Vec::new(), Vec::new())
    })?;
    let module = parts.modules.into_iter().last().context("kjump.ko is missing")?.bytes;
    Ok(Tools { program: parts.program, busybox: parts.busybox, module })
}

/// All entries of the initramfs.
fn plan(parts: Parts, version: &str, job: Job<'_>) -> anyhow::Result<Entries> {
    let mut entries = Entries::default();
    base(&mut entries)?;
    entries.add("/bin/busybox", Content::Bytes(parts.busybox).with_mode(0o755))?;
    entries.add("/sbin/kjump", Content::Bytes(parts.program).with_mode(0o755))?;
    for name in crate::NAMES {
        entries.add(&format!("/sbin/{name}"), Content::Link("kjump".into()).with_mode(0o777))?;
    }
    let directory = format!("/lib/modules/{version}");
    let (mut dependencies, mut order) = (String::new(), Vec::new());
    for module in parts.modules {
        let path = format!("{directory}/{}", module.path);
        dependencies += &format!("{}: {}\n", module.path, module.needs.join(" "));
        entries.add(&path, Content::Bytes(module.bytes).with_mode(0o644))?;
        order.push(path);
    }
    // For modprobe, if the command uses it.
    entries.add(&format!("{directory}/modules.dep"), Content::Bytes(dependencies.into()).with_mode(0o644))?;
    entries.add("/init", Content::Bytes(init::script(&order, job)).with_mode(0o755))?;
    for (name, entry) in parts.added {
        entries.add(&name, entry)?;
    }
    Ok(entries)
}

/// An uncompressed archive of files and directories of the host.
pub(crate) fn archive_of(pairs: &[Pair]) -> anyhow::Result<Vec<u8>> {
    let added = host::added(pairs)?;
    let mut entries = Entries::default();
    // It is unpacked over another root file system, whose directories get the modes of the archive.
    for (directory, mode) in [("/root", 0o700), ("/tmp", 0o1777)] {
        if added.iter().any(|(name, _)| name.starts_with(&format!("{directory}/"))) {
            entries.add(directory, Content::Directory.with_mode(mode))?;
        }
    }
    for (name, entry) in added {
        entries.add(&name, entry)?;
    }
    pack(&entries)
}

fn base(entries: &mut Entries) -> anyhow::Result<()> {
    for name in ["/proc", "/sys", "/dev", "/run", "/mnt", "/etc"] {
        entries.add(name, Content::Directory.with_mode(0o755))?;
    }
    entries.add("/root", Content::Directory.with_mode(0o700))?;
    entries.add("/tmp", Content::Directory.with_mode(0o1777))?;
    // The kernel opens it as the standard output of init, before /dev is mounted.
    entries.add("/dev/console", Content::CharacterDevice { major: 5, minor: 1 }.with_mode(0o600))
}
