//! Debian's kdump-tools in a crash kernel, unchanged, with kjump in the place of makedumpfile.

use anyhow::{Result, ensure};
use lab::cpio::Tree;

use crate::check::step::Step;
use crate::debian::programs;
use crate::guest::crash_kernel::Crash;

/// The step; it takes a minute.
pub(crate) fn steps() -> Vec<Step> {
    vec![Step::new("dump/kdump-tools", || check().into())]
}

/// As in docs/kdump.md. kdump-tools copy all memory if makedumpfile fails, which must not happen.
const SAVE: &str = "set -e
    cp $(command -v kjump) /usr/bin/makedumpfile
    echo 'MAKEDUMP_ARGS=\"-z -d 31\"' >> /etc/default/kdump-tools
    kdump-config savecore
    dump=$(echo /var/crash/*/dump.*)
    kjump dump info $dump
    kjump dump verify $dump
    grep -q 'sysrq: Trigger a crash' /var/crash/*/dmesg.*
    ls /var/crash/*
    [ $(ls /var/crash/* | wc -l) = 2 ]";

fn check() -> Result<()> {
    let programs = ("kdump-tools", tools()?);
    let outcome = Crash { kernel: "6.1", mebibytes: 768, programs, room: 0, before: "", job: SAVE }.run()?;
    let output = outcome.text() + &String::from_utf8_lossy(&outcome.err);
    for text in
        ["saved vmcore in /var/crash/", "saved dmesg content in /var/crash/", "all checksums are right"]
    {
        ensure!(output.contains(text), "no {text:?} in: {output}");
    }
    Ok(())
}

/// The package, and what it needs of a Debian system.
fn tools() -> Result<Tree> {
    let tools = programs::kdump_tools()?;
    let mut archive = Tree::default();
    for name in ["/etc", "/etc/default", "/lib", "/usr", "/usr/bin", "/usr/sbin", "/var", "/var/crash"] {
        archive.directory(name, 0o755);
    }
    archive.host_file("/lib/lsb", &tools.join("lib/lsb"))?;
    archive.host_file("/usr/sbin/kdump-config", &tools.join("usr/sbin/kdump-config"))?;
    archive.host_file("/etc/default/kdump-tools", &tools.join("usr/share/kdump-tools/kdump-tools.conf"))?;
    Ok(archive)
}
