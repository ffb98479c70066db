//! kjump.ko: the Rust object, then Kbuild, then checks of the result.

mod checks;
mod sysroot;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};
use lab::Kernel;

use crate::debian::compiler::{self, Compiler};
use crate::debian::{packages, toolchain};
use crate::{program, tree};

/// How the Rust half is compiled: the kernel's code model, no vector registers, no red zone, the
/// kernel's mitigations. `-Zplt` keeps calls off the global offset table, which the module loader
/// does not know.
const FLAGS: [&str; 12] = [
    "-Copt-level=2",
    "-Cpanic=abort",
    "-Crelocation-model=static",
    "-Ccode-model=kernel",
    "-Cforce-unwind-tables=no",
    "-Cjump-tables=no",
    "-Zplt=yes",
    "-Zfunction-return=thunk-extern",
    "-Zretpoline",
    "-Zretpoline-external-thunk",
    "-Zcf-protection=branch",
    "-Zlocation-detail=none",
];
const TARGET: &str = "x86_64-unknown-none";
/// Kbuild's inputs in addition to the Rust object and the C files in `glue/`.
const SOURCES: [&str; 4] = ["Kbuild", "kjump.h", "kjump_abi.h", "seam.h"];
/// The headers for other modules.
const HEADERS: [&str; 2] = ["kjump.h", "kjump_abi.h"];

/// The module for a kernel, built if it is out of date, and checked.
///
/// # Errors
/// It does not build, objtool prints a warning, or a check fails.
pub(crate) fn build(kernel: &Kernel) -> Result<PathBuf> {
    packages::for_module()?;
    let _lock = tree::lock("module")?;
    let object = rust_object()?;
    let dir = tree::target().join("module").join(&kernel.name);
    let module = dir.join("kjump.ko");
    let stamp = dir.join("built-from");
    let inputs = inputs(&object)?;
    if fs::read_to_string(&stamp).is_ok_and(|from| from == inputs) {
        return Ok(module);
    }
    tree::recreate(&dir)?;
    lay_out(&dir, &object)?;
    kbuild(kernel, &dir)?;
    checks::check(kernel, &dir)?;
    fs::write(stamp, inputs)?;
    Ok(module)
}

/// The sample module that calls an image from the kernel.
///
/// # Errors
/// As for [`build`].
pub(crate) fn build_sample(kernel: &Kernel) -> Result<PathBuf> {
    Ok(build_others(kernel, "samples")?.join("kjump_sample.ko"))
}

/// The directory of the modules that tests need: one that hangs the kernel, one that refuses to
/// suspend.
///
/// # Errors
/// As for [`build`].
pub(crate) fn build_tests(kernel: &Kernel) -> Result<PathBuf> {
    build_others(kernel, "tests")
}

/// The modules of a directory below `module/`, built against [`build`]'s symbols if they are out of
/// date.
fn build_others(kernel: &Kernel, name: &str) -> Result<PathBuf> {
    let module = build(kernel)?;
    let Some(built) = module.parent() else { bail!("{} has no directory", module.display()) };
    let _lock = tree::lock("module")?;
    // This directory is removed whenever the module itself is built again.
    let dir = built.join(name);
    let sources = tree::root().join("module");
    let mut files = HEADERS.map(|header| sources.join(header)).to_vec();
    for entry in fs::read_dir(sources.join(name))? {
        files.push(entry?.path());
    }
    files.sort();
    let (stamp, inputs) = (dir.join("built-from"), digest(&files)?);
    if fs::read_to_string(&stamp).is_ok_and(|from| from == inputs) {
        return Ok(dir);
    }
    tree::recreate(&dir)?;
    for file in &files {
        fs::copy(file, dir.join(file.file_name().unwrap_or_default()))?;
    }
    let symbols = format!("KBUILD_EXTRA_SYMBOLS={}", built.join("Module.symvers").display());
    make(kernel, &dir, &[symbols])?;
    fs::write(stamp, inputs)?;
    Ok(dir)
}

/// The Rust half, as one object. Cargo knows when it is out of date.
///
/// # Errors
/// The compiler cannot be fetched, or the object does not build.
pub(crate) fn rust_object() -> Result<PathBuf> {
    object_of(tree::root(), &tree::target().join("module"))
}

/// The Rust half of a copy of this tree in another directory, built from nothing.
///
/// # Errors
/// The tree cannot be copied, or the object does not build.
pub(crate) fn rust_object_of_copy(root: &Path) -> Result<PathBuf> {
    tree::recreate(root)?;
    let mut copy = Command::new("cp");
    copy.arg("--archive").args(WORKSPACE).arg(root).current_dir(tree::root());
    program::quiet(&mut copy)?;
    object_of(root, &root.join("module-object"))
}

/// What cargo needs of the tree to build one of its members.
const WORKSPACE: [&str; 7] = ["Cargo.lock", "Cargo.toml", "bare", "crates", "lab", "module", "xtask"];

