//! The outcome of a run, and checks of it.

use std::io;
use std::path::PathBuf;

use crate::log;

/// Receives the output of a guest as it arrives.
pub trait Listener {
    /// Bytes of the command's standard output.
    ///
    /// # Errors
    /// The bytes cannot be passed on; the run ends.
    fn out(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Bytes of the command's standard error.
    ///
    /// # Errors
    /// The bytes cannot be passed on; the run ends.
    fn err(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// A message of the lab itself.
    fn note(&mut self, text: &str);
}

/// Records the output for an [`Outcome`].
#[derive(Debug, Default)]
pub(crate) struct Recorder {
    pub(crate) out: Vec<u8>,
    pub(crate) err: Vec<u8>,
    pub(crate) notes: Vec<String>,
}

impl Listener for Recorder {
    fn out(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.extend(bytes);
        Ok(())
    }

    fn err(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.err.extend(bytes);
        Ok(())
    }

    fn note(&mut self, text: &str) {
        self.notes.push(text.to_owned());
    }
}

/// A command that ran to its end in a guest. Its exit status has not been checked yet.
#[derive(Clone, Debug)]
#[must_use = "the exit status has not been checked"]
pub struct Ended(pub(crate) Outcome);

impl Ended {
    /// Checks that the exit status was 0.
    ///
    /// # Panics
    /// The status is another.
    #[track_caller]
    pub fn succeeded(self) -> Outcome {
        self.exited(0)
    }

    /// Checks the exit status.
    ///
    /// # Panics
    /// The status is another.
    #[track_caller]
    pub fn exited(self, status: u8) -> Outcome {
        assert!(!self.0.alone, "the next kernel did not start\n{}", self.0.all());
        assert_eq!(self.0.status, status, "wrong exit status\n{}", self.0.all());
        self.0
    }

    /// The outcome, whatever the status: for callers that judge it themselves.
    #[must_use]
    pub fn into_outcome(self) -> Outcome {
        self.0
    }
}

/// The output and the exit status of a command. The checks panic with all output, as assertions do.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The command's exit status; 128 and the signal's number if a signal ended it.
    pub status: u8,
    /// Whether another kernel was to follow and none did: status and output are the first kernel's.
    pub alone: bool,
    /// Its standard output, if it was recorded.
    pub out: Vec<u8>,
    /// Its standard error, if it was recorded.
    pub err: Vec<u8>,
    /// The messages of the lab, if they were recorded.
    pub notes: Vec<String>,
    /// The kernel's log.
    pub log: PathBuf,
}

impl Outcome {
    /// Standard output as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.out).into_owned()
    }

    /// The kernel's log as text.
    #[must_use]
    pub fn kernel_log(&self) -> String {
        log::text(&self.log)
    }

    /// Checks that the text is in the standard output or the standard error.
    ///
    /// # Panics
    /// It is in neither.
    #[track_caller]
    pub fn prints(self, text: &str) -> Self {
        let printed =
            [&self.out, &self.err].iter().any(|bytes| String::from_utf8_lossy(bytes).contains(text));
        assert!(printed, "{text:?} was not printed\n{}", self.all());
        self
    }

    /// Checks that the text is neither in the standard output nor in the standard error.
    ///
    /// # Panics
    /// It is in one of them.
    #[track_caller]
    pub fn never_prints(self, text: &str) -> Self {
        let printed =
            [&self.out, &self.err].iter().any(|bytes| String::from_utf8_lossy(bytes).contains(text));
        assert!(!printed, "{text:?} was printed\n{}", self.all());
        self
    }

    /// Checks that the kernel logged the text.
    ///
    /// # Panics
    /// It did not.
    #[track_caller]
    pub fn kernel_logs(self, text: &str) -> Self {
        assert!(self.kernel_log().contains(text), "the kernel did not log {text:?}\n{}", self.all());
        self
    }

    /// Checks that the kernel logged no warning, no bug and no stall.
    ///
    /// # Panics
    /// It did.
    #[track_caller]
    pub fn kernel_log_is_clean(self) -> Self {
        let log = self.kernel_log();
        let complaints = log::complaints(&log);
        assert!(complaints.is_empty(), "the kernel logged:\n{}\n{}", complaints.join("\n"), self.all());
        self
    }

    fn all(&self) -> String {
        let (out, err) = (String::from_utf8_lossy(&self.out), String::from_utf8_lossy(&self.err));
        let (notes, log) = (self.notes.join("\n"), self.log.display());
        format!(
            "status {}\n--- output:\n{out}\n--- errors:\n{err}\n--- lab:\n{notes}\n--- kernel log: {log}",
            self.status
        )
    }
}
