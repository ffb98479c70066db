//! The checks that need no virtual machine.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::build::fuzz;
use crate::build::module;
use crate::check::step::{Step, Verdict};
use crate::check::{architecture, dump_debuggers, dump_readers, kdump_tools, layout, packages, peer_readers};
use crate::debian::kernels;
use crate::{program, tree};

/// The quick checks first, then the module for every kernel.
pub(crate) fn before_stories(soak: bool) -> Vec<Step> {
    let mut steps = vec![
        Step::new("fmt", || cargo(&["fmt", "--all", "--check"])),
        Step::new("architecture", || architecture::check().into()),
        Step::new("clippy", || cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"])),
        Step::new("clippy/purgatory", clippy_of_purgatory),
        Step::new("unit", || cargo(&["test", "--workspace"])),
        Step::new("doc", doc),
        Step::new("deny", || deny(&["bans", "licenses", "sources"])),
        Step::new("advisories", advisories),
    ];
    steps.extend(
        kernels::with_headers()
            .map(|stock| Step::new(format!("module/{}", stock.name), || module(stock.name))),
    );
    steps.extend(packages::steps(soak));
    steps
}

/// Steps that run only when they are asked for by their full names.
pub(crate) fn by_name() -> Vec<Step> {
    vec![Step::new("layout", || layout::check().into())]
}

/// What takes longest.
///
/// # Errors
/// `fuzz/` is no package.
pub(crate) fn after_stories(soak: bool) -> Result<Vec<Step>> {
    let seconds = if soak { 300 } else { 10 };
    let targets = if tree::root().join("fuzz/Cargo.toml").exists() { fuzz::targets()? } else { Vec::new() };
    let fuzz = targets
        .into_iter()
        .map(|name| Step::new(format!("fuzz/{name}"), move || fuzz::check(&name, seconds).into()));
    let readers = if soak {
        [dump_readers::steps(), dump_debuggers::steps(), peer_readers::steps(), kdump_tools::steps()]
            .into_iter()
            .flatten()
            .collect()
    } else {
        Vec::new()
    };
    // It takes longest, so it goes first.
    let all = [Step::new("miri", miri)].into_iter().chain(fuzz);
    Ok(all.map(Step::concurrent).chain(readers).collect())
}

/// The library and `image/` as they are compiled for a machine without an operating system, in a folder of its own, since
/// the compiler would take what it keeps of the one for the other.
fn clippy_of_purgatory() -> Verdict {
    let mut cargo = program::cargo();
    cargo
        .args(["clippy", "--package", "purgatory", "--lib", "--target-dir"])
        .arg(tree::target().join("purgatory"));
    Verdict::of(cargo.args(["--", "--cfg", "purgatory_image", "-D", "warnings"]))
}

/// Builds it, has objtool look at it, and checks instructions, relocations and symbols.
fn module(kernel: &str) -> Verdict {
    let build = |kernel| module::build_sample(&kernel).and_then(|_| module::build_tests(&kernel));
    kernels::get(kernel).and_then(build).map(drop).into()
}

fn cargo(words: &[&str]) -> Verdict {
    Verdict::of(program::cargo().args(words))
}

/// Links between items must lead somewhere, also from private ones.
fn doc() -> Verdict {
    let mut cargo = program::cargo();
    cargo.args(["doc", "--workspace", "--no-deps", "--document-private-items"]);
    Verdict::of(cargo.env("RUSTDOCFLAGS", "-Dwarnings"))
}

fn deny(what: &[&str]) -> Verdict {
    match cargo_deny() {
        Ok(cargo_deny) => {
            Verdict::of(Command::new(cargo_deny).current_dir(tree::root()).arg("check").args(what))
        }
        Err(error) => Verdict::Failed(format!("{error:#}")),
    }
}

/// The advisory database lies in a git repository, which not every machine can reach.
fn advisories() -> Verdict {
    match deny(&["advisories"]) {
        Verdict::Failed(said) if said.contains("failed to fetch") || said.contains("unable to fetch") => {
            Verdict::Skipped("the advisory database cannot be reached from here".to_owned())
        }
        verdict => verdict,
    }
}

const CARGO_DENY: &str = "cargo-deny@0.20.2";

/// The one on the search path, else our own, built once.
fn cargo_deny() -> Result<PathBuf> {
    if let Some(found) = program::find("cargo-deny") {
        return Ok(found);
    }
    let root = tree::target().join("tools");
    let installed = root.join("bin/cargo-deny");
    let _lock = tree::lock("tools")?;
    if !installed.exists() {
        let mut cargo = program::cargo();
        // Optimising it would take three times as long as it ever will run.
        cargo.args(["install", "--quiet", "--locked", "--debug", CARGO_DENY, "--root"]).arg(&root);
        cargo.env("CARGO_PROFILE_DEV_DEBUG", "0");
        program::quiet(&mut cargo).context("cargo-deny cannot be installed")?;
    }
    Ok(installed)
}

/// The thinking crates that promise to be free of undefined behaviour whatever they are given.
const UNDER_MIRI: [&str; 3] = ["claims", "kimage", "phys"];

fn miri() -> Verdict {
    if let Err(reason) = have_miri() {
        return Verdict::Skipped(format!("miri is not installed: {reason:#}"));
    }
    let mut miri = nightly("cargo");
    miri.args(["miri", "test"]).current_dir(tree::root());
    for package in UNDER_MIRI.iter().filter(|package| tree::root().join("crates").join(package).exists()) {
        miri.args(["--package", package]);
    }
    // proptest looks for the cases that failed before, and miri takes a thousand times as long for each.
    miri.env("MIRIFLAGS", "-Zmiri-disable-isolation").env("PROPTEST_CASES", "4");
    Verdict::of(miri.arg("--target-dir").arg(tree::target().join("miri")))
}

fn have_miri() -> Result<()> {
    if program::quiet(nightly("cargo").args(["miri", "--version"])).is_err() {
        program::quiet(Command::new("rustup").args([
            "component",
            "add",
            "--toolchain",
            "nightly",
            "miri",
            "rust-src",
        ]))?;
    }
    Ok(())
}

/// A program of the nightly toolchain: the environment that cargo sets for us names the stable one.
fn nightly(program: &str) -> Command {
    let mut command = Command::new(program);
    command.env("RUSTUP_TOOLCHAIN", "nightly");
    for name in ["CARGO", "RUSTC", "RUSTDOC", "RUSTC_BOOTSTRAP", "RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS"] {
        command.env_remove(name);
    }
    command
}
