//! A program under ptrace(2).
// UNSAFETY: ptrace, fork and wait take numbers and pointers, here those that their manual pages
// name.
#![allow(unsafe_code, clippy::multiple_unsafe_ops_per_block)]

use std::fs::{self, File};
use std::io::Read;
use std::mem::MaybeUninit;
use std::os::unix::fs::FileExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// How a program ended.
pub(crate) struct Ended {
    /// Its exit status; 128 plus the number of the signal if a signal ended it.
    pub(crate) status: u8,
    /// The intercepted calls, in order.
    pub(crate) calls: Vec<&'static str>,
    /// Its output, if it was recorded.
    pub(crate) output: String,
}

/// The time limit of a program.
const LIMIT: std::time::Duration = std::time::Duration::from_secs(120);

/// Runs a program and saves its loads in a directory.
pub(crate) fn run(program: &str, arguments: &[&str], directory: Option<&Path>, quiet: bool) -> Result<Ended> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null());
    let out = quiet.then(|| std::env::temp_dir().join(format!("swallow-{}", std::process::id())));
    if let Some(path) = &out {
        let file = File::create(path)?;
        command.stderr(file.try_clone()?).stdout(file);
    }
    // SAFETY: between fork and exec only a system call is made.
    unsafe {
        command.pre_exec(|| {
            libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0);
            Ok(())
        });
    }
    let child = command.spawn().with_context(|| program.to_owned())?;
    let mut tracer =
        Tracer { pid: child.id() as i32, directory, calls: Vec::new(), execs: 0, swallowing: false };
    let status = tracer.follow()?;
    let output = out.map(|path| fs::read(&path).and_then(|bytes| fs::remove_file(&path).map(|()| bytes)));
    let output = output.transpose()?.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    Ok(Ended { status, calls: tracer.calls, output: output.unwrap_or_default() })
}

struct Tracer<'f> {
    pid: i32,
    directory: Option<&'f Path>,
    calls: Vec<&'static str>,
    execs: usize,
    /// Whether the current call is intercepted.
    swallowing: bool,
}

