//! Kernels that are loaded by `kexec` and started in place of the running one.

use lab::story::{Story, release_of_last, vm};
use lab::{Ended, Job, Result};

pub(crate) const STORIES: &[Story] = &[
    Story::new("a_kernel_follows_by_kexec_file_load", &["6.1+6.12"], it_follows_by_kexec_file_load),
    Story::new("a_kernel_follows_by_kexec_load", &["6.12+6.1"], it_follows_by_kexec_load),
];

/// What the next kernel tells of itself.
const TELL: &str = "uname -r; cat /proc/cmdline; cat /proc/iomem; dmesg; ls /added; cat /added/*";

/// Runs a script that loads and starts the next kernel, which tells of itself.
fn follow(on: &str, load: &str) -> Result<Ended> {
    vm(on).smp(2).mem(768).successor(Job::shell(TELL)).run(&format!(
        "load() {{ kexec \"$@\" --initrd /boot/next.cpio --append 'console=ttyS0 no_timer_check told' /boot/next || exit 9; }}
        {load}
        kexec -e; exit 8"
    ))
}

fn it_follows_by_kexec_file_load(on: &str) -> Result<()> {
    let outcome = follow(on, "load -l -s -d")?.succeeded();
    outcome.says(&release_of_last(on)).says("console=ttyS0 no_timer_check told\n");
    Ok(())
}

fn it_follows_by_kexec_load(on: &str) -> Result<()> {
    let outcome = follow(on, "load -l -c -d")?.succeeded();
    outcome.says(&release_of_last(on)).says("console=ttyS0 no_timer_check told\n");
    Ok(())
}