fn object_of(root: &Path, dir: &Path) -> Result<PathBuf> {
    let compiler = compiler::get()?;
    let sysroot = sysroot::get(&compiler, &dir.join("sysroot"))?;
    let target = dir.join("rust");
    let mut cargo = program::cargo();
    cargo.args(["build", "--quiet", "--profile=module", "--target", TARGET, "--package=kjump-module"]);
    cargo.arg("--target-dir").arg(&target).current_dir(root);
    for_kernel(&mut cargo, &compiler);
    let flags = FLAGS.map(str::to_owned).into_iter().chain([format!("--sysroot={}", sysroot.display())]);
    cargo.env("CARGO_ENCODED_RUSTFLAGS", flags.collect::<Vec<_>>().join("\x1f"));
    program::run(&mut cargo)?;
    link(&target.join(TARGET).join("module/libkjump_module.a"), &target)
}

/// The flags are unstable; they exist for the kernel.
fn for_kernel(command: &mut Command, compiler: &Compiler) {
    for name in ["RUSTFLAGS", "RUSTUP_TOOLCHAIN", "RUSTC_WRAPPER"] {
        command.env_remove(name);
    }
    command.env("RUSTC_BOOTSTRAP", "1").env("RUSTC", &compiler.rustc);
    command.env("LD_LIBRARY_PATH", &compiler.library_path);
}

/// Takes the one object that contains the crates, link-time optimised, out of the archive. The rest
/// of the archive is not used: `memcpy` and similar functions come from the kernel.
fn link(archive: &Path, dir: &Path) -> Result<PathBuf> {
    let parts = dir.join("objects");
    tree::recreate(&parts)?;
    program::quiet(Command::new("ar").arg("x").arg(archive).current_dir(&parts))?;
    let mut ours: Vec<_> =
        fs::read_dir(&parts)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?;
    ours.retain(|path| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("kjump_module"))
    });
    ours.sort();
    let object = dir.join("kjump_rust.o");
    let mut ld = Command::new("ld");
    ld.args(["-m", "elf_x86_64", "-r", "-z", "noexecstack", "--gc-sections"]);
    for entry in entries()? {
        ld.arg("-u").arg(entry);
    }
    program::quiet(ld.arg("-o").arg(&object).args(&ours))?;
    let drop =
        [".llvmbc", ".llvmcmd", ".eh_frame", ".comment"].map(|name| format!("--remove-section={name}"));
    program::quiet(Command::new("objcopy").args(drop).arg(&object))?;
    Ok(object)
}

/// What the C half calls, as `module/seam.h` declares it.
fn entries() -> Result<Vec<String>> {
    let seam = fs::read_to_string(tree::root().join("module/seam.h"))?;
    let before_parentheses = seam.split('(').filter_map(|text| text.rsplit([' ', '*']).next());
    Ok(before_parentheses.filter(|name| name.starts_with("kjr_")).map(str::to_owned).collect())
}

/// A digest of everything that Kbuild's result depends on, except the kernel, which does not
/// change.
fn inputs(object: &Path) -> Result<String> {
    let root = tree::root().join("module");
    let files: Vec<_> = sources()?.iter().map(|name| root.join(name)).chain([object.to_owned()]).collect();
    digest(&files)
}

/// Paths of the C half, relative to `module/`.
///
/// # Errors
/// `module/glue` cannot be read.
pub(crate) fn sources() -> Result<Vec<PathBuf>> {
    let mut paths: Vec<_> = SOURCES.iter().map(PathBuf::from).collect();
    for entry in fs::read_dir(tree::root().join("module/glue"))? {
        paths.push(Path::new("glue").join(entry?.file_name()));
    }
    paths.sort();
    Ok(paths)
}

fn digest(files: &[PathBuf]) -> Result<String> {
    let mut digest = String::new();
    for file in files {
        let sum = program::read(Command::new("sha256sum").arg("--").arg(file))?;
        digest.push_str(sum.split_whitespace().next().unwrap_or_default());
        digest.push('\n');
    }
    Ok(digest)
}

fn lay_out(dir: &Path, object: &Path) -> Result<()> {
    fs::create_dir(dir.join("glue"))?;
    for name in sources()? {
        fs::copy(tree::root().join("module").join(&name), dir.join(&name))?;
    }
    fs::copy(object, dir.join("kjump_rust.o_shipped"))?;
    Ok(())
}

fn kbuild(kernel: &Kernel, dir: &Path) -> Result<()> {
    let output = make(kernel, dir, &[])?;
    let objtool: Vec<_> =
        output.lines().filter(|line| line.contains("objtool") || line.contains("warning")).collect();
    if !objtool.is_empty() {
        bail!("building the module for {} prints warnings:\n{}", kernel.name, objtool.join("\n"));
    }
    Ok(())
}

/// Runs Kbuild and returns its output.
fn make(kernel: &Kernel, dir: &Path, variables: &[String]) -> Result<String> {
    let mut make = toolchain::make(kernel)?;
    make.arg("-C").arg(kernel.headers()).arg(format!("M={}", dir.display())).args(variables).arg("modules");
    // Kbuild must not see what an outer make or cargo passes down.
    for name in ["MAKEFLAGS", "MFLAGS", "MAKELEVEL", "CARGO_MAKEFLAGS"] {
        make.env_remove(name);
    }
    let output = program::quiet(&mut make)?;
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.push_str(&String::from_utf8_lossy(&output.stderr));
    Ok(text)
}
