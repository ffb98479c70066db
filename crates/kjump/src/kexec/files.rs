//! The files of a load, each read once.

use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use anyhow::{Context, bail};
use sys::mapping::FileBytes;

use super::command_line;
use super::request::Load;
use crate::initramfs;
use crate::kernel::file::KernelFile;
use crate::terminal::progress::Progress;

/// The files of a load.
pub(super) struct Files {
    pub(super) kernel: KernelFile,
    /// The initrds given as options.
    pub(super) initrds: Vec<Named>,
    pub(super) modules: Vec<Module>,
    pub(super) dtb: Option<Vec<u8>>,
    pub(super) command_line: Vec<u8>,
}

/// The bytes of a file, and its name.
pub(super) struct Named {
    pub(super) name: String,
    pub(super) bytes: FileBytes,
    /// The file, if it can be read again.
    file: Option<File>,
}

/// A multiboot kernel's module: its bytes, and the argument that names it.
pub(super) struct Module {
    pub(super) words: Vec<u8>,
    pub(super) bytes: Vec<u8>,
}

impl Files {
    /// Reads them all. `running` reads the running kernel's command line, and is only called for
    /// `--reuse-cmdline`.
    pub(super) fn read(
        load: &Load,
        path: &Path,
        running: impl FnOnce() -> anyhow::Result<Vec<u8>>,
    ) -> anyhow::Result<Self> {
        let kernel = KernelFile::read(path)?;
        let mut initrds: Vec<Named> =
            load.initrds.iter().map(|path| initrd(path.as_path())).collect::<anyhow::Result<_>>()?;
        if !load.add.is_empty() {
            let bytes = initramfs::archive_of(&load.add).context("--initrd-add")?;
            initrds.push(Named { name: "--initrd-add".into(), bytes: FileBytes::Read(bytes), file: None });
        }
        let running = load.reuse.then(running).transpose().context("--reuse-cmdline")?;
        Ok(Self {
            command_line: command_line::of(load, running.as_deref(), kernel.command_line()),
            initrds,
            modules: load.modules.iter().map(|words| module(words)).collect::<anyhow::Result<_>>()?,
            dtb: load.dtb.as_deref().map(|path| read("--dtb", path)).transpose()?,
            kernel,
        })
    }

    /// All initrds: those in the kernel file first.
    pub(super) fn all_initrds(&self) -> Vec<(&str, &[u8])> {
        let own = self.kernel.initrds().map(|bytes| ("in the kernel file", bytes));
        own.chain(self.initrds.iter().map(|named| (named.name.as_str(), &*named.bytes))).collect()
    }

    /// The initrd, if there is only one and it is in a file.
    pub(super) fn only_initrd(&self) -> Option<&File> {
        match (self.kernel.initrds().next(), self.initrds.as_slice()) {
            (None, [only]) => only.file.as_ref(),
            _ => None,
        }
    }
}

fn read(option: &str, path: &Path) -> anyhow::Result<Vec<u8>> {
    let named = || format!("{option} {}", path.display());
    let bytes = std::fs::read(path).with_context(named)?;
    if bytes.is_empty() {
        bail!("{}: the file is empty", named());
    }
    Ok(bytes)
}

/// The file is mapped, not copied: no decision depends on its contents.
fn initrd(path: &Path) -> anyhow::Result<Named> {
    let named = || format!("Could not open initrd file {}", path.display());
    let mut file = File::open(path).with_context(named)?;
    let bytes = FileBytes::of(&mut file).with_context(named)?;
    if bytes.is_empty() {
        bail!("{}: the file is empty", named());
    }
    let file = matches!(bytes, FileBytes::Mapped(_)).then_some(file);
    Ok(Named { name: path.display().to_string(), bytes, file })
}

/// `FILE ARGS`: the file is decompressed if it is compressed.
fn module(words: &OsStr) -> anyhow::Result<Module> {
    let words = words.as_bytes();
    let file = words.split(|&byte| byte == b' ').next().unwrap_or(words);
    let path = Path::new(OsStr::from_bytes(file));
    let bytes = read("--module", path)?;
    let _progress = Progress::start(format!("unpacking {}", path.display()), 1);
    let bytes = match kernel_file::Compression::recognise(&bytes) {
        Some(compression) => {
            compression.decompress(&bytes, 1 << 32).with_context(|| format!("--module {}", path.display()))?
        }
        None => bytes,
    };
    Ok(Module { words: words.to_vec(), bytes })
}
