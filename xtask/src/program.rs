//! Running other programs. Errors name the command line that failed.

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use anyhow::{Context as _, Result, bail};

use crate::tree;

/// Runs a program whose output belongs to the user.
///
/// # Errors
/// The program cannot be started, or fails.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("cannot run {}", line(command)))?;
    if !status.success() {
        bail!("{} failed: {status}", line(command));
    }
    Ok(())
}

/// Runs a program and returns its standard output. Its standard error becomes part of the error.
///
/// # Errors
/// The program cannot be started, fails, or prints something that is not UTF-8.
pub(crate) fn read(command: &mut Command) -> Result<String> {
    let output = quiet(command)?;
    String::from_utf8(output.stdout).with_context(|| format!("{}: the output is not UTF-8", line(command)))
}

/// Runs a program whose output is shown only if it fails.
///
/// # Errors
/// The program cannot be started, or fails.
pub(crate) fn quiet(command: &mut Command) -> Result<Output> {
    let output =
        command.stdin(Stdio::null()).output().with_context(|| format!("cannot run {}", line(command)))?;
    if !output.status.success() {
        let complaint = String::from_utf8_lossy(&output.stderr);
        bail!("{} failed: {}\n{}", line(command), output.status, complaint.trim_end());
    }
    Ok(output)
}

/// A shell script with mounts of its own, which end with it. The caller adds its arguments, `$1`
/// and the following; `options` are further ones of unshare(1).
pub(crate) fn with_own_mounts(options: &[&str], script: &str) -> Command {
    let mut command = Command::new("unshare");
    command.arg("--mount").args(options).args(["sh", "-c", script, "sh"]);
    command
}

/// The program of this name on the search path.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    // Not every user's path has the directories of administration programs.
    let places = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    places.map(|dir| dir.join(name)).find(|file| file.is_file())
}

/// The cargo that runs this task.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(tree::root());
    command
}

/// A program of a crate, `NAME@VERSION`: the one on the search path, or one that is built once,
/// with more arguments for `cargo install`.
///
/// # Errors
/// It does not build.
pub(crate) fn of_crate(krate: &str, arguments: &[&str]) -> Result<PathBuf> {
    let name = krate.split('@').next().unwrap_or(krate);
    if let Some(found) = find(name) {
        return Ok(found);
    }
    let root = tree::target().join("tools");
    let installed = root.join("bin").join(name);
    let _lock = tree::lock("tools")?;
    if !installed.exists() {
        let mut cargo = cargo();
        // Optimising it would take longer than all its runs.
        cargo.args(["install", "--quiet", "--locked", "--debug", krate, "--root"]).arg(&root).args(arguments);
        cargo.env("CARGO_PROFILE_DEV_DEBUG", "0");
        quiet(&mut cargo).with_context(|| format!("cannot install {name}"))?;
    }
    Ok(installed)
}

fn line(command: &Command) -> String {
    let arguments = std::iter::once(command.get_program()).chain(command.get_args());
    arguments.map(|argument| argument.to_string_lossy()).collect::<Vec<_>>().join(" ")
}
