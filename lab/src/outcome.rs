//! What came of a run.

use std::io;
use std::path::PathBuf;

use crate::log;

/// Who hears what the guest says, while it says it.
pub trait Listener {
    /// Bytes of the command's standard output.
    ///
    /// # Errors
    /// They cannot be passed on; the run ends.
    fn out(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Bytes of the command's standard error.
    ///
    /// # Errors
    /// They cannot be passed on; the run ends.
    fn err(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Something the lab itself has to say.
    fn note(&mut self, text: &str);
}

/// Notes what the guest says for an [`Outcome`].
#[derive(Debug, Default)]
pub(crate) struct Memory {
    pub(crate) out: Vec<u8>,
    pub(crate) err: Vec<u8>,
    pub(crate) notes: Vec<String>,
}

impl Listener for Memory {
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

/// A command that ran to its end in a guest, well or not: its exit status is still to be judged.
#[derive(Clone, Debug)]
#[must_use = "whether the command succeeded is known only to who asks"]
pub struct Ended(pub(crate) Outcome);

impl Ended {
    /// Checks that the exit status was 0.
    ///
    /// # Panics
    /// It was not.
    #[track_caller]
    pub fn succeeded(self) -> Outcome {
        self.exited(0)
    }

    /// Checks the exit status.
    ///
    /// # Panics
    /// It was another.
    #[track_caller]
    pub fn exited(self, status: u8) -> Outcome {
        assert!(!self.0.alone, "the next kernel never spoke\n{}", self.0.all());
        assert_eq!(self.0.status, status, "wrong exit status\n{}", self.0.all());
        self.0
    }

    /// Leaves the judgement to the caller.
    #[must_use]
    pub fn somehow(self) -> Outcome {
        self.0
    }
}

/// What a command said and how it ended. The checks panic with everything that was said, as assertions do.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The command's exit status; 128 and the signal's number if a signal ended it.
    pub status: u8,
    /// Whether another kernel was to follow, and none spoke: the rest is the first one's.
    pub alone: bool,
    /// Its standard output, if it was to be remembered.
    pub out: Vec<u8>,
    /// Its standard error, likewise.
    pub err: Vec<u8>,
    /// What the lab had to say, likewise.
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
    pub fn says(self, text: &str) -> Self {
        let said = [&self.out, &self.err].iter().any(|bytes| String::from_utf8_lossy(bytes).contains(text));
        assert!(said, "{text:?} was not said\n{}", self.all());
        self
    }

    /// Checks that the text is in neither.
    ///
    /// # Panics
    /// It is.
    #[track_caller]
    pub fn never_says(self, text: &str) -> Self {
        let said = [&self.out, &self.err].iter().any(|bytes| String::from_utf8_lossy(bytes).contains(text));
        assert!(!said, "{text:?} was said\n{}", self.all());
        self
    }

    /// Checks that the kernel logged the text.
    ///
    /// # Panics
    /// It did not.
    #[track_caller]
    pub fn kernel_says(self, text: &str) -> Self {
        assert!(self.kernel_log().contains(text), "the kernel did not log {text:?}\n{}", self.all());
        self
    }

    /// Checks that the kernel logged no warning, no bug and no stall.
    ///
    /// # Panics
    /// It did.
    #[track_caller]
    pub fn kernel_is_content(self) -> Self {
        let log = self.kernel_log();
        let complaints = log::complaints(&log);
        assert!(complaints.is_empty(), "the kernel complains:\n{}\n{}", complaints.join("\n"), self.all());
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
