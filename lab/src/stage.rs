//! What stories run on: machines with the kernels and programs that `cargo xtask test vm` has
//! fetched and built.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{env, fs};

use serde::{Deserialize, Serialize};

use crate::cpio::Tree;
use crate::{Error, Kernel, Kit, Product, Result, Vm};

/// Where a guest finds the programs that kjump is compared with.
pub const REFERENCE: &str = "/reference";

/// Where a guest finds [`loaders`].
pub const LOADERS: &str = "/loaders";

/// The environment variable that names the file with the [`Inventory`].
pub const INVENTORY: &str = "KJUMP_LAB";

/// The kernels and programs that have been fetched and built for stories.
#[derive(Debug, Serialize, Deserialize)]
pub struct Inventory {
    /// The parts that every guest gets.
    pub kit: Kit,
    /// Debian's kexec-tools with its libraries, for a guest's [`REFERENCE`].
    #[serde(default)]
    pub kexec_tools: Option<PathBuf>,
    /// What kexec can start that is not Linux, for a guest's [`LOADERS`].
    #[serde(default)]
    pub loaders: Option<PathBuf>,
    /// By the kernel's name: its directory, and the product built for it.
    pub kernels: BTreeMap<String, (PathBuf, Product)>,
}

impl Inventory {
    /// Writes the inventory to a file, for [`INVENTORY`] to name.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        let json = |source| Error::Json { path: path.to_owned(), source };
        fs::write(path, serde_json::to_vec_pretty(self).map_err(json)?).map_err(Error::file("write", path))
    }

    pub(crate) fn from_environment() -> Result<Self> {
        let path = PathBuf::from(env::var_os(INVENTORY).unwrap_or_default());
        let text = fs::read(&path).map_err(Error::file("read", &path))?;
        serde_json::from_slice(&text).map_err(|source| Error::Json { path, source })
    }
}

/// The kernels that a story runs on: `6.1`, or `6.1+6.12` if 6.12 can be booted from 6.1.
pub fn kernels_of(on: &str) -> impl Iterator<Item = &str> {
    on.split('+')
}

/// A machine with a kernel of this name and everything that was built for it. Of several names the
/// first is the running kernel's; the others can be booted from it ([`Vm::with_peer`]).
///
/// # Panics
/// Outside a story, or when the kernel is not among those the story was declared for.
#[track_caller]
pub fn vm(on: &str) -> Vm {
    let inventory = Inventory::from_environment().expect("stories are run by `cargo xtask test vm`");
    let mut kernels = kernels_of(on).map(|name| {
        let (dir, product) = &inventory.kernels[name];
        (Kernel::open(dir).expect("the inventory names a kernel"), product.clone())
    });
    let (running, product) = kernels.next().expect("a story names its kernel");
    kernels.fold(Vm::new(running, product, inventory.kit.clone()), |vm, (kernel, product)| {
        vm.with_peer(kernel, product)
    })
}

/// Debian's kexec-tools, for a guest's [`REFERENCE`].
///
/// # Panics
/// As [`vm`].
#[must_use]
#[track_caller]
pub fn kexec_tools() -> PathBuf {
    let inventory = Inventory::from_environment().expect("stories are run by `cargo xtask test vm`");
    inventory.kexec_tools.expect("kexec-tools was fetched")
}

/// Debian's memtest86+ (`memtest`), memdisk, GRUB (`grub`) and iPXE (`ipxe`), for a guest's
/// [`LOADERS`].
///
/// # Panics
/// As [`vm`].
#[must_use]
#[track_caller]
pub fn loaders() -> PathBuf {
    let inventory = Inventory::from_environment().expect("stories are run by `cargo xtask test vm`");
    inventory.loaders.expect("the loaders were fetched")
}

/// The release (`uname -r`) of the last of these kernels.
///
/// # Panics
/// As [`vm`].
#[must_use]
#[track_caller]
pub fn release_of_last(on: &str) -> String {
    let inventory = Inventory::from_environment().expect("stories are run by `cargo xtask test vm`");
    let name = kernels_of(on).last().expect("a story names its kernel");
    Kernel::open(&inventory.kernels[name].0).expect("the inventory names a kernel").release
}

/// The bzImage of a kernel of this name.
///
/// # Panics
/// As [`vm`].
#[must_use]
#[track_caller]
pub fn kernel_file(kernel: &str) -> PathBuf {
    let inventory = Inventory::from_environment().expect("stories are run by `cargo xtask test vm`");
    Kernel::open(&inventory.kernels[kernel].0).expect("the inventory names a kernel").image()
}

/// A program that checks or measures in a guest of this kernel.
///
/// # Panics
/// As [`vm`], and if no instrument has this name.
#[must_use]
#[track_caller]
pub fn instrument(kernel: &str, name: &str) -> PathBuf {
    let inventory = Inventory::from_environment().expect("stories are run by `cargo xtask test vm`");
    let (_, product) = &inventory.kernels[kernel];
    let found = product.instruments.iter().find(|program| program.ends_with(name));
    found.expect("the instrument is built").clone()
}

/// The file systems that every first process needs.
const MOUNTS: &str = "/bin/busybox mount -t proc none /proc
/bin/busybox mount -t sysfs none /sys
/bin/busybox mount -t devtmpfs none /dev
";

/// A root file system with busybox, the program, the module for this kernel, `/hang.ko`, which
/// hangs it, and this shell script as `/init`, which starts with /proc, /sys and /dev mounted.
///
/// # Errors
/// A part of it cannot be read.
///
/// # Panics
/// As [`vm`].
#[track_caller]
pub fn small_root(kernel: &str, init: &str) -> Result<Tree> {
    let inventory = Inventory::from_environment()?;
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
