//! Debian's own Rust compiler with the source of `core` that matches it, unpacked below `target/`.
//!
//! The kernel module's Rust half is compiled together with `core`, with the kernel's code model and
//! mitigations. That needs a compiler and library source of one version, independent of the
//! toolchain that builds the rest of the workspace.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::debian::apt::{Archive, Suites};
use crate::{program, tree};

/// A compiler and the library source of the same version.
pub(crate) struct Compiler {
    /// The compiler; it needs [`Compiler::library_path`] to start: see [`Compiler::command`].
    pub(crate) rustc: PathBuf,
    /// `LD_LIBRARY_PATH` for the compiler.
    pub(crate) library_path: OsString,
    /// The directory that holds `core/src/lib.rs`.
    pub(crate) library: PathBuf,
}

impl Compiler {
    /// A command that runs the compiler.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.rustc);
        command.env("LD_LIBRARY_PATH", &self.library_path);
        command
    }

    /// The output of `rustc --version`.
    ///
    /// # Errors
    /// The compiler does not run.
    pub(crate) fn version(&self) -> Result<String> {
        Ok(program::read(self.command().arg("--version"))?.trim_end().to_owned())
    }

    fn open(dir: &Path) -> Result<Self> {
        let library = fs::read_dir(dir.join("usr/src"))?
            .filter_map(|entry| Some(entry.ok()?.path().join("library")))
            .find(|library| library.join("core/src/lib.rs").is_file());
        let Some(library) = library else {
            bail!("no library/core/src/lib.rs below {}", dir.join("usr/src").display());
        };
        let places = ["usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu"].map(|place| dir.join(place));
        let library_path = std::env::join_paths(places).context("target/ has a colon in its path")?;
        Ok(Self { rustc: dir.join("usr/bin/rustc"), library_path, library })
    }
}

/// The compiler, fetched first if necessary.
///
/// # Errors
/// The packages cannot be fetched, or the compiler does not run on this machine.
pub(crate) fn get() -> Result<Compiler> {
    Compiler::open(&tree::made_once("compiler", Path::exists, fetch)?)
}

fn fetch(dir: &Path) -> Result<()> {
    let archive = Archive::open(Suites::Stable)?;
    let mut packages = libraries(&archive)?;
    packages.extend(["rustc-web", "rust-web-src"].map(str::to_owned));
    archive.unpack(&packages, dir)?;
    let compiler = Compiler::open(dir)?;
    compiler.version()?;
    keep_only(&compiler.library)
}

/// Every shared library that the compiler needs and that a machine with gcc may lack.
fn libraries(archive: &Archive) -> Result<Vec<String>> {
    let everywhere = ["libc6", "libgcc-s1", "libstdc++6"];
    let needs = archive.depends("libstd-rust-web-dev")?;
    let own: Vec<_> =
        needs.iter().map(String::as_str).filter(|name| name.starts_with("libstd-rust")).collect();
    archive.with_needs(&own, |name| !everywhere.contains(&name))
}

/// The source package also contains the compiler, which is ten times as large as the library.
fn keep_only(library: &Path) -> Result<()> {
    let source = library.parent().context("the library has no parent directory")?;
    for entry in fs::read_dir(source)? {
        let entry = entry?;
        if entry.path() == library {
        } else if entry.file_type()?.is_dir() {
            fs::remove_dir_all(entry.path())?;
        } else {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}
