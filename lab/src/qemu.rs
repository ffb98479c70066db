//! One run of QEMU or Bochs, from QEMU's command line to the exit status of the guest's command.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use crate::log::RunDir;
use crate::outcome::{Ended, Listener, Outcome, Recorder};
use crate::vm::{Machine, Vm};
use crate::wire::{Decoder, Kind};
use crate::{Error, Job, Result, bochs, initramfs};

/// The time in which a guest powers off after its command has ended.
const POWER_OFF_LIMIT: Duration = Duration::from_secs(20);
/// How often a growing file is read: the log that the power cut waits for, the line of the agent.
pub(crate) const LOOK: Duration = Duration::from_millis(20);
/// Why a machine ended that [`Vm::power_cut_after`] ended.
pub const POWER_CUT: &str = "the power was cut";

impl Vm {
    /// Starts the machine, runs a line of shell in it, and records the output.
    ///
    /// # Errors
    /// The lab failed: the machine did not start, panicked, or took too long. A failing command is
    /// not an error.
    pub fn run(&self, line: &str) -> Result<Ended> {
        self.run_job(&Job::shell(line))
    }

    /// Starts the machine, runs a job in it, and records the output.
    ///
    /// # Errors
    /// As for [`Vm::run`].
    pub fn run_job(&self, job: &Job) -> Result<Ended> {
        let mut recorder = Recorder::default();
        let Ended(outcome) = self.stream(job, &mut recorder)?;
        Ok(Ended(Outcome { out: recorder.out, err: recorder.err, notes: recorder.notes, ..outcome }))
    }

    /// Starts the machine, runs a job in it, and passes on the output as it arrives.
    ///
    /// # Errors
    /// As for [`Vm::run`], and when the listener fails.
    pub fn stream(&self, job: &Job, listener: &mut dyn Listener) -> Result<Ended> {
        let dir = RunDir::create(&self.kit.runs, &self.kernel.name)?;
        listener.note(&format!("the kernel log is {}", dir.serial().display()));
        initramfs::write(self, job, &dir.initramfs())?;
        let deadline = Instant::now() + self.timeout;
        let mut running = match self.machine {
            Machine::Bochs => Running::start(&mut bochs::command(self, &dir)?, &dir, Some(dir.agent()))?,
            Machine::Pc | Machine::Q35 => Running::start(&mut command(self, &dir), &dir, None)?,
        };
        let mut decoder = Decoder::default();
        if self.successor.is_some() {
            decoder.expect_successor();
        }
        if self.resumes {
            decoder.expect_resumed();
        }
        let cut = || self.power_cut.as_ref().is_some_and(|text| dir.log().contains(text));
        let cut = self.power_cut.is_some().then_some(&cut as &dyn Fn() -> bool);
        let status = match running.converse(&mut decoder, listener, deadline, cut)? {
            Ending::Exit(status) => status,
            Ending::Cut => {
                let why = POWER_CUT.to_owned();
                return Err(Error::GuestEnded { why, tail: dir.tail(), log: dir.log() });
            }
            Ending::Closed => {
                return Err(Error::GuestEnded { why: dir.reason_of_end(), tail: dir.tail(), log: dir.log() });
            }
            Ending::Late => {
                return Err(Error::Timeout {
                    seconds: self.timeout.as_secs(),
                    tail: dir.tail(),
                    log: dir.log(),
                });
            }
            Ending::Damaged(reason) => return Err(Error::Line { reason, tail: dir.tail() }),
        };
        if !running.ends_within(POWER_OFF_LIMIT) {
            listener.note("the guest did not power off; its emulator was killed");
        }
        Ok(Ended(Outcome {
            status,
            alone: decoder.awaits_successor(),
            out: Vec::new(),
            err: Vec::new(),
            notes: Vec::new(),
            log: dir.serial(),
        }))
    }
}

fn command(vm: &Vm, dir: &RunDir) -> Command {
    let mut qemu = killed_with_us("qemu-system-x86_64");
    let machine = if vm.machine == Machine::Q35 { "q35" } else { "pc" };
    qemu.args(["-accel", &vm.accelerator, "-machine", machine, "-cpu", &cpu(vm)]);
    qemu.args(["-smp", &vm.cpus.to_string(), "-m", &vm.mebibytes.to_string()]);
    if vm.uefi {
        qemu.arg("-bios").arg(&vm.kit.uefi);
    }
    // QEMU ends when the guest panics or triple-faults.
    qemu.args(["-nodefaults", "-display", "none", "-no-reboot"]);
    qemu.arg("-kernel").arg(vm.kernel.image()).arg("-initrd").arg(dir.initramfs());
    qemu.args(["-append", &kernel_arguments(vm)]);
    qemu.args([
        "-chardev",
        &format!("file,id=log,path={}", escaped(&dir.serial())),
        "-serial",
        "chardev:log",
    ]);
    qemu.args(["-chardev", "stdio,id=agent,signal=off", "-serial", "chardev:agent"]);
    qemu.args(["-netdev", "user,id=net", "-device", "virtio-net-pci,netdev=net,romfile="]);
    for (number, disk) in vm.disks.iter().enumerate() {
        let file = escaped(&disk.file);
        let kind = match &disk.log {
            None => format!("file={file},format=raw"),
            Some(log) => format!(
                "driver=blklogwrites,file.driver=file,file.filename={file},\
                 log.driver=file,log.filename={}",
                escaped(log)
            ),
        };
        qemu.args(["-drive", &format!("{kind},if=none,id=disk{number}")]);
        qemu.args(["-device", &format!("virtio-blk-pci,drive=disk{number}")]);
    }
    qemu.args(&vm.arguments);
    qemu
}

