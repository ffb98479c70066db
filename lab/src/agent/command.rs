//! The command: started as root, listened to until it ends.

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

/// Where programs lie in a guest.
pub(crate) const PATH: &str = "/sbin:/bin:/usr/sbin:/usr/bin";

/// How often the orphans are buried that the first process inherits.
const BURIAL: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };

/// Runs the command of `/lab/arguments`; answers with its exit status, as a shell would.
pub(crate) fn run(line: &mut Line) -> io::Result<u8> {
    let orders = std::fs::read("/lab/arguments")?;
    let words: Vec<_> =
        orders.split_inclusive(|byte| *byte == 0).map(|word| &word[..word.len() - 1]).collect();
    let Some((program, arguments)) = words.split_first() else {
        line.say(Kind::Note, b"no command was given")?;
        return Ok(127);
    };
    match Running::start(OsStr::from_bytes(program), arguments) {
        Ok(running) => running.listen(line),
        Err(error) => {
            line.say(Kind::Err, format!("{}: {error}\n", String::from_utf8_lossy(program)).as_bytes())?;
            Ok(if error.kind() == io::ErrorKind::NotFound { 127 } else { 126 })
        }
    }
}

struct Running {
    pid: Pid,
    end: OwnedFd,
    ears: Vec<(Kind, PipeReader)>,
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
        for ear in [&out, &err] {
            ioctl_fionbio(ear, true)?;
        }
        Ok(Self {
            pid,
            end: pidfd_open(pid, PidfdFlags::empty())?,
            ears: vec![(Kind::Out, out), (Kind::Err, err)],
        })
    }

    /// Passes on what is said until the command ends, not until everybody it started has closed its output.
    fn listen(mut self, line: &mut Line) -> io::Result<u8> {
        let mut status = None;
        while status.is_none() {
            self.wait()?;
            status = self.bury()?;
            self.pass_on(line)?;
        }
        Ok(status.unwrap_or(u8::MAX))
    }

    fn wait(&self) -> io::Result<()> {
        let ears = self.ears.iter().map(|(_, pipe)| PollFd::from_borrowed_fd(pipe.as_fd(), PollFlags::IN));
        let mut watched: Vec<_> = ears.chain([PollFd::new(&self.end, PollFlags::IN)]).collect();
        match poll(&mut watched, Some(&BURIAL)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Takes everything that can be read now; forgets a pipe that has ended.
    fn pass_on(&mut self, line: &mut Line) -> io::Result<()> {
        let mut ended = Vec::new();
        for (kind, pipe) in &mut self.ears {
            if drain(*kind, pipe, line)? {
                ended.push(*kind);
            }
        }
        self.ears.retain(|(kind, _)| !ended.contains(kind));
        Ok(())
    }

    /// Collects whoever has died; answers with the command's status if it is among them.
    fn bury(&self) -> io::Result<Option<u8>> {
        let mut found = None;
        loop {
            match wait(WaitOptions::NOHANG) {
                Ok(Some((pid, status))) if pid == self.pid => found = Some(as_shells_say(status)),
                Ok(Some(_)) => {}
                Ok(None) | Err(rustix::io::Errno::CHILD) => return Ok(found),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// Reads a pipe until it is empty; answers whether it has ended. What a pipe holds (64 KiB) is read in one turn, but
/// somebody who never stops talking must not keep us from hearing the other pipe, or the command's end.
fn drain(kind: Kind, pipe: &mut PipeReader, line: &mut Line) -> io::Result<bool> {
    let mut buffer = [0; wire::MOST];
    for _ in 0..32 {
        match pipe.read(&mut buffer) {
            Ok(0) => return Ok(true),
            Ok(length) => line.say(kind, &buffer[..length])?,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(false)
}

fn as_shells_say(status: WaitStatus) -> u8 {
    let code = status.exit_status().or_else(|| Some(128 + status.terminating_signal()?));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX)
}
