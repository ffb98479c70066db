//! Debian's programs that kjump's dumps are compared and checked with, to run on this machine. Most
//! are unpacked below `target/` and not installed.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use crate::debian::apt::{self, Suites};
use crate::debian::{kernels, packages};

/// Debian's makedumpfile, with the libraries that may be missing on a machine.
const MAKEDUMPFILE: &[&str] = &[
    "makedumpfile",
    "libgcc-s1",
    "libdw1",
    "libelf1",
    "libbz2-1.0",
    "liblzo2-2",
    "liblzma5",
    "zlib1g",
    "libzstd1",
];

/// A command that runs Debian's makedumpfile.
///
/// # Errors
/// It cannot be fetched.
pub(crate) fn makedumpfile() -> Result<Command> {
    let dir = unpacked("makedumpfile", MAKEDUMPFILE)?;
    let mut command = Command::new(dir.join("usr/bin/makedumpfile"));
    let libraries = ["lib", "usr/lib"].map(|lib| dir.join(lib).join("x86_64-linux-gnu"));
    command.env("LD_LIBRARY_PATH", std::env::join_paths(libraries)?);
    Ok(command)
}

/// The directory of Debian's kdump-tools, with the shell functions that its scripts use.
///
/// # Errors
/// They cannot be fetched.
pub(crate) fn kdump_tools() -> Result<PathBuf> {
    unpacked("kdump-tools", &["kdump-tools", "sysvinit-utils"])
}

/// Debian's newest makedumpfile, which knows newer kernels and Zstandard, with the libraries of its
/// release.
const NEWEST_MAKEDUMPFILE: &[&str] = &[
    "makedumpfile",
    "libc6",
    "libgcc-s1",
    "libdw1t64",
    "libelf1t64",
    "libbz2-1.0",
    "liblzo2-2",
    "liblzma5",
    "zlib1g",
    "libzstd1",
];

/// A command that runs Debian's newest makedumpfile.
///
/// # Errors
/// It cannot be fetched.
pub(crate) fn newest_makedumpfile() -> Result<Command> {
    let dir = unpacked_from(Suites::Unstable, "tools/newest-makedumpfile", NEWEST_MAKEDUMPFILE)?;
    Ok(with_own_libraries(&dir, "makedumpfile"))
}

/// Programs other than makedumpfile that read dumps. Those of the release do not know kernels newer
/// than themselves.
const READERS: &[&str] = &["crash", "python3-drgn", "python3-pykdumpfile"];

/// A command that runs crash: the one of the release, which is installed, or Debian's newest.
///
/// # Errors
/// It cannot be installed or fetched.
pub(crate) fn crash(age: Age) -> Result<Command> {
    match age {
        Age::Release => packages::for_readers().map(|()| Command::new("crash")),
        Age::Newest => newest_reader("crash"),
    }
}

/// A command that runs Python with drgn and libkdumpfile of this age.
///
/// # Errors
/// It cannot be installed or fetched.
pub(crate) fn python(age: Age) -> Result<Command> {
    match age {
        Age::Release => packages::for_readers().map(|()| Command::new("/usr/bin/python3")),
        Age::Newest => newest_reader("python3"),
    }
}

/// How old a reader is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Age {
    /// That of the release whose packages the lab uses.
    Release,
    /// Debian's newest.
    Newest,
}

/// With the C library and everything else that it needs, of the same release.
fn newest_reader(program: &str) -> Result<Command> {
    let dir = apt::unpacked(Suites::Unstable, "tools/newest-readers", |archive| {
        archive.with_needs(READERS, |_| true)
    })?;
    Ok(with_own_libraries(&dir, program))
}

/// A command that edits UEFI variables in the flash of a virtual machine: `virt-fw-vars`.
///
/// # Errors
/// It cannot be fetched.
pub(crate) fn uefi_variables() -> Result<Command> {
    let dir = apt::unpacked(Suites::Unstable, "tools/virt-firmware", |archive| {
        archive.with_needs(&["python3-virt-firmware"], |_| true)
    })?;
    let mut command = with_own_libraries(&dir, "python3");
    command.args(["-m", "virt.firmware.vars"]);
    Ok(command)
}

/// A command that runs a program of Debian's package `rpm`, and does not touch a database of RPM
/// that is not named. It may write to the directory.
///
/// # Errors
/// It cannot be fetched.
pub(crate) fn rpm(program: &str, dir: &Path) -> Result<Command> {
    let rpm = apt::unpacked(Suites::Stable, "tools/rpm", |archive| {
        // Its scripts in Perl are not run.
        archive.with_needs(&["rpm"], |name| name.starts_with("lib") || name.starts_with("rpm"))
    })?;
    let mut command = with_own_libraries(&rpm, program);
    // Configuration of the user's would change what is made.
    command.env("RPM_CONFIGDIR", rpm.join("usr/lib/rpm")).env("HOME", dir);
    Ok(command)
}

/// A command that runs a program of unpacked packages with the C library and the Python that are
/// among them.
fn with_own_libraries(dir: &Path, program: &str) -> Command {
    const LOADER: &str = "ld-linux-x86-64.so.2";
    // Debian 12 has its C library in /lib.
    let libraries = ["usr/lib", "lib"].map(|lib| dir.join(lib).join("x86_64-linux-gnu"));
    let loader = libraries.iter().map(|dir| dir.join(LOADER)).find(|loader| loader.exists());
    let mut command = Command::new(loader.unwrap_or_else(|| libraries[0].join(LOADER)));
    let path = libraries.map(|dir| dir.display().to_string()).join(":");
    command.arg("--library-path").arg(path).arg(dir.join("usr/bin").join(program));
    command.env("PYTHONHOME", dir.join("usr"));
    command
}

/// The kernel's file with debugging information, which debuggers need to read dumps. A large
/// download.
///
/// # Errors
/// It cannot be fetched.
pub(crate) fn vmlinux(kernel: &lab::Kernel) -> Result<PathBuf> {
    let package = format!("linux-image-{}-dbg", kernel.release);
    let dir =
        unpacked_from(kernels::suites(kernel)?, &format!("debug/{}", kernel.release), &[package.as_str()])?;
    Ok(dir.join("usr/lib/debug/boot").join(format!("vmlinux-{}", kernel.release)))
}

/// The directory of OpenSSH's client and server, and of everything that they need.
///
/// # Errors
/// They cannot be fetched.
pub(crate) fn openssh() -> Result<PathBuf> {
    apt::unpacked(Suites::Stable, "tools/openssh", |archive| {
        archive.with_needs(&["openssh-client", "openssh-server"], |_| true)
    })
}

fn unpacked(name: &str, packages: &[&str]) -> Result<PathBuf> {
    unpacked_from(Suites::Stable, &format!("tools/{name}"), packages)
}

/// A directory below `target/` with these packages in it.
fn unpacked_from(suites: Suites, name: &str, packages: &[&str]) -> Result<PathBuf> {
    apt::unpacked(suites, name, |_| Ok(packages.iter().map(|name| (*name).to_owned()).collect()))
}
