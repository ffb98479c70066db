//! The targets of `fuzz/`, built for libFuzzer with the stable compiler.
//!
//! The directory has the layout of cargo-fuzz, but neither that nor a nightly compiler is needed:
//! the flags are few, and `RUSTC_BOOTSTRAP` makes the compiler accept unstable ones.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::debian::packages;
use crate::{program, tree};

const TARGET: &str = "x86_64-unknown-linux-gnu";

/// Coverage counters, comparisons for libFuzzer to learn from, and checks that a release build
/// leaves out.
const FLAGS: [&str; 9] = [
    "--cfg=fuzzing",
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Zsanitizer=address",
    "-Cdebug-assertions",
    "-Coverflow-checks",
];

/// The names of all targets.
///
/// # Errors
/// `fuzz/` is not a package.
pub(crate) fn targets() -> Result<Vec<String>> {
    let mut cargo = program::cargo();
    cargo.args(["metadata", "--no-deps", "--format-version=1", "--manifest-path", "fuzz/Cargo.toml"]);
    let metadata: Value = serde_json::from_str(&program::read(&mut cargo)?)?;
    let targets =
        metadata["packages"][0]["targets"].as_array().context("cargo metadata lists no targets of fuzz/")?;
    Ok(targets.iter().filter_map(|target| target["name"].as_str()).map(str::to_owned).collect())
}

/// Builds a target and runs it for this many seconds without output.
///
/// # Errors
/// It does not build, or an input makes it fail; the message names the file with the input.
pub(crate) fn check(name: &str, seconds: u64) -> Result<()> {
    program::quiet(&mut search(name, seconds)?).map(drop)
}

/// A command that runs a target, built first if it is out of date.
///
/// # Errors
/// It does not build.
pub(crate) fn search(name: &str, seconds: u64) -> Result<Command> {
    packages::for_fuzzing()?;
    let mut program = Command::new(build(name)?);
    let [corpus, artifacts, seeds] =
        ["corpus", "artifacts", "seeds"].map(|what| tree::root().join("fuzz").join(what).join(name));
    for dir in [&corpus, &artifacts] {
        fs::create_dir_all(dir)?;
    }
    program
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-artifact_prefix={}/", artifacts.display()));
    // An input that claims 64 TiB of memory takes a second, and many times that on a busy host.
    program.args(["-timeout=60", "-rss_limit_mb=2048", "-print_final_stats=1"]).arg(corpus);
    // Each decompressor of libdeflate has a table of the same name, which C permits.
    program.env("ASAN_OPTIONS", "detect_odr_violation=0");
    // Inputs to start from, named after what they contain.
    program.args(seeds.is_dir().then_some(seeds));
    Ok(program)
}

fn build(name: &str) -> Result<PathBuf> {
    let dir = tree::target().join("fuzz");
    let mut cargo = program::cargo();
    cargo.args(["build", "--quiet", "--release", "--target", TARGET, "--manifest-path", "fuzz/Cargo.toml"]);
    cargo.args(["--bin", name, "--target-dir"]).arg(&dir);
    cargo.env("RUSTC_BOOTSTRAP", "1").env_remove("RUSTFLAGS");
    cargo.env("CARGO_ENCODED_RUSTFLAGS", FLAGS.join("\x1f"));
    // Symbols make a report readable. One codegen unit keeps the table of coverage counters
    // complete.
    cargo
        .env("CARGO_PROFILE_RELEASE_DEBUG", "line-tables-only")
        .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "1");
    program::run(&mut cargo)?;
    Ok(dir.join(TARGET).join("release").join(name))
}