/// QEMU 7.2 emulates cmpxchg16b wrongly: it damages the flags, and 6.12 oopses at random. Emulated
/// CPUs do not have it unless the description names it.
fn cpu(vm: &Vm) -> String {
    let cpu = vm.cpu.as_deref().unwrap_or("max");
    let emulated = vm.accelerator.starts_with("tcg") && !cpu.contains("cx16");
    format!("{cpu}{}", if emulated { ",-cx16" } else { "" })
}

/// The machine is killed when this process ends, even by SIGKILL.
pub(crate) fn killed_with_us(program: &str) -> Command {
    let setpriv = Path::new("/usr/bin/setpriv");
    if setpriv.exists() {
        let mut command = Command::new(setpriv);
        command.args(["--pdeathsig", "KILL", "--", program]);
        command
    } else {
        Command::new(program)
    }
}

pub(crate) fn kernel_arguments(vm: &Vm) -> String {
    // Without no_timer_check a kernel panics if it misses timer ticks at boot, as it does in an
    // emulator on a busy host.
    let own = ["console=ttyS0", "panic=-1", "no_timer_check"].into_iter();
    own.chain(vm.append.iter().map(String::as_str)).collect::<Vec<_>>().join(" ")
}

/// In QEMU's option lists a comma within a value is doubled.
fn escaped(path: &Path) -> String {
    path.to_string_lossy().replace(',', ",,")
}

enum Ending {
    Exit(u8),
    Cut,
    Closed,
    Late,
    Damaged(String),
}

/// An emulator's process, which is killed when this value is dropped.
struct Running {
    child: Child,
    line: Receiver<Vec<u8>>,
    // If QEMU's input ended, it would close the guest's serial line.
    _input: Option<ChildStdin>,
}

impl Running {
    /// Starts the emulator, which sends the agent's bytes to its standard output or writes them to
    /// a file.
    fn start(command: &mut Command, dir: &RunDir, agent: Option<PathBuf>) -> Result<Self> {
        let errors = File::create(dir.emulator()).map_err(Error::file("create", &dir.emulator()))?;
        // It exists before the emulator opens it, so that it can be read from the start.
        let agent = agent
            .map(|path| {
                File::create_new(&path).and_then(|_| File::open(&path)).map_err(Error::file("create", &path))
            })
            .transpose()?;
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(errors);
        let program = command.get_program().to_string_lossy().into_owned();
        let mut child = command.spawn().map_err(|source| Error::Spawn { program, source })?;
        let (sender, line) = mpsc::channel();
        if let Some(stdout) = child.stdout.take() {
            // Read at all times: a full pipe would stop the guest's serial port.
            match agent {
                None => drop(std::thread::spawn(move || forward(stdout, &sender))),
                Some(file) => bochs::follow(file, dir.emulator(), stdout, sender),
            }
        }
        Ok(Self { _input: child.stdin.take(), child, line })
    }

    fn converse(
        &mut self,
        decoder: &mut Decoder,
        listener: &mut dyn Listener,
        deadline: Instant,
        cut: Option<&dyn Fn() -> bool>,
    ) -> Result<Ending> {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let bytes = match self.line.recv_timeout(if cut.is_some() { left.min(LOOK) } else { left }) {
                _ if cut.is_some_and(|cut| cut()) => return Ok(Ending::Cut),
                Ok(bytes) => bytes,
                Err(RecvTimeoutError::Timeout) if Instant::now() < deadline => continue,
                Err(RecvTimeoutError::Timeout) => return Ok(Ending::Late),
                Err(RecvTimeoutError::Disconnected) => return Ok(Ending::Closed),
            };
            match decoder.take(&bytes) {
                Err(reason) => return Ok(Ending::Damaged(reason)),
                Ok(frames) => {
                    if let Some(status) = pass_on(&frames, listener)? {
                        return Ok(Ending::Exit(status));
                    }
                }
            }
        }
    }

    fn ends_within(&mut self, time: Duration) -> bool {
        let end = Instant::now() + time;
        loop {
            // The remaining output is dropped, but it must not fill the pipe.
            while self.line.try_recv().is_ok() {}
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                return true;
            }
            if Instant::now() > end {
                return false;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn forward(mut from: impl Read, to: &mpsc::Sender<Vec<u8>>) {
    let mut buffer = vec![0; 1 << 16];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        if to.send(buffer[..length].to_vec()).is_err() {
            break;
        }
    }
}

/// Passes frames to the listener. Returns the exit status when it has arrived.
fn pass_on(frames: &[(Kind, Vec<u8>)], listener: &mut dyn Listener) -> Result<Option<u8>> {
    for (kind, bytes) in frames {
        let passed = match kind {
            Kind::Hello => Ok(()),
            Kind::Out => listener.out(bytes),
            Kind::Err => listener.err(bytes),
            Kind::Note => {
                listener.note(&String::from_utf8_lossy(bytes));
                Ok(())
            }
            Kind::Exit => return Ok(Some(bytes.first().copied().unwrap_or(u8::MAX))),
        };
        passed.map_err(|source| Error::Output { source })?;
    }
    Ok(None)
}
