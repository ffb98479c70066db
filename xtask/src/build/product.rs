//! Everything under test, built when it is out of date, and what the lab needs to run it.

use std::fs;
use std::path::PathBuf;

use anyhow::{Result, bail};
use lab::{Kernel, Kit, Product, Vm};

use crate::build::{module, payloads};
use crate::debian::apt::{self, Suites};
use crate::debian::{kernels, packages};
use crate::{program, tree};

/// Builds everything for a kernel that is out of date. A part without sources is left out.
///
/// # Errors
/// A part does not build.
pub(crate) fn product_for(kernel: &Kernel) -> Result<Product> {
    let has_module = kernels::has_headers(kernel);
    Ok(Product {
        kjump: kjump()?,
        module: has_module.then(|| module::build(kernel)).transpose()?,
        sample: has_module.then(|| module::build_sample(kernel)).transpose()?,
        test_modules: has_module.then(|| module::build_tests(kernel)).transpose()?,
        payloads: Some(payloads::build()?),
        instruments: instruments()?,
    })
}

/// A virtual machine with this kernel and everything built for it.
///
/// # Errors
/// The kernel cannot be fetched, or something does not build.
pub(crate) fn vm(kernel: &str) -> Result<Vm> {
    let kernel = kernels::get(kernel)?;
    let product = product_for(&kernel)?;
    name_missing(&product);
    Ok(Vm::new(kernel, product, kit()?))
}

/// The same machine with one more kernel in it, and everything built for that kernel.
///
/// # Errors
/// As for [`vm`].
pub(crate) fn beside(vm: Vm, kernel: &str) -> Result<Vm> {
    let kernel = kernels::get(kernel)?;
    let product = product_for(&kernel)?;
    Ok(vm.with_peer(kernel, product))
}

/// What the lab needs in a guest in addition to the product.
///
/// # Errors
/// The agent does not build, or busybox or UEFI firmware cannot be fetched.
pub(crate) fn kit() -> Result<Kit> {
    packages::for_lab()?;
    let agent = static_program("lab", "lab-agent")?;
    let busybox = from_package("busybox-static", "busybox", "bin/busybox")?;
    let uefi = from_package("ovmf", "ovmf", "usr/share/ovmf/OVMF.fd")?;
    Ok(Kit { agent, busybox, uefi, runs: tree::target().join("lab") })
}

/// Reports on standard error what a guest will not have.
fn name_missing(product: &Product) {
    let parts = [("kjump", &product.kjump), ("kjump.ko", &product.module), ("payloads", &product.payloads)];
    let missing: Vec<_> = parts.iter().filter(|(_, part)| part.is_none()).map(|(name, _)| *name).collect();
    if !missing.is_empty() {
        eprintln!("lab: not built, so not in the guest: {}", missing.join(", "));
    }
}

fn kjump() -> Result<Option<PathBuf>> {
    if !tree::root().join("crates/kjump/Cargo.toml").exists() {
        return Ok(None);
    }
    static_program("kjump", "kjump").map(Some)
}

/// Builds a program that runs without libraries.
///
/// # Errors
/// It does not build; cargo has printed the reason.
pub(crate) fn static_program(package: &str, name: &str) -> Result<PathBuf> {
    Ok(build_static(package, &["--bin", name])?.join(name))
}

/// The programs that check and measure in a guest.
fn instruments() -> Result<Vec<PathBuf>> {
    let built = build_static("instruments", &["--bins"])?;
    let mut programs = Vec::new();
    for source in fs::read_dir(tree::root().join("lab/instruments/src/bin"))? {
        programs.push(built.join(source?.file_name()));
    }
    programs.sort();
    Ok(programs)
}

/// Builds for guests without libraries. Returns the directory of what was built.
fn build_static(package: &str, what: &[&str]) -> Result<PathBuf> {
    const TARGET: &str = "x86_64-unknown-linux-gnu";
    let dir = tree::target().join("static");
    let mut cargo = program::cargo();
    cargo.args(["build", "--quiet", "--release", "--target", TARGET, "--package", package]).args(what);
    cargo.arg("--target-dir").arg(&dir);
    // With --target, the flags are for the program only, not for the build scripts of what it uses.
    cargo.env_remove("RUSTFLAGS").env("CARGO_ENCODED_RUSTFLAGS", static_flags()?.join("\x1f"));
    program::run(&mut cargo)?;
    Ok(dir.join(TARGET).join("release"))
}

/// Paths of registry sources are replaced, so that every machine builds the same bytes.
fn static_flags() -> Result<Vec<String>> {
    let mut flags = vec!["-Ctarget-feature=+crt-static".to_owned()];
    let Some(home) = cargo_home() else { return Ok(flags) };
    let Ok(registries) = fs::read_dir(home.join("registry/src")) else { return Ok(flags) };
    for registry in registries {
        flags.push(format!("--remap-path-prefix={}=/registry", registry?.path().display()));
    }
    flags.sort();
    Ok(flags)
}

fn cargo_home() -> Option<PathBuf> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")))
}

/// A file of a Debian package, which is unpacked below `target/`.
fn from_package(package: &str, directory: &str, file: &str) -> Result<PathBuf> {
    let dir = apt::unpacked(Suites::Stable, directory, |_| Ok(vec![package.to_owned()]))?;
    let file = dir.join(file);
    if !file.exists() {
        bail!("the package {package} does not contain {}", file.display());
    }
    Ok(file)
}
