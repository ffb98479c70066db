//! Failures of the lab itself, as opposed to failures of the command that runs in it.

use std::io;
use std::path::{Path, PathBuf};

/// A failure of the lab.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file of the host could not be used.
    #[error("cannot {action} {}", path.display())]
    File {
        /// The action: read, write, create.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A description that the lab itself writes does not parse.
    #[error("{} is not what the lab wrote", path.display())]
    Json {
        /// The description.
        path: PathBuf,
        /// The error and its place.
        source: serde_json::Error,
    },
    /// A kernel module's file could not be understood.
    #[error("{}: not a kernel module: {reason}", path.display())]
    Module {
        /// The file.
        path: PathBuf,
        /// The fault found.
        reason: String,
    },
    /// The kernel does not have a requested driver.
    #[error("kernel {release} has no driver {name}, neither built in nor as a module")]
    NoDriver {
        /// The kernel's release.
        release: String,
        /// The driver.
        name: String,
    },
    /// A file is too large for an initramfs.
    #[error("{guest}: {size} bytes do not fit an initramfs, whose files end at 4 GiB")]
    TooLarge {
        /// The file's path in the guest.
        guest: String,
        /// Its size in bytes.
        size: u64,
    },
    /// `HOST:GUEST` was expected.
    #[error("{given:?} is not HOST:GUEST with an absolute path of the guest")]
    NotAPair {
        /// The text given.
        given: String,
    },
    /// Bochs does not have something that the machine is described with.
    #[error("a Bochs machine has no {what}: {reason}")]
    Lacks {
        /// The part of the description.
        what: &'static str,
        /// Why it has none.
        reason: &'static str,
    },
    /// A program of the host could not be run: QEMU, Bochs, or one that makes a disk for them.
    #[error("cannot run {program}")]
    Spawn {
        /// The program.
        program: String,
        /// The cause.
        source: io::Error,
    },
    /// The machine ended before the command.
    #[error("the guest ended before its command: {why}\n{tail}")]
    GuestEnded {
        /// A panic, a reset, or the emulator's own error.
        why: String,
        /// The end of the serial log.
        tail: String,
        /// The whole serial log: the text that a story looks for may be far from the end.
        log: String,
    },
    /// The command took too long.
    #[error("no exit status after {seconds} s\n{tail}")]
    Timeout {
        /// The time allowed.
        seconds: u64,
        /// The end of the serial log.
        tail: String,
        /// The whole serial log.
        log: String,
    },
    /// Bytes from the guest were lost or changed.
    #[error("the line from the guest is damaged: {reason}\n{tail}")]
    Line {
        /// The inconsistency found.
        reason: String,
        /// The end of the serial log.
        tail: String,
    },
    /// The guest's output could not be passed on.
    #[error("cannot write the guest's output")]
    Output {
        /// The cause.
        source: io::Error,
    },
}

/// The lab's result.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// Adds the file to an input/output error.
    pub(crate) fn file(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { action, path, source }
    }
}
