//! The steps that need no virtual machine.

use std::process::Command;

use anyhow::Result;

use crate::build::fuzz;
use crate::build::module;
use crate::check::step::{Step, Verdict};
use crate::check::{
    architecture, bochs, dump_debuggers, dump_forms, dump_readers, kdump_tools, layout, packages,
    peer_readers, rpm, uploads,
};
use crate::debian::apt::Suites;
use crate::debian::kernels;
use crate::{program, tree};

/// The quick steps first, then the module for every kernel.
pub(crate) fn before_stories(soak: bool) -> Vec<Step> {
    let mut steps = vec![
        Step::new("fmt", || cargo(&["fmt", "--all", "--check"])),
        Step::new("layout", || layout::check().into()),
        Step::new("architecture", || architecture::check().into()),
        Step::new("clippy", || cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"])),
        Step::new("clippy/purgatory", || clippy_of_image("purgatory")),
        Step::new("clippy/bios", || clippy_of_image("bios")),
        Step::new("clippy/memtest", || clippy_of_image("memtest")),
        Step::new("unit", || cargo(&["test", "--workspace"])),
        Step::new("doc", doc),
        Step::new("deny", || deny(&["bans", "licenses", "sources"])),
        Step::new("advisories", advisories),
    ];
    steps.extend(
        kernels::with_headers()
            // Debian unstable changes daily, and the newest backport is as new. The real-time
            // kernels have the same sources as the others.
            .filter(|stock| soak || stock.compiler != Some(Suites::Unstable) && !stock.name.ends_with("-rt"))
            .map(|stock| Step::new(format!("module/{}", stock.name), || module(stock.name))),
    );
    steps.extend(packages::steps(soak));
    steps.extend(rpm::steps(soak));
    steps
}

/// The steps that take longest.
///
/// # Errors
/// `fuzz/` is not a package.
pub(crate) fn after_stories(soak: bool) -> Result<Vec<Step>> {
    let seconds = if soak { 300 } else { 10 };
    let targets = if tree::root().join("fuzz/Cargo.toml").exists() { fuzz::targets()? } else { Vec::new() };
    let fuzz = targets
        .into_iter()
        .map(|name| Step::new(format!("fuzz/{name}"), move || fuzz::check(&name, seconds).into()));
    let readers = if soak {
        [
            bochs::steps(),
            vec![Step::new("dump/limits", dump_limits)],
            dump_readers::steps(),
            dump_debuggers::steps(),
            dump_forms::steps(),
            peer_readers::steps(),
            kdump_tools::steps(),
            uploads::steps(),
        ]
        .into_iter()
        .flatten()
        .collect()
    } else {
        Vec::new()
    };
    // miri takes longest, so it starts first.
    let all = [Step::new("miri", miri)].into_iter().chain(fuzz);
    Ok(all.map(Step::concurrent).chain(readers).collect())
}

/// Lints the library and `image/` as they are compiled for a machine without an operating system.
/// They have a target directory of their own, because cargo would mix up the two builds.
fn clippy_of_image(name: &str) -> Verdict {
    let mut cargo = program::cargo();
    cargo.args(["clippy", "--package", name, "--lib", "--target-dir"]).arg(tree::target().join(name));
    Verdict::of(cargo.args(["--", "--cfg", &format!("{name}_image"), "-D", "warnings"]))
}

/// Builds the module, which runs objtool, and checks its instructions, relocations and symbols.
fn module(kernel: &str) -> Verdict {
    let build = |kernel| module::build_sample(&kernel).and_then(|_| module::build_tests(&kernel));
    kernels::get(kernel).and_then(build).map(drop).into()
}

fn cargo(arguments: &[&str]) -> Verdict {
    Verdict::of(program::cargo().args(arguments))
}

/// The unit tests of dumps that take minutes.
fn dump_limits() -> Verdict {
    cargo(&["test", "--package", "kjump", "--test", "dump_limits", "--", "--ignored"])
}

/// Links between items must resolve, also from private items.
fn doc() -> Verdict {
    let mut cargo = program::cargo();
    cargo.args(["doc", "--workspace", "--no-deps", "--document-private-items"]);
    Verdict::of(cargo.env("RUSTDOCFLAGS", "-Dwarnings"))
}

fn deny(checks: &[&str]) -> Verdict {
    match program::of_crate("cargo-deny@0.20.2", &[]) {
        Ok(cargo_deny) => {
            Verdict::of(Command::new(cargo_deny).current_dir(tree::root()).arg("check").args(checks))
        }
        Err(error) => Verdict::Failed(format!("{error:#}")),
    }
}

/// The advisory database is a git repository, which not every machine can reach.
fn advisories() -> Verdict {
    match deny(&["advisories"]) {
        Verdict::Failed(text) if text.contains("failed to fetch") || text.contains("unable to fetch") => {
            Verdict::Skipped("the advisory database cannot be reached".to_owned())
        }
        verdict => verdict,
    }
}

/// The crates without `unsafe` that the module is built from.
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
    // proptest reads the file of failed cases, which isolation forbids. miri is a thousand times
    // slower, so a few cases are enough.
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

/// A program of the nightly toolchain. The environment that cargo sets names the stable one.
fn nightly(program: &str) -> Command {
    let mut command = Command::new(program);
    command.env("RUSTUP_TOOLCHAIN", "nightly");
    for name in ["CARGO", "RUSTC", "RUSTDOC", "RUSTC_BOOTSTRAP", "RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS"] {
        command.env_remove(name);
    }
    command
}
