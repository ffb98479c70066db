//! The files of a load, each read once.

use std::cell::OnceCell;
use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use anyhow::{Context, anyhow};
use machine::Machine;
use plan::linux::Initrd;

use super::command_line;
use super::prepare::{Entropy, Prepared};
use super::request::Load;
use crate::initramfs;
use crate::input::{self, Input, Name};
use crate::kernel::file::{KernelFile, Loader};
use crate::terminal::progress::Progress;

/// The files of a load.
pub(super) struct Files {
    pub(super) kernel: KernelFile,
    /// The initrds given as options.
    pub(super) initrds: Vec<Named>,
    pub(super) modules: Vec<Module>,
    pub(super) dtb: Option<Vec<u8>>,
    pub(super) command_line: Vec<u8>,
    /// The kernel and the initrds as the next kernel would unpack them, for `--prepare`.
    pub(super) prepared: Option<Prepared>,
}

/// An initrd and its name.
pub(super) struct Named {
    name: String,
    /// Its file, unless it was made here.
    input: Option<Input>,
    /// Its bytes, once they are needed: `kexec_file_load` reads a single initrd by itself.
    bytes: OnceCell<Vec<u8>>,
}

impl Named {
    fn bytes(&self) -> anyhow::Result<&[u8]> {
        if let (None, Some(input)) = (self.bytes.get(), &self.input) {
            let _progress = Progress::start(format!("reading {}", self.name), 1);
            let bytes = input.read(u64::MAX).with_context(|| self.name.clone())?;
            return Ok(self.bytes.get_or_init(|| bytes));
        }
        Ok(self.bytes.get().map_or(&[], Vec::as_slice))
    }

    fn size(&self) -> u64 {
        match (self.bytes.get(), &self.input) {
            (Some(bytes), _) => bytes.len() as u64,
            (None, Some(input)) => input.size().unwrap_or(0),
            (None, None) => 0,
        }
    }
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
            initrds.push(Named { name: "--initrd-add".into(), input: None, bytes: bytes.into() });
        }
        let running = load.reuse.then(running).transpose().context("--reuse-cmdline")?;
        Ok(Self {
            command_line: command_line::of(load, running.as_deref(), kernel.command_line()),
            initrds,
            modules: load.modules.iter().map(|words| module(words)).collect::<anyhow::Result<_>>()?,
            prepared: None,
            dtb: load.dtb.as_deref().map(|path| read("--dtb", path)).transpose()?,
            kernel,
        })
    }

    /// Unpacks the kernel and the initrds.
    pub(super) fn prepare(
        &mut self,
        loader: Loader,
        machine: &Machine,
        entropy: Option<Entropy>,
    ) -> anyhow::Result<()> {
        self.prepared = Some(Prepared::new(self, loader, machine, entropy).context("--prepare")?);
        Ok(())
    }

    /// All initrds: those in the kernel file first. They are read if they have not been.
    pub(super) fn all_initrds(&self) -> anyhow::Result<Vec<Initrd<'_>>> {
        let prepared = |index| self.prepared.as_ref().and_then(|prepared| prepared.initrd(index));
        let own = self.kernel.initrds().map(|bytes| Ok(Initrd { name: OWN, bytes }));
        let named = self.initrds.iter().map(|named| Ok(Initrd { name: &named.name, bytes: named.bytes()? }));
        let mut initrds = own.chain(named).collect::<anyhow::Result<Vec<_>>>()?;
        for (index, initrd) in initrds.iter_mut().enumerate() {
            initrd.bytes = prepared(index).unwrap_or(initrd.bytes);
        }
        Ok(initrds)
    }

    /// The names and sizes of all initrds, which are not read for it.
    pub(super) fn initrd_sizes(&self) -> impl Iterator<Item = (&str, u64)> {
        let own = self.kernel.initrds().map(|bytes| (OWN, bytes.len() as u64));
        own.chain(self.initrds.iter().map(|named| (named.name.as_str(), named.size())))
    }

    /// The initrd, if there is only one and the kernel can read it by itself.
    pub(super) fn only_initrd(&self) -> Option<&File> {
        match (self.kernel.initrds().next(), self.initrds.as_slice()) {
            (None, [only]) => only.input.as_ref().and_then(Input::file),
            _ => None,
        }
    }

    /// The files that the kernel reads by itself for `kexec_file_load`, with their names.
    fn read_by_kernel(&self) -> impl Iterator<Item = (String, &Input)> {
        let kernel = self.kernel.file().map(|_| (Name(&self.kernel.path).to_string(), &self.kernel.input));
        let initrd = self.only_initrd().and_then(|_| self.initrds.first());
        let initrd = initrd.and_then(|named| Some((named.name.clone(), named.input.as_ref()?)));
        kernel.into_iter().chain(initrd)
    }

    /// Fails if another program wrote to one of the files that the kernel has read by itself.
    pub(super) fn check_unchanged(&self) -> anyhow::Result<()> {
        self.read_by_kernel().try_for_each(|(name, input)| input.check_unchanged().context(name))
    }

    /// Which of the files that the kernel has read by itself it could not read, and why.
    pub(super) fn unreadable(&self) -> Option<anyhow::Error> {
        self.read_by_kernel().find_map(|(name, input)| {
            let outcome = input.check_unchanged();
            outcome.and_then(|()| Ok(input.check_readable()?)).err().map(|error| error.context(name))
        })
    }
}

/// The name of an initrd in a unified kernel image.
const OWN: &str = "in the kernel file";

fn read(option: &str, path: &Path) -> anyhow::Result<Vec<u8>> {
    input::read(path, u64::MAX).with_context(|| format!("{option} {}", Name(path)))
}

/// Opens an initrd. One whose size is not known in advance is read now.
fn initrd(path: &Path) -> anyhow::Result<Named> {
    let named = || format!("initrd {}", Name(path));
    let input = Input::open(path).with_context(|| format!("Could not open initrd file {}", Name(path)))?;
    if input.head().is_empty() {
        return Err(anyhow!("the file is empty").context(named()));
    }
    let initrd = Named { name: Name(path).to_string(), input: Some(input), bytes: OnceCell::new() };
    if initrd.input.as_ref().is_some_and(|input| input.file().is_none()) {
        initrd.bytes().map(drop).context("initrd")?;
    }
    Ok(initrd)
}

/// `FILE ARGS`: the file is decompressed if it is compressed.
fn module(words: &OsStr) -> anyhow::Result<Module> {
    let words = words.as_bytes();
    let file = words.split(|&byte| byte == b' ').next().unwrap_or(words);
    let path = Path::new(OsStr::from_bytes(file));
    let bytes = read("--module", path)?;
    let _progress = Progress::start(format!("unpacking {}", Name(path)), 1);
    let bytes = match kernel_file::Compression::recognise(&bytes) {
        Some(compression) => {
            let unpack = |limit| compression.decompress(&bytes, limit);
            input::unpacked(1 << 32, unpack).with_context(|| format!("--module {}", Name(path)))?
        }
        None => bytes,
    };
    Ok(Module { words: words.to_vec(), bytes })
}
