//! A guest that crashes, and its crash kernel, which has 256 MB and runs a job with other programs.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use lab::cpio::Tree;
use lab::{Job, NEXT_INITRD, NEXT_KERNEL, Outcome};

use crate::build::product;
use crate::tree;

/// A crash and the job after it.
pub(crate) struct Crash<'a> {
    pub(crate) kernel: &'a str,
    pub(crate) mebibytes: u32,
    /// A name, and the files to unpack in the crash kernel's root.
    pub(crate) programs: (&'a str, Tree),
    /// The size of an empty second disk in MiB; 0 for none.
    pub(crate) room: u64,
    /// Shell commands before the crash.
    pub(crate) before: &'a str,
    /// Shell commands in the crash kernel.
    pub(crate) job: &'a str,
}

impl Crash<'_> {
    /// Runs the guest and returns the outcome of the crash kernel's job.
    ///
    /// # Errors
    /// The job fails, or the guest does not reach it.
    pub(crate) fn run(&self) -> Result<Outcome> {
        let (before, disk) = (self.before, self.disk()?);
        let crash = format!(
            "set -e
            {before}
            kexec -p {NEXT_KERNEL} --initrd={NEXT_INITRD} \\
                --command-line='console=ttyS0 panic=-1 nr_cpus=1 reset_devices irqpoll no_timer_check'
            sync
            echo c > /proc/sysrq-trigger"
        );
        let job = format!("cd / && cpio -i -d < /dev/vda 2> /dev/null || exit 9\n{}", self.job);
        let vm = product::vm(self.kernel)?.smp(2).mem(self.mebibytes).append("crashkernel=256M").disk(&disk);
        let vm = vm.timeout(Duration::from_secs(1800)).without_module().successor(Job::shell(job));
        let vm = if self.room > 0 { vm.disk(&self.empty_disk()?) } else { vm };
        let outcome = vm.run(&crash)?.into_outcome();
        ensure!(
            outcome.status == 0 && !outcome.alone,
            "{}{}(the kernels' log is {})",
            outcome.text(),
            String::from_utf8_lossy(&outcome.err),
            outcome.log.display()
        );
        Ok(outcome)
    }

    /// A sparse file: it takes no more of the host's disk than the guest writes.
    fn empty_disk(&self) -> Result<PathBuf> {
        let disk = tree::target().join("material").join(format!("{}.room", self.programs.0));
        let file = std::fs::File::create(&disk).with_context(|| disk.display().to_string())?;
        file.set_len(self.room << 20)?;
        Ok(disk)
    }

    /// An archive, because the crash kernel would need a driver for a file system.
    fn disk(&self) -> Result<PathBuf> {
        let (name, programs) = &self.programs;
        let dir = tree::target().join("material");
        std::fs::create_dir_all(&dir)?;
        let disk = dir.join(format!("{name}.cpio"));
        programs.write(&disk).with_context(|| format!("the archive of {name}"))?;
        Ok(disk)
    }
}
