//! The command: started as root, its output passed on until it ends.

use std::ffi::OsStr;
use std::io::{self, PipeReader, Read as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::process::{Command, Stdio};

use lab::wire::{self, Kind};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::ioctl_fionbio;
use rustix::process::{Pid, PidfdFlags, WaitOptions, WaitStatus, pidfd_open, wait};

use crate::line::Line;

/// The directories of programs in a guest.
pub(crate) const PATH: &str = "/sbin:/bin:/usr/sbin:/usr/bin";

/// How often the orphans are reaped that the first process inherits.
const REAP_INTERVAL: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };

/// Runs the command in `/lab/arguments`. Returns its exit status as a shell does.
pub(crate) fn run(line: &mut Line) -> io::Result<u8> {
    let list = std::fs::read("/lab/arguments")?;
    let argv: Vec<_> =
        list.split_inclusive(|byte| *byte == 0).map(|argument| &argument[..argument.len() - 1]).collect();
    let Some((program, arguments)) = argv.split_first() else {
        line.send(Kind::Note, b"no command was given")?;
        return Ok(127);
    };
    match Running::start(OsStr::from_bytes(program), arguments) {
        Ok(running) => running.listen(line),
        Err(error) => {
            line.send(Kind::Err, format!("{}: {error}\n", String::from_utf8_lossy(program)).as_bytes())?;
            Ok(if error.kind() == io::ErrorKind::NotFound { 127 } else { 126 })
        }
    }
}

struct Running {
    pid: Pid,
    end: OwnedFd,
    pipes: Vec<(Kind, PipeReader)>,
}

impl Running {
    fn start(program: &OsStr, arguments: &[&[u8]]) -> io::Result<Self> {
        let (out, out_end) = io::pipe()?;
        let (err, err_end) = io::pipe()?;
        let mut command = Command::new(program);
        command.args(arguments.iter().map(|argument| OsStr::from_bytes(argument)));
        command.env_clear().envs([
            ("PATH", PATH),
            ("HOME", "/root"),
            ("USER", "root"),
            ("SHELL", "/bin/sh"),
            ("TERM", "dumb"),
        ]);
        command.stdin(Stdio::null()).stdout(out_end).stderr(err_end);
        let child = command.spawn()?;
        let pid = Pid::from_child(&child);
        for pipe in [&out, &err] {
            ioctl_fionbio(pipe, true)?;
        }
        Ok(Self {
            pid,
            end: pidfd_open(pid, PidfdFlags::empty())?,
            pipes: vec![(Kind::Out, out), (Kind::Err, err)],
        })
    }

    /// Passes on output until the command ends, even if processes that it started keep the pipes
    /// open.
    fn listen(mut self, line: &mut Line) -> io::Result<u8> {
        let mut status = None;
        while status.is_none() {
            self.wait()?;
            status = self.reap()?;
            self.pass_on(line)?;
        }
        Ok(status.unwrap_or(u8::MAX))
    }

    fn wait(&self) -> io::Result<()> {
        let pipes = self.pipes.iter().map(|(_, pipe)| PollFd::from_borrowed_fd(pipe.as_fd(), PollFlags::IN));
        let mut watched: Vec<_> = pipes.chain([PollFd::new(&self.end, PollFlags::IN)]).collect();
        match poll(&mut watched, Some(&REAP_INTERVAL)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Passes on everything that can be read now, and drops pipes that have ended.
    fn pass_on(&mut self, line: &mut Line) -> io::Result<()> {
        let mut ended = Vec::new();
        for (kind, pipe) in &mut self.pipes {
            if drain(*kind, pipe, line)? {
                ended.push(*kind);
            }
        }
        self.pipes.retain(|(kind, _)| !ended.contains(kind));
        Ok(())
    }

    /// Reaps ended processes. Returns the status of the command if it is one of them.
    fn reap(&self) -> io::Result<Option<u8>> {
        let mut found = None;
        loop {
            match wait(WaitOptions::NOHANG) {
                Ok(Some((pid, status))) if pid == self.pid => found = Some(shell_status(status)),
                Ok(Some(_)) => {}
                Ok(None) | Err(rustix::io::Errno::CHILD) => return Ok(found),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// Reads a pipe until it is empty. Returns whether it has ended. One turn reads at most twice the
/// capacity of a pipe (64 KiB), so that a process that never stops writing cannot hide the other
/// pipe or the end of the command.
fn drain(kind: Kind, pipe: &mut PipeReader, line: &mut Line) -> io::Result<bool> {
    let mut buffer = [0; wire::MOST];
    for _ in 0..32 {
        match pipe.read(&mut buffer) {
            Ok(0) => return Ok(true),
            Ok(length) => line.send(kind, &buffer[..length])?,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(false)
}

fn shell_status(status: WaitStatus) -> u8 {
    let code = status.exit_status().or_else(|| Some(128 + status.terminating_signal()?));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX)
}
