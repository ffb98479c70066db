//! Tests that are run in virtual machines, told as stories of a few lines.
//!
//! A story is a function that gets the name of a kernel, starts machines by [`vm`], and panics or fails if something is
//! not as it should be. `cargo xtask test vm` fetches kernels, builds the product, and runs every story; a plain
//! `cargo test` has neither and passes the stories over.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::{env, fs, io};

use serde::{Deserialize, Serialize};

use crate::cpio::Tree;
use crate::{Error, Kernel, Kit, Product, Result, Vm};

/// The kernels that every story should hold on.
pub const EVERY: &[&str] = &["6.1", "6.12"];
/// The same with all drivers.
pub const FULL: &[&str] = &["6.1-full", "6.12-full"];

/// Where a guest finds programs of others.
pub const PEER: &str = "/peer";

/// The environment variable that names the file with the [`Inventory`].
pub const INVENTORY: &str = "KJUMP_LAB";

/// What has been fetched and built for stories.
#[derive(Debug, Serialize, Deserialize)]
pub struct Inventory {
    /// What every guest gets.
    pub kit: Kit,
    /// Debian's kexec-tools with its libraries, for a guest's [`PEER`].
    #[serde(default)]
    pub kexec_tools: Option<PathBuf>,
    /// By the kernel's name, its directory, and what was built for it.
    pub kernels: BTreeMap<String, (PathBuf, Product)>,
}

impl Inventory {
    /// Writes it for the stories to find.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        let json = |source| Error::Json { path: path.to_owned(), source };
        fs::write(path, serde_json::to_vec_pretty(self).map_err(json)?).map_err(Error::file("write", path))
    }

    fn of_the_environment() -> Result<Self> {
        let path = PathBuf::from(env::var_os(INVENTORY).unwrap_or_default());
        let text = fs::read(&path).map_err(Error::file("read", &path))?;
        serde_json::from_slice(&text).map_err(|source| Error::Json { path, source })
    }
}

/// Pairs of kernels: one that runs, and one that is booted beside it.
pub const PAIRS: &[&str] = &["6.1+6.1", "6.12+6.12", "6.1+6.12", "6.12+6.1"];

/// The kernels that a story is told on: `6.1`, or `6.1+6.12` if 6.12 is booted beside 6.1.
pub fn kernels_of(on: &str) -> impl Iterator<Item = &str> {
    on.split('+')
}

/// A machine with a kernel of this name and everything that was built for it; of several names, the first is that of the
/// running one, and the others are there to be booted beside it ([`Vm::beside`]).
///
/// # Panics
/// Outside a story, or when the kernel is not among those the story was declared for.
#[track_caller]
pub fn vm(on: &str) -> Vm {
    let inventory = Inventory::of_the_environment().expect("stories are run by `cargo xtask test vm`");
    let mut kernels = kernels_of(on).map(|name| {
        let (dir, product) = &inventory.kernels[name];
        (Kernel::open(dir).expect("the inventory names a kernel"), product.clone())
    });
    let (running, product) = kernels.next().expect("a story is told on a kernel");
    kernels.fold(Vm::new(running, product, inventory.kit.clone()), |vm, (kernel, product)| {
        vm.beside(kernel, product)
    })
}

/// Debian's kexec-tools, for a guest's [`PEER`].
///
/// # Panics
/// As [`vm`].
#[must_use]
#[track_caller]
pub fn kexec_tools() -> PathBuf {
    let inventory = Inventory::of_the_environment().expect("stories are run by `cargo xtask test vm`");
    inventory.kexec_tools.expect("kexec-tools was fetched")
}

/// What the last of these kernels calls itself.
///
/// # Panics
/// As [`vm`].
#[must_use]
#[track_caller]
pub fn release_of_last(on: &str) -> String {
    let inventory = Inventory::of_the_environment().expect("stories are run by `cargo xtask test vm`");
    let name = kernels_of(on).last().expect("a story is told on a kernel");
    Kernel::open(&inventory.kernels[name].0).expect("the inventory names a kernel").release
}

/// The bzImage of a kernel of this name.
///
/// # Panics
/// As [`vm`].
#[must_use]
#[track_caller]
pub fn kernel_file(kernel: &str) -> PathBuf {
    let inventory = Inventory::of_the_environment().expect("stories are run by `cargo xtask test vm`");
    Kernel::open(&inventory.kernels[kernel].0).expect("the inventory names a kernel").image()
}

/// A program that checks and measures in a guest of this kernel.
///
/// # Panics
/// As [`vm`], and when there is none of this name.
#[must_use]
#[track_caller]
pub fn instrument(kernel: &str, name: &str) -> PathBuf {
    let inventory = Inventory::of_the_environment().expect("stories are run by `cargo xtask test vm`");
    let (_, product) = &inventory.kernels[kernel];
    let found = product.instruments.iter().find(|program| program.ends_with(name));
    found.expect("the instrument is built").clone()
}

/// What every first process needs.
const MOUNTS: &str = "/bin/busybox mount -t proc none /proc
/bin/busybox mount -t sysfs none /sys
/bin/busybox mount -t devtmpfs none /dev
";

