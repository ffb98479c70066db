//! Debian's kdump-tools, as they are, with our program in the place of makedumpfile: what they do in a crash kernel.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use lab::cpio::Tree;
use lab::{Job, NEXT_INITRD, NEXT_KERNEL};

use crate::test_task::Step;
use crate::{debian_tools, product, tree};

/// The step; it takes a minute.
pub(crate) fn steps() -> Vec<Step> {
    vec![Step::new("dump/kdump-tools", || check().into())]
}

const CRASH: &str = "kexec -p NEXT_KERNEL --initrd=NEXT_INITRD \\
    --command-line='console=ttyS0 panic=-1 nr_cpus=1 reset_devices irqpoll no_timer_check' || exit 9
    sync
    echo c > /proc/sysrq-trigger";

/// As docs/kdump.md has it. They fall back to copying all of memory where makedumpfile fails, which must not happen.
const SAVE: &str = "set -e
    cd / && cpio -i -d < /dev/vda 2> /dev/null
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
    let disk = tools_on_a_disk()?;
    let vm = product::vm("6.1")?.smp(2).mem(768).append("crashkernel=256M").disk(&disk);
    let vm = vm.timeout(Duration::from_secs(600)).without_module().successor(Job::shell(SAVE));
    let crash = CRASH.replace("NEXT_KERNEL", NEXT_KERNEL).replace("NEXT_INITRD", NEXT_INITRD);
    let outcome = vm.run(&crash)?.somehow();
    let said = outcome.text() + &String::from_utf8_lossy(&outcome.err);
    let worked = outcome.status == 0 && !outcome.alone;
    ensure!(worked, "{said}(the kernels' log is {})", outcome.log.display());
    for text in
        ["saved vmcore in /var/crash/", "saved dmesg content in /var/crash/", "all checksums are right"]
    {
        ensure!(said.contains(text), "{text:?} was not said: {said}");
    }
    Ok(())
}

/// An archive of the package and of what it needs of a Debian system.
fn tools_on_a_disk() -> Result<PathBuf> {
    let tools = debian_tools::kdump_tools()?;
    let mut archive = Tree::default();
    for name in ["/etc", "/etc/default", "/lib", "/usr", "/usr/bin", "/usr/sbin", "/var", "/var/crash"] {
        archive.directory(name, 0o755);
    }
    archive.host_file("/lib/lsb", &tools.join("lib/lsb"))?;
    archive.host_file("/usr/sbin/kdump-config", &tools.join("usr/sbin/kdump-config"))?;
    archive.host_file("/etc/default/kdump-tools", &tools.join("usr/share/kdump-tools/kdump-tools.conf"))?;
    let disk = tree::target().join("material");
    std::fs::create_dir_all(&disk)?;
    let disk = disk.join("kdump-tools.cpio");
    archive.write(&disk).context("the archive of kdump-tools")?;
    Ok(disk)
}
