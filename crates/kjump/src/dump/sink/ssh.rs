//! A file on another machine, to which the system's ssh leads: keys, known hosts and the agent are
//! those that the user has set up for it.

mod address;
mod script;

use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, Stdio};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, bail};

use super::counted::Counted;
use crate::terminal::report;
use script::{MARK, READY, SAVED, SAVED_UNCHECKED};

pub(crate) use address::SshAddress;

/// How often a connection is tried, and the pause after the first time, which doubles.
const TRIES: u32 = 4;
const PAUSE: Duration = Duration::from_secs(2);
/// The most bytes of a line of ssh or of the other machine.
const MOST_LINE: u64 = 4096;
/// A connection that is silent for a minute is given up: nobody may be there to end the program.
const OPTIONS: [&str; 7] =
    ["-T", "-e", "none", "-o", "ServerAliveInterval=15", "-o", "ServerAliveCountMax=4"];
/// Parts of ssh's messages about networks that may work later.
const PASSING: [&str; 7] = [
    "Connection refused",
    "Connection timed out",
    "Connection reset",
    "No route to host",
    "Network is unreachable",
    "Temporary failure in name resolution",
    "Could not resolve hostname",
];
/// Parts of messages of a full disk.
const FULL: [&str; 2] = ["No space left on device", "Disk quota exceeded"];

/// A stream to a file on another machine.
pub(super) struct Upload {
    address: SshAddress,
    child: Child,
    to: Counted<ChildStdin>,
    answers: BufReader<ChildStdout>,
    /// Prints what ssh and the other machine's programs complain of, and returns the last line.
    complaints: Option<JoinHandle<String>>,
    /// Why the stream broke: each thread that writes gets the reason.
    failure: Option<(io::ErrorKind, String)>,
}

impl Upload {
    /// Connects, and makes the file. While that fails because of the network, it is tried again:
    /// nothing was written then.
    ///
    /// `config` is ssh's file of options if it is not the user's.
    pub(super) fn start(address: &SshAddress, config: Option<&Path>) -> anyhow::Result<Self> {
        let mut pause = PAUSE;
        for left in (0..TRIES).rev() {
            let reason = match Self::connect(address, config)? {
                Ok(upload) => return Ok(upload),
                Err(reason) => reason,
            };
            if left == 0 || !PASSING.iter().any(|part| reason.contains(part)) {
                bail!("{address}: {reason}");
            }
            report::inform(&format!("no connection: trying again in {} s\n", pause.as_secs()));
            std::thread::sleep(pause);
            pause *= 2;
        }
        bail!("{address}: no connection")
    }

    /// Starts ssh, and waits until the other machine is ready. The inner error is why it is not.
    fn connect(address: &SshAddress, config: Option<&Path>) -> anyhow::Result<Result<Self, String>> {
        let mut ssh = Command::new("ssh");
        ssh.args(OPTIONS);
        if let Some(config) = config {
            ssh.arg("-F").arg(config);
        }
        ssh.args(address.arguments()).arg(script::command(address.path()));
        ssh.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = ssh.spawn().context("cannot start ssh, which --to needs")?;
        let (Some(to), Some(answers), Some(errors)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            bail!("ssh has no pipes");
        };
        let mut upload = Self {
            address: address.clone(),
            child,
            to: Counted::new(to),
            answers: BufReader::new(answers),
            complaints: None,
            failure: None,
        };
        upload.complaints = Some(std::thread::Builder::new().spawn(|| relay(errors))?);
        match upload.answer()?.as_deref() {
            Some(READY) => Ok(Ok(upload)),
            answer => {
                let answer = answer.map(str::to_owned);
                Ok(Err(upload.end(answer)?))
            }
        }
    }

