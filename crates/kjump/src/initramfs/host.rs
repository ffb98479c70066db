//! The files of the host for an initramfs, read and checked for their use there.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use abi::Field;
use anyhow::{Context, bail};
use kernel_file::Compression;

use super::args::{InitramfsArgs, Pair};
use super::entries::{Content, Entry};
use super::modules::{Modules, uncompressed};
use crate::input::{self, Name};

/// Size limit of a decompressed module. The largest of distributions have some 20 MiB.
const MOST: u64 = 512 << 20;

/// The files that an initramfs is made of.
pub(super) struct Parts {
    pub(super) program: Vec<u8>,
    pub(super) busybox: Vec<u8>,
    /// In the order of loading; kjump.ko is the last.
    pub(super) modules: Vec<Module>,
    pub(super) added: Vec<(String, Entry)>,
}

/// A kernel module.
pub(super) struct Module {
    /// Path below the modules' directory, without the extension of its compression.
    pub(super) path: String,
    /// Paths of the modules that it depends on, likewise.
    pub(super) needs: Vec<String>,
    pub(super) bytes: Vec<u8>,
}

impl Parts {
    pub(super) fn read(args: &InitramfsArgs) -> anyhow::Result<Self> {
        let own = PathBuf::from("/proc/self/exe");
        let program =
            static_program(args.program.as_ref().unwrap_or(&own), "choose another kjump with --program")?;
        let busybox = static_program(
            &args.busybox,
            "install Debian's package busybox-static, or choose another with --busybox",
        )?;
        Ok(Self { program, busybox, modules: modules(args)?, added: added(&args.add)? })
    }
}

/// The entries of these pairs.
pub(super) fn added(pairs: &[Pair]) -> anyhow::Result<Vec<(String, Entry)>> {
    let mut added = Vec::new();
    for pair in pairs {
        add(&pair.guest, &pair.host, &mut added)?;
    }
    Ok(added)
}

/// Reads a program that runs without libraries.
fn static_program(path: &Path, advice: &str) -> anyhow::Result<Vec<u8>> {
    let bytes = input::read(path, u64::MAX).with_context(|| format!("{}; {advice}", Name(path)))?;
    match has_interpreter(&bytes) {
        Some(false) => Ok(bytes),
        Some(true) => {
            bail!("{}: dynamically linked, but an initramfs has no libraries; {advice}", path.display())
        }
        None => bail!("{}: not a 64-bit ELF program; {advice}", path.display()),
    }
}

/// Whether a program header names a dynamic linker. `None` if the headers are not valid.
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

/// The requested drivers with their dependencies, then kjump.ko.
fn modules(args: &InitramfsArgs) -> anyhow::Result<Vec<Module>> {
    let version = args.kernel_version.as_str();
    let directory = args.module_dir.clone().unwrap_or_else(|| Path::new("/lib/modules").join(version));
    let known = read_lists(&directory)?;
    if args.module.is_none() && !known.has("kjump") {
        bail!("{} has no kjump.ko: install it there and run depmod, or use --module", directory.display());
    }
    let drivers = args.driver.iter().map(String::as_str).filter(|name| *name != "kjump");
    let own = args.module.is_none().then_some("kjump");
    let order = known.in_order(drivers.chain(own)).with_context(|| directory.display().to_string())?;
    let mut found = Vec::new();
    for path in order {
        let bytes = read_module(&directory.join(path), version)?;
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

fn read_lists(directory: &Path) -> anyhow::Result<Modules> {
    let dep = directory.join("modules.dep");
    let dep =
        fs::read_to_string(&dep).with_context(|| format!("{}; run depmod to create it", dep.display()))?;
    let optional = |name: &str| match fs::read_to_string(directory.join(name)) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(String::new()),
        read => read.with_context(|| directory.join(name).display().to_string()),
    };
    Modules::parse(&dep, &optional("modules.softdep")?, &optional("modules.builtin")?)
        .with_context(|| directory.display().to_string())
}

/// A module's bytes, decompressed, if it was built for this kernel.
fn read_module(path: &Path, version: &str) -> anyhow::Result<Vec<u8>> {
    let bytes = input::read(path, u64::MAX).with_context(|| Name(path).to_string())?;
    let bytes = match Compression::recognise(&bytes) {
        Some(kind) => kind.decompress(&bytes, MOST).with_context(|| path.display().to_string())?,
        None => bytes,
    };
    match built_for(&bytes) {
        Some(kernel) if kernel == version.as_bytes() => Ok(bytes),
        Some(kernel) => {
            bail!("{}: built for kernel {}, not {version}", path.display(), String::from_utf8_lossy(kernel))
        }
        None => bail!("{}: not a kernel module: it has no vermagic", path.display()),
    }
}

/// The kernel in a module's `vermagic=6.1.0-35-amd64 SMP ...`.
fn built_for(module: &[u8]) -> Option<&[u8]> {
    const MARK: &[u8] = b"vermagic=";
    let place = module.windows(MARK.len()).position(|window| window == MARK)? + MARK.len();
    module.get(place..)?.split(|byte| matches!(byte, b' ' | 0)).next()
}

/// Adds a file, a link, or a whole directory.
fn add(guest: &str, host: &Path, added: &mut Vec<(String, Entry)>) -> anyhow::Result<()> {
    let found = fs::metadata(host).with_context(|| host.display().to_string())?;
    let mode = found.permissions().mode() & 0o7777;
    if found.is_dir() {
        added.push((guest.to_owned(), Content::Directory.with_mode(mode)));
        return add_directory(guest, host, added);
    }
    if !found.is_file() {
        bail!("{}: neither a file nor a directory", host.display());
    }
    added.push((guest.to_owned(), Content::File(host.to_owned()).with_mode(mode)));
    Ok(())
}

/// Links are not followed, so that a directory cannot contain itself.
fn add_directory(guest: &str, host: &Path, added: &mut Vec<(String, Entry)>) -> anyhow::Result<()> {
    for entry in fs::read_dir(host).with_context(|| host.display().to_string())? {
        let path = entry.with_context(|| host.display().to_string())?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        let name = name.with_context(|| format!("{}: its name is not UTF-8", path.display()))?;
        let below = format!("{guest}/{name}");
        match fs::read_link(&path) {
            Ok(target) => {
                let target = target
                    .to_str()
                    .with_context(|| format!("{}: its target is not UTF-8", path.display()))?;
                added.push((below, Content::Link(target.to_owned()).with_mode(0o777)));
            }
            Err(_) => add(&below, &path, added)?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
