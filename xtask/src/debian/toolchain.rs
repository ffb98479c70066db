//! `make` and the C compiler for a kernel's headers: those of this machine for kernels of the
//! release whose packages the lab uses, those of a later release, unpacked below `target/`, for its
//! kernels.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use lab::Kernel;

use crate::debian::apt::{Archive, Suites};
use crate::debian::kernels;
use crate::{program, tree};

/// What Kbuild needs in addition to the compiler.
const TOOLS: [&str; 12] = [
    "bash",
    "coreutils",
    "dash",
    "findutils",
    "grep",
    "gzip",
    "libelf1t64",
    "make",
    "mawk",
    // Only for its version: the headers come without the kernel's BTF.
    "pahole",
    "sed",
    "zlib1g",
];

/// Runs its arguments in the directory `$1`, in which the directory `$2` is at the same place as
/// outside.
const ENTER: &str = r#"
root=$1 tree=$2
shift 2
for directory in /dev /proc "$tree"; do mount --rbind "$directory" "$root$directory" || exit; done
exec chroot "$root" "$@"
"#;

/// The command `make`, to which the caller adds arguments. Paths below `target/` are valid in it.
///
/// # Errors
/// The tools cannot be installed or fetched.
pub(crate) fn make(kernel: &Kernel) -> Result<Command> {
    let suites = kernels::compiler(kernel)?;
    if suites == Suites::Stable {
        return Ok(Command::new("make"));
    }
    let root = root(suites, &compiler(kernel)?)?;
    let target = tree::target();
    fs::create_dir_all(inside(&root, &target))?;
    let mut command = program::with_own_mounts(&["--map-root-user"], ENTER);
    command.args([&root, &target]).arg("make").env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    Ok(command)
}

/// The package of the compiler that the kernel was built with, such as `gcc-14`.
fn compiler(kernel: &Kernel) -> Result<String> {
    let file = kernel.headers().join(".config");
    let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let version = text.lines().find_map(|line| line.strip_prefix("CONFIG_GCC_VERSION="));
    let version = version.and_then(|number| number.parse::<u32>().ok());
    let version = version.with_context(|| format!("{}: no CONFIG_GCC_VERSION", file.display()))?;
    Ok(format!("gcc-{}", version / 10_000))
}

/// A directory with the tools and all that they need, as a root directory.
fn root(suites: Suites, compiler: &str) -> Result<PathBuf> {
    tree::made_once(&format!("tools/{compiler}"), Path::exists, |dir| {
        let archive = Archive::open(suites)?;
        let tools: Vec<_> = TOOLS.into_iter().chain([compiler]).collect();
        archive.unpack(&archive.with_needs(&tools, |_| true)?, dir)?;
        complete(dir)
    })
}

/// Adds what installing the packages would make.
fn complete(root: &Path) -> Result<()> {
    for name in ["bin", "sbin", "lib", "lib64"] {
        if !root.join(name).exists() {
            symlink(format!("usr/{name}"), root.join(name))?;
        }
    }
    for (name, target) in [("awk", "mawk"), ("sh", "dash")] {
        if !root.join("usr/bin").join(name).exists() {
            symlink(target, root.join("usr/bin").join(name))?;
        }
    }
    for name in ["dev", "proc", "tmp"] {
        fs::create_dir_all(root.join(name))?;
    }
    Ok(())
}

/// The place of an absolute path below another root directory.
fn inside(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").unwrap_or(path))
}