/// A root file system with busybox, the program, the module for this kernel, `/hang.ko`, which hangs it, and an `/init`
/// of these words for busybox' shell, with /proc, /sys and /dev mounted.
///
/// # Errors
/// A part of it cannot be read.
///
/// # Panics
/// As [`vm`].
#[track_caller]
pub fn small_root(kernel: &str, init: &str) -> Result<Tree> {
    let inventory = Inventory::of_the_environment()?;
    let (_, product) = &inventory.kernels[kernel];
    let mut tree = Tree::default();
    for name in ["/proc", "/sys", "/dev", "/run", "/bin"] {
        tree.directory(name, 0o755);
    }
    tree.device("/dev/console", 5, 1);
    tree.host_file("/bin/busybox", &inventory.kit.busybox)?;
    tree.host_file("/bin/kjump", product.kjump.as_ref().expect("the program is built"))?;
    tree.host_file("/kjump.ko", product.module.as_ref().expect("the module is built"))?;
    if let Some(modules) = &product.test_modules {
        tree.host_file("/hang.ko", &modules.join("kjump_hang.ko"))?;
    }
    tree.bytes("/init", 0o755, format!("#!/bin/busybox sh\n{MOUNTS}{init}"));
    Ok(tree)
}

/// A file of the host for a disk or the like, which goes away with this value.
#[derive(Debug)]
pub struct Scratch(PathBuf);

impl Scratch {
    /// Makes a file of these bytes; the name only has to differ within a story.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn new(name: &str, bytes: &[u8]) -> Result<Self> {
        let dir = Inventory::of_the_environment()?.kit.runs.join("scratch");
        fs::create_dir_all(&dir).map_err(Error::file("create", &dir))?;
        let path = dir.join(format!("{}-{name}", std::process::id()));
        fs::write(&path, bytes).map_err(Error::file("write", &path))?;
        Ok(Self(path))
    }

    /// Makes a file of an archive.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn archive(name: &str, tree: &Tree) -> Result<Self> {
        let scratch = Self::new(name, &[])?;
        tree.write(&scratch.0)?;
        Ok(scratch)
    }

    /// Makes a disk of so many mebibytes with an empty ext4.
    ///
    /// # Errors
    /// It cannot be written, or `mke2fs` cannot be run or fails.
    pub fn ext4(name: &str, mebibytes: u64) -> Result<Self> {
        let scratch = Self::new(name, &[])?;
        // Administrators' programs are not on everybody's path.
        let path = env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
        let mut command = Command::new("mke2fs");
        command.env("PATH", path).args(["-q", "-t", "ext4"]).arg(&scratch.0).arg(format!("{mebibytes}M"));
        let failed = |source| Error::Spawn { program: "mke2fs".to_owned(), source };
        let output = command.output().map_err(failed)?;
        if !output.status.success() {
            return Err(failed(io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned())));
        }
        Ok(scratch)
    }

    /// What it holds now.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn bytes(&self) -> Result<Vec<u8>> {
        fs::read(&self.0).map_err(Error::file("read", &self.0))
    }
}

impl From<&Scratch> for PathBuf {
    fn from(scratch: &Scratch) -> Self {
        scratch.0.clone()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // A story may have moved it.
        let _ = fs::remove_file(&self.0);
    }
}

/// One story.
pub struct Story {
    name: &'static str,
    kernels: &'static [&'static str],
    long: bool,
    tell: fn(&str) -> Result<()>,
}

impl Story {
    /// A story that holds on these kernels.
    #[must_use]
    pub const fn new(
        name: &'static str,
        kernels: &'static [&'static str],
        tell: fn(&str) -> Result<()>,
    ) -> Self {
        Self { name, kernels, long: false, tell }
    }

    /// A story that takes minutes: it is told by `cargo xtask test --soak` only.
    #[must_use]
    pub const fn long(self) -> Self {
        Self { long: true, ..self }
    }
}

/// The `main` of a program of stories. `--list` names them, `NAME KERNEL` runs one.
#[must_use]
pub fn main(chapters: &[&[Story]]) -> ExitCode {
    let stories = || chapters.iter().copied().flatten();
    let words: Vec<String> = env::args().skip(1).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        _ if env::var_os(INVENTORY).is_none() => pass_over(stories().count()),
        ["--list"] => list(stories()),
        [name, kernel] => match stories().find(|story| story.name == name && story.kernels.contains(&kernel))
        {
            Some(story) => run(story, kernel),
            None => unknown(name, kernel),
        },
        _ => unknown("", ""),
    }
}

fn pass_over(count: usize) -> ExitCode {
    println!("{count} stories passed over: they need virtual machines; `cargo xtask test vm` runs them");
    ExitCode::SUCCESS
}

fn list<'a>(stories: impl Iterator<Item = &'a Story>) -> ExitCode {
    for story in stories {
        for kernel in story.kernels {
            println!("{} {kernel} {}", story.name, if story.long { "long" } else { "short" });
        }
    }
    ExitCode::SUCCESS
}

fn run(story: &Story, kernel: &str) -> ExitCode {
    match (story.tell)(kernel) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let causes =
                std::iter::successors(Some(&error as &dyn std::error::Error), |error| error.source());
            eprintln!("{}", causes.map(ToString::to_string).collect::<Vec<_>>().join(": "));
            ExitCode::FAILURE
        }
    }
}

fn unknown(name: &str, kernel: &str) -> ExitCode {
    eprintln!("no story {name:?} on {kernel:?}; --list names them");
    ExitCode::FAILURE
}
