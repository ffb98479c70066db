//! What of the host goes into an initramfs: read, and checked for being of use there.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use abi::Field;
use anyhow::{Context, bail};
use kernel_file::Compression;

use super::args::Pair;
use super::entries::{Content, Entry};
use super::modules::{Modules, uncompressed};
use crate::initramfs::args::InitramfsArgs;

/// The largest module that is decompressed; the largest of a distribution have some 20 MiB.
const MOST: u64 = 512 << 20;

pub(super) struct Parts {
    pub(super) program: Vec<u8>,
    pub(super) busybox: Vec<u8>,
    /// In the order of loading; kjump.ko is the last.
    pub(super) modules: Vec<Module>,
    pub(super) added: Vec<(String, Entry)>,
}

pub(super) struct Module {
    /// Below the modules' folder, without what its compression adds.
    pub(super) path: String,
    /// Likewise.
    pub(super) needs: Vec<String>,
    pub(super) bytes: Vec<u8>,
}

impl Parts {
    pub(super) fn read(args: &InitramfsArgs) -> anyhow::Result<Self> {
        let own = PathBuf::from("/proc/self/exe");
        let program = static_program(args.program.as_ref().unwrap_or(&own), "--program names another kjump")?;
        let busybox = static_program(
            &args.busybox,
            "Debian's package busybox-static has one; --busybox names another",
        )?;
        Ok(Self { program, busybox, modules: modules(args)?, added: added(&args.add)? })
    }
}

/// What is to be put into an archive by these pairs.
pub(super) fn added(pairs: &[Pair]) -> anyhow::Result<Vec<(String, Entry)>> {
    let mut added = Vec::new();
    for pair in pairs {
        add(&pair.guest, &pair.host, &mut added)?;
    }
    Ok(added)
}

/// A program that runs where no library is.
fn static_program(path: &Path, advice: &str) -> anyhow::Result<Vec<u8>> {
    let bytes = fs::read(path).with_context(|| format!("{}; {advice}", path.display()))?;
    match has_interpreter(&bytes) {
        Some(false) => Ok(bytes),
        Some(true) => {
            bail!("{}: linked dynamically, there are no libraries in an initramfs; {advice}", path.display())
        }
        None => bail!("{}: no 64-bit ELF program; {advice}", path.display()),
    }
}

/// Whether a program header asks for a dynamic linker. None if these are no headers.
fn has_interpreter(program: &[u8]) -> Option<bool> {
    const INTERPRETER: u32 = 3;
    if !program.starts_with(b"\x7fELF\x02\x01") {
        return None;
    }
    let start = usize::try_from(Field::<u64>::at(32).read(program)?).ok()?;
    let (size, count) = (Field::<u16>::at(54).read(program)?, Field::<u16>::at(56).read(program)?);
    for number in 0..usize::from(count) {
        let header = program.get(start.checked_add(number * usize::from(size))?..)?;
        if Field::<u32>::at(0).read(header)? == INTERPRETER {
            return Some(true);
        }
    }
    Some(false)
}

/// The drivers asked for with all they need, then kjump.ko.
fn modules(args: &InitramfsArgs) -> anyhow::Result<Vec<Module>> {
    let version = args.kernel_version.as_str();
    let folder = args.module_dir.clone().unwrap_or_else(|| Path::new("/lib/modules").join(version));
    let known = read_lists(&folder)?;
    if args.module.is_none() && !known.has("kjump") {
        bail!(
            "{} has no kjump.ko: install it there and run depmod, or name it by --module",
            folder.display()
        );
    }
    let drivers = args.driver.iter().map(String::as_str).filter(|name| *name != "kjump");
    let own = args.module.is_none().then_some("kjump");
    let order = known.in_order(drivers.chain(own)).with_context(|| folder.display().to_string())?;
    let mut found = Vec::new();
    for path in order {
        let bytes = read_module(&folder.join(path), version)?;
        let needs = known.needs(path).map(|need| uncompressed(need).to_owned()).collect();
        found.push(Module { path: uncompressed(path).to_owned(), needs, bytes });
    }
    if let Some(file) = &args.module {
        found.push(Module {
            path: "extra/kjump.ko".into(),
            needs: Vec::new(),
            bytes: read_module(file, version)?,
        });
    }
    Ok(found)
}

fn read_lists(folder: &Path) -> anyhow::Result<Modules> {
    let dep = folder.join("modules.dep");
    let dep = fs::read_to_string(&dep).with_context(|| format!("{}; depmod makes it", dep.display()))?;
    let lesser = |name: &str| match fs::read_to_string(folder.join(name)) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(String::new()),
        read => read.with_context(|| folder.join(name).display().to_string()),
    };
    Modules::parse(&dep, &lesser("modules.softdep")?, &lesser("modules.builtin")?)
        .with_context(|| folder.display().to_string())
}

/// A module's bytes, not compressed, if it was made for this kernel.
fn read_module(path: &Path, version: &str) -> anyhow::Result<Vec<u8>> {
    let bytes = fs::read(path).with_context(|| path.display().to_string())?;
    let bytes = match Compression::recognise(&bytes) {
        Some(kind) => kind.decompress(&bytes, MOST).with_context(|| path.display().to_string())?,
        None => bytes,
    };
    match made_for(&bytes) {
        Some(made) if made == version.as_bytes() => Ok(bytes),
        Some(made) => {
            bail!("{}: made for kernel {}, not {version}", path.display(), String::from_utf8_lossy(made))
        }
        None => bail!("{}: no kernel module, it names no kernel", path.display()),
    }
}

/// The kernel that a module names: `vermagic=6.1.0-35-amd64 SMP ...`.
fn made_for(module: &[u8]) -> Option<&[u8]> {
    const MARK: &[u8] = b"vermagic=";
    let place = module.windows(MARK.len()).position(|window| window == MARK)? + MARK.len();
    module.get(place..)?.split(|byte| matches!(byte, b' ' | 0)).next()
}

/// Adds a file, a link, or a whole folder.
fn add(guest: &str, host: &Path, added: &mut Vec<(String, Entry)>) -> anyhow::Result<()> {
    let found = fs::metadata(host).with_context(|| host.display().to_string())?;
    let mode = found.permissions().mode() & 0o7777;
    if found.is_dir() {
        added.push((guest.to_owned(), Content::Folder.with_mode(mode)));
        return add_folder(guest, host, added);
    }
    if !found.is_file() {
        bail!("{}: neither a file nor a folder", host.display());
    }
    added.push((guest.to_owned(), Content::File(host.to_owned()).with_mode(mode)));
    Ok(())
}

/// Links are kept as they are, so that no folder is in itself.
fn add_folder(guest: &str, host: &Path, added: &mut Vec<(String, Entry)>) -> anyhow::Result<()> {
    for entry in fs::read_dir(host).with_context(|| host.display().to_string())? {
        let path = entry.with_context(|| host.display().to_string())?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        let name = name.with_context(|| format!("{}: its name is not UTF-8", path.display()))?;
        let below = format!("{guest}/{name}");
        match fs::read_link(&path) {
            Ok(goal) => {
                let goal =
                    goal.to_str().with_context(|| format!("{}: its goal is not UTF-8", path.display()))?;
                added.push((below, Content::Link(goal.to_owned()).with_mode(0o777)));
            }
            Err(_) => add(&below, &path, added)?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