impl Tracer<'_> {
    fn follow(&mut self) -> Result<u8> {
        let start = std::time::Instant::now();
        let mut is_entry = true;
        // The first stop is the exec of the program.
        if let Some(status) = self.wait()? {
            return Ok(status);
        }
        self.ptrace(
            libc::PTRACE_SETOPTIONS,
            (libc::PTRACE_O_TRACESYSGOOD | libc::PTRACE_O_EXITKILL) as usize,
        )?;
        let mut signal = 0;
        loop {
            self.ptrace(libc::PTRACE_SYSCALL, signal)?;
            let mut raw = 0;
            // SAFETY: waitpid writes one int.
            if unsafe { libc::waitpid(self.pid, &raw mut raw, 0) } < 0 {
                bail!("waitpid: {}", std::io::Error::last_os_error());
            }
            if libc::WIFEXITED(raw) {
                return Ok(libc::WEXITSTATUS(raw) as u8);
            }
            if libc::WIFSIGNALED(raw) {
                return Ok(128 + libc::WTERMSIG(raw) as u8);
            }
            if start.elapsed() > LIMIT {
                bail!("the program takes too long");
            }
            signal = 0;
            match libc::WSTOPSIG(raw) {
                stop if stop == libc::SIGTRAP | 0x80 => {
                    if is_entry {
                        self.enter()?;
                    } else {
                        self.leave()?;
                    }
                    is_entry = !is_entry;
                }
                libc::SIGTRAP => {}
                other => signal = other as usize,
            }
        }
    }

    /// Waits for a stop. Returns the exit status if the program ended instead.
    fn wait(&self) -> Result<Option<u8>> {
        let mut raw = 0;
        // SAFETY: waitpid writes one int.
        if unsafe { libc::waitpid(self.pid, &raw mut raw, 0) } < 0 {
            bail!("waitpid: {}", std::io::Error::last_os_error());
        }
        Ok(libc::WIFEXITED(raw).then(|| libc::WEXITSTATUS(raw) as u8))
    }

    fn ptrace(&self, request: libc::c_uint, data: usize) -> Result<()> {
        // SAFETY: these requests take a number, not a pointer.
        if unsafe { libc::ptrace(request, self.pid, 0, data) } < 0 {
            bail!("ptrace: {}", std::io::Error::last_os_error());
        }
        Ok(())
    }

    fn registers(&self) -> Result<libc::user_regs_struct> {
        let mut registers = MaybeUninit::uninit();
        // SAFETY: the request writes the whole structure.
        if unsafe { libc::ptrace(libc::PTRACE_GETREGS, self.pid, 0, registers.as_mut_ptr()) } < 0 {
            bail!("ptrace: {}", std::io::Error::last_os_error());
        }
        // SAFETY: it was written.
        Ok(unsafe { registers.assume_init() })
    }

    fn set_registers(&self, registers: &libc::user_regs_struct) -> Result<()> {
        // SAFETY: the request reads the structure.
        if unsafe { libc::ptrace(libc::PTRACE_SETREGS, self.pid, 0, std::ptr::from_ref(registers)) } < 0 {
            bail!("ptrace: {}", std::io::Error::last_os_error());
        }
        Ok(())
    }

    fn enter(&mut self) -> Result<()> {
        let mut registers = self.registers()?;
        let name = match registers.orig_rax as i64 {
            libc::SYS_kexec_load if registers.rsi == 0 => "unload",
            libc::SYS_kexec_load => "load",
            libc::SYS_kexec_file_load if registers.r8 & 1 != 0 => "unload",
            libc::SYS_kexec_file_load => "load",
            libc::SYS_reboot => "start",
            libc::SYS_execve => {
                self.execs += 1;
                if !self.text(registers.rdi, 256).ends_with(b"shutdown") {
                    return Ok(());
                }
                "shutdown"
            }
            _ => return Ok(()),
        };
        self.calls.push(name);
        if let Some(directory) = self.directory {
            self.save(directory, &registers)?;
        }
        if matches!(name, "start" | "shutdown") {
            // These calls do not return, so the program ends here.
            registers.orig_rax = libc::SYS_exit_group as u64;
            registers.rdi = 0;
        } else {
            registers.orig_rax = u64::MAX;
            self.swallowing = true;
        }
        self.set_registers(&registers)
    }

    fn leave(&mut self) -> Result<()> {
        if !std::mem::take(&mut self.swallowing) {
            return Ok(());
        }
        let mut registers = self.registers()?;
        registers.rax = 0;
        self.set_registers(&registers)
    }

    fn save(&self, directory: &Path, registers: &libc::user_regs_struct) -> Result<()> {
        fs::create_dir_all(directory)?;
        let call = match registers.orig_rax as i64 {
            libc::SYS_kexec_load => self.save_load(directory, registers)?,
            libc::SYS_kexec_file_load => self.save_file_load(directory, registers)?,
            _ => return Ok(()),
        };
        Ok(fs::write(directory.join("call"), call)?)
    }

    /// `kexec_load(entry, count, segments, flags)`.
    fn save_load(&self, directory: &Path, registers: &libc::user_regs_struct) -> Result<String> {
        for number in 0..registers.rsi {
            let mut words = [0; 32];
            self.memory(registers.rdx + number * 32, &mut words)?;
            let word = |place: usize| {
                let bytes = words.get(place * 8..place * 8 + 8).unwrap_or(&[0; 8]);
                bytes.iter().rev().fold(0_u64, |number, byte| number << 8 | u64::from(*byte))
            };
            let mut bytes = vec![0; word(1) as usize];
            self.memory(word(0), &mut bytes)?;
            fs::write(directory.join(format!("{:016x}-{:x}", word(2), word(3))), bytes)?;
        }
        Ok(format!("kexec_load\nflags {:#x}\nentry {:#x}\n", registers.r10, registers.rdi))
    }

    /// `kexec_file_load(kernel, initrd, length, text, flags)`.
    fn save_file_load(&self, directory: &Path, registers: &libc::user_regs_struct) -> Result<String> {
        let mut line = vec![0; registers.rdx as usize];
        self.memory(registers.r10, &mut line)?;
        fs::write(directory.join("command-line"), &line)?;
        for (name, file) in [("kernel", registers.rdi), ("initrd", registers.rsi)] {
            if file as i32 >= 0 {
                let mut bytes = Vec::new();
                File::open(format!("/proc/{}/fd/{file}", self.pid))?.read_to_end(&mut bytes)?;
                fs::write(directory.join(name), bytes)?;
            }
        }
        Ok(format!("kexec_file_load\nflags {:#x}\n", registers.r8))
    }

    fn memory(&self, address: u64, bytes: &mut [u8]) -> Result<()> {
        let memory = File::open(format!("/proc/{}/mem", self.pid))?;
        memory.read_exact_at(bytes, address).with_context(|| format!("{} bytes at {address:#x}", bytes.len()))
    }

    /// Text up to a zero byte.
    fn text(&self, address: u64, limit: usize) -> Vec<u8> {
        let mut text = Vec::new();
        let mut byte = [0];
        while text.len() < limit && self.memory(address + text.len() as u64, &mut byte).is_ok() && byte != [0]
        {
            text.extend(byte);
        }
        text
    }
}
