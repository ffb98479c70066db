//! A machine with an installed Debian, which runs a job at each boot.

use std::cell::Cell;
use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::debian::packages;
use crate::debian::secure_boot::SecureBoot;
use crate::{program, tree};

/// A machine. What is written to its disks stays until it is dropped from the disk of the host.
pub(crate) struct Machine {
    dir: PathBuf,
    /// Options of QEMU for each disk.
    drives: Vec<String>,
    /// How many times it was switched on.
    starts: Cell<u32>,
}

/// What loads the kernel when the machine is switched on.
#[derive(Clone, Copy)]
pub(crate) enum BootedBy<'a> {
    /// The boot loader on its disk.
    Firmware,
    /// QEMU.
    Emulator { kernel: &'a Path, initrd: &'a Path },
    /// UEFI firmware with Secure Boot, shim and GRUB, from an EFI system partition of its own.
    SecureBoot(&'a SecureBoot),
}

impl Machine {
    /// A machine with this disk, and an archive on a second one: a script, which is run at each
    /// boot with the number of the boot in `BOOT`, and files. `dir` is for what the machine writes.
    ///
    /// # Errors
    /// A file cannot be read or written.
    pub(crate) fn new(dir: PathBuf, disk: &Path, script: &str, files: &[PathBuf]) -> Result<Self> {
        packages::for_lab()?;
        tree::recreate(&dir)?;
        let job = archive(&dir, script, files)?;
        let drives = vec![
            format!("file={},if=virtio,format=raw,cache=unsafe", disk.display()),
            format!("file={},if=virtio,format=raw,readonly=on", job.display()),
        ];
        Ok(Self { dir, drives, starts: Cell::new(0) })
    }

    /// As [`Self::new`], but what is written to the disk is written to a file of `dir`.
    ///
    /// # Errors
    /// As there, or QEMU's tools fail.
    pub(crate) fn copy(dir: PathBuf, disk: &Path, script: &str, files: &[PathBuf]) -> Result<Self> {
        let mut machine = Self::new(dir, disk, script, files)?;
        let copy = machine.dir.join("disk.qcow2");
        let mut create = Command::new("qemu-img");
        create.args(["create", "-q", "-f", "qcow2", "-F", "raw", "-b"]).arg(disk).arg(&copy);
        program::quiet(&mut create)?;
        machine.drives[0] = format!("file={},if=virtio,format=qcow2,cache=unsafe", copy.display());
        Ok(machine)
    }

    /// Adds an empty disk.
    ///
    /// # Errors
    /// It cannot be made.
    pub(crate) fn with_disk(mut self, mebibytes: u64) -> Result<Self> {
        let disk = self.dir.join(format!("disk-{}", self.drives.len()));
        File::create(&disk)?.set_len(mebibytes << 20)?;
        self.drives.push(format!("file={},if=virtio,format=raw,cache=unsafe", disk.display()));
        Ok(self)
    }

    /// Switches it on, until it powers off, and passes on what its jobs print.
    ///
    /// # Errors
    /// The emulator cannot be started or fails, or time is up.
    pub(crate) fn boot(
        &self,
        by: BootedBy<'_>,
        timeout: Duration,
        mut listener: impl FnMut(&str),
    ) -> Result<()> {
        self.starts.set(self.starts.get() + 1);
        let output = self.dir.join(format!("output-{}", self.starts.get()));
        let mut emulator = Emulator(self.emulator(by, &output)?);
        let start = Instant::now();
        let mut printed = Printed::default();
        loop {
            let ended = emulator.0.try_wait()?;
            listener(&printed.more(&output)?);
            match ended {
                Some(status) if status.success() => return Ok(()),
                Some(status) => bail!("QEMU: {status}; see {}", self.dir.join("qemu").display()),
                None if start.elapsed() > timeout => {
                    bail!("no end after {} s; see {}", timeout.as_secs(), self.console().display())
                }
                None => std::thread::sleep(Duration::from_millis(100)),
            }
        }
    }

    /// The log of the console since the machine was switched on.
    pub(crate) fn console(&self) -> PathBuf {
        self.dir.join(format!("console-{}", self.starts.get()))
    }

    fn emulator(&self, by: BootedBy<'_>, output: &Path) -> Result<Child> {
        let mut qemu = Command::new("qemu-system-x86_64");
        qemu.args(["-accel", "tcg,thread=multi", "-cpu", "max,-cx16", "-m", "1536", "-smp", "2"]);
        qemu.args(["-display", "none", "-nic", "none", "-monitor", "none"]);
        if let BootedBy::Emulator { kernel, initrd } = by {
            qemu.arg("-kernel").arg(kernel).arg("-initrd").arg(initrd);
            qemu.args(["-append", "root=/dev/vda1 ro console=ttyS0 no_timer_check"]);
        }
        for drive in &self.drives {
            qemu.args(["-drive", drive]);
        }
        if let BootedBy::SecureBoot(firmware) = by {
            // Only code in SMM may write to the variables.
            qemu.args(["-machine", "q35,smm=on", "-global", "driver=cfi.pflash01,property=secure,value=on"]);
            let flash = |options: &str, file: &Path| {
                format!("if=pflash,format=raw,{options},file={}", file.display())
            };
            qemu.arg("-drive").arg(flash("unit=0,readonly=on", &firmware.code));
            qemu.arg("-drive").arg(flash("unit=1", &firmware.variables));
            let partition = firmware.partition.display();
            qemu.arg("-drive").arg(format!("id=efi,if=none,format=raw,snapshot=on,file={partition}"));
            // By AHCI: it must not change the names of the other disks.
            qemu.args(["-device", "ide-hd,drive=efi,bootindex=1"]);
        }
        qemu.arg("-serial").arg(format!("file:{}", self.console().display()));
        qemu.arg("-serial").arg(format!("file:{}", output.display()));
        let log = File::create(self.dir.join("qemu"))?;
        qemu.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        qemu.spawn().context("cannot run qemu-system-x86_64")
    }
}

/// A tar archive of a script and its files.
fn archive(dir: &Path, script: &str, files: &[PathBuf]) -> Result<PathBuf> {
    let stage = dir.join("job");
    fs::create_dir(&stage)?;
    fs::write(stage.join("run.sh"), script)?;
    for file in files {
        fs::copy(file, stage.join(file.file_name().unwrap_or_default()))
            .with_context(|| file.display().to_string())?;
    }
    let archive = dir.join("job.tar");
    program::quiet(Command::new("tar").arg("-C").arg(&stage).arg("-cf").arg(&archive).arg("."))?;
    Ok(archive)
}

/// An emulator that does not outlive the run.
struct Emulator(Child);

impl Drop for Emulator {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The output of a guest, up to where it has been read.
#[derive(Default)]
struct Printed {
    file: Option<File>,
    /// Bytes of a line that is not complete.
    rest: Vec<u8>,
}

impl Printed {
    /// The lines that were printed since the last time.
    fn more(&mut self, path: &Path) -> Result<String> {
        if self.file.is_none() {
            self.file = File::open(path).ok();
        }
        let Some(file) = &mut self.file else { return Ok(String::new()) };
        file.read_to_end(&mut self.rest)?;
        let whole = self.rest.iter().rposition(|&byte| byte == b'\n').map_or(0, |last| last + 1);
        let text = String::from_utf8_lossy(self.rest.get(..whole).unwrap_or_default()).into_owned();
        self.rest.drain(..whole);
        Ok(text)
    }
}