    /// The next answer of the other machine; `None` after the last one.
    fn answer(&mut self) -> io::Result<Option<String>> {
        loop {
            let mut line = Vec::new();
            self.answers.by_ref().take(MOST_LINE).read_until(b'\n', &mut line)?;
            if line.is_empty() {
                return Ok(None);
            }
            if let Some(answer) = line.strip_prefix(MARK.as_bytes()) {
                return Ok(Some(printable(answer)));
            }
        }
    }

    /// Ends the connection; returns why the other machine did not do its part, as far as it is
    /// known.
    fn end(&mut self, answer: Option<String>) -> io::Result<String> {
        self.to.close();
        let answer = match answer {
            None => self.answer()?,
            some => some,
        };
        let status = self.child.wait()?;
        let complaints = self.complaints.take().and_then(|thread| thread.join().ok()).unwrap_or_default();
        let reason = match (answer, complaints.lines().last()) {
            (Some(answer), Some(last)) => format!("{answer}: {last}"),
            (Some(answer), None) => answer,
            (None, Some(last)) => last.to_owned(),
            (None, None) => format!("ssh ended without a message ({status})"),
        };
        Ok(reason)
    }

    /// The error of a stream that was not accepted to its end. What arrived has a name of its own.
    fn broken(&mut self) -> io::Error {
        let (kind, reason) = self.failure.take().unwrap_or_else(|| self.reason());
        self.failure = Some((kind, reason.clone()));
        io::Error::new(kind, reason)
    }

    fn reason(&mut self) -> (io::ErrorKind, String) {
        let (address, sent) = (self.address.clone(), self.to.count());
        let reason = self.end(None).unwrap_or_else(|error| error.to_string());
        let kind = if FULL.iter().any(|part| reason.contains(part)) {
            io::ErrorKind::StorageFull
        } else {
            io::ErrorKind::BrokenPipe
        };
        let text = format!(
            "{reason}; of {sent} bytes that were sent, those that arrived are in {address}.incomplete"
        );
        (kind, text)
    }

    /// Ends the stream: waits until the other machine has compared the checksum and given the file
    /// its name.
    pub(super) fn finish(mut self) -> anyhow::Result<()> {
        let trailer = script::trailer(&self.to.digest(), self.to.count());
        if self.to.write_last(trailer.as_bytes()).is_err() {
            return Err(self.broken().into());
        }
        self.to.close();
        let answer = self.answer()?;
        let is_saved = matches!(answer.as_deref(), Some(SAVED | SAVED_UNCHECKED));
        let is_unchecked = answer.as_deref() == Some(SAVED_UNCHECKED);
        let address = self.address.clone();
        if !is_saved {
            let reason = self.end(answer)?;
            bail!("{address} was not saved: {reason}; what arrived is in {address}.incomplete");
        }
        let status = self.child.wait()?;
        if !status.success() {
            bail!("{address}: ssh failed after the file was saved ({status})");
        }
        if is_unchecked {
            report::inform(&format!("{} has no sha256sum: only the length was checked\n", address.host()));
        }
        Ok(())
    }
}

impl Write for Upload {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.to.write(bytes).map_err(|error| match error.kind() {
            io::ErrorKind::Interrupted => error,
            _ => self.broken(),
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush().map_err(|_| self.broken())
    }
}

/// A stream that is given up ends without its trailer, so that the file keeps its other name.
impl Drop for Upload {
    fn drop(&mut self) {
        // After an error, or at the end, it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Prints each line that arrives, and returns the last one.
fn relay(from: ChildStderr) -> String {
    let (mut from, mut last) = (BufReader::new(from), String::new());
    loop {
        let mut line = Vec::new();
        match from.by_ref().take(MOST_LINE).read_until(b'\n', &mut line) {
            Ok(1..) => {}
            _ => return last,
        }
        let line = printable(&line);
        if !line.is_empty() {
            report::inform(&format!("ssh: {line}\n"));
            last = line;
        }
    }
}

fn printable(line: &[u8]) -> String {
    String::from_utf8_lossy(line).chars().filter(|letter| !letter.is_control()).collect()
}
