//! `core` for the kernel: compiled with the flags of the module, because both become one object.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;

use super::{FLAGS, TARGET};
use crate::debian::compiler::Compiler;
use crate::{program, tree};

/// The compiler requires this crate; the functions in it come from the kernel.
const NO_BUILTINS: &str = "#![feature(compiler_builtins)]\n#![compiler_builtins]\n#![no_std]\n";

/// The directory `dir` for `--sysroot`, compiled first if the compiler or the flags have changed.
///
/// # Errors
/// `core` does not compile.
pub(super) fn get(compiler: &Compiler, dir: &Path) -> Result<PathBuf> {
    let stamp = dir.join("built-with");
    let wanted = format!("{}\n{}\n", compiler.version()?, FLAGS.join("\n"));
    if fs::read_to_string(&stamp).is_ok_and(|found| found == wanted) {
        return Ok(dir.to_owned());
    }
    tree::recreate(dir)?;
    let libraries = dir.join("lib/rustlib").join(TARGET).join("lib");
    fs::create_dir_all(&libraries)?;
    let source = dir.join("compiler_builtins.rs");
    fs::write(&source, NO_BUILTINS)?;
    compile(compiler, dir, "core", &compiler.library.join("core/src/lib.rs"))?;
    compile(compiler, dir, "compiler_builtins", &source)?;
    fs::write(stamp, wanted)?;
    Ok(dir.to_owned())
}

fn compile(compiler: &Compiler, sysroot: &Path, name: &str, source: &Path) -> Result<()> {
    let mut rustc = compiler.command();
    rustc.args(["--edition=2024", "--crate-type=rlib", "--cap-lints=allow", "--target", TARGET]);
    rustc.args(["--crate-name", name]).args(FLAGS).arg("--sysroot").arg(sysroot);
    rustc.arg("--out-dir").arg(sysroot.join("lib/rustlib").join(TARGET).join("lib"));
    program::quiet(rustc.arg(source).env("RUSTC_BOOTSTRAP", "1")).map(|_| ())
}
