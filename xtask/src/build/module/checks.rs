//! Checks of a module before it is loaded: its instructions, its relocations, the symbols it
//! imports.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use lab::Kernel;

use crate::{program, tree};

/// Relocations that `arch/x86/kernel/module.c`, `__write_relocate_add` applies.
const RELOCATIONS: [&str; 6] =
    ["R_X86_64_64", "R_X86_64_32", "R_X86_64_32S", "R_X86_64_PC32", "R_X86_64_PLT32", "R_X86_64_PC64"];

/// Checks a built module and prints its size.
///
/// # Errors
/// The first check that fails.
pub(super) fn check(kernel: &Kernel, dir: &Path) -> Result<()> {
    let module = dir.join("kjump.ko");
    no_vector_registers(&module)?;
    only_known_relocations(&module)?;
    only_allowed_symbols(kernel, &module)?;
    let stripped = dir.join("kjump.stripped.ko");
    program::quiet(Command::new("strip").arg("--strip-debug").arg("-o").arg(&stripped).arg(&module))?;
    // Standard output belongs to the guest.
    eprintln!("kjump.ko for {}: {} bytes stripped", kernel.release, fs::metadata(&stripped)?.len());
    Ok(())
}

/// Vector registers belong to user space. The relocator uses them to move pages, but is data here:
/// it runs elsewhere.
fn no_vector_registers(module: &Path) -> Result<()> {
    let text = program::read(Command::new("objdump").args(["-d", "--no-show-raw-insn"]).arg(module))?;
    let vector =
        |line: &&str| ["%xmm", "%ymm", "%zmm", "%st("].iter().any(|register| line.contains(register));
    match text.lines().find(vector) {
        Some(line) => bail!("{} uses vector registers: {}", module.display(), line.trim()),
        None => Ok(()),
    }
}

fn only_known_relocations(module: &Path) -> Result<()> {
    let text = program::read(Command::new("readelf").args(["-rW"]).arg(module))?;
    let kinds = text.split_whitespace().filter(|word| word.starts_with("R_X86_64_"));
    let unknown: BTreeSet<_> = kinds.filter(|kind| !RELOCATIONS.contains(kind)).collect();
    if !unknown.is_empty() {
        bail!("{} has relocations that the module loader does not know: {unknown:?}", module.display());
    }
    Ok(())
}

/// One list for all kernels, one for each series, and one for real-time kernels of all series:
/// `module/symbols/`.
fn only_allowed_symbols(kernel: &Kernel, module: &Path) -> Result<()> {
    let imported = program::read(Command::new("nm").args(["-u", "-P"]).arg(module))?;
    let mut allowed = BTreeSet::new();
    let series = kernel.name.split('-').next().unwrap_or(&kernel.name);
    let real_time = kernel.name.ends_with("-rt").then_some("rt");
    for list in ["all", series].into_iter().chain(real_time) {
        let path = tree::root().join("module/symbols").join(list);
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        allowed.extend(text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned));
    }
    let names = imported.lines().filter_map(|line| line.split_whitespace().next());
    let unlisted: Vec<_> = names.filter(|name| !allowed.contains(*name)).collect();
    if !unlisted.is_empty() {
        bail!(
            "{} imports symbols that are not on the list for {}: {}",
            module.display(),
            kernel.name,
            unlisted.join(" ")
        );
    }
    Ok(())
}
