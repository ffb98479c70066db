//! What can go wrong with the lab itself, as opposed to with the command that runs in it.

use std::io;
use std::path::{Path, PathBuf};

/// A failure of the lab.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file of the host could not be used.
    #[error("cannot {action} {}", path.display())]
    File {
        /// What was tried: read, write, create.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A description that the lab itself writes does not parse.
    #[error("{} is not what the lab wrote", path.display())]
    Json {
        /// The description.
        path: PathBuf,
        /// Where it is wrong.
        source: serde_json::Error,
    },
    /// A kernel module's file could not be understood.
    #[error("{}: not a kernel module: {reason}", path.display())]
    Module {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A driver was asked for that the kernel does not have.
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
        /// Its name in the guest.
        guest: String,
        /// Its size.
        size: u64,
    },
    /// `HOST:GUEST` was expected.
    #[error("{given:?} is not HOST:GUEST with an absolute path of the guest")]
    NotAPair {
        /// What was given.
        given: String,
    },
    /// QEMU could not be started.
    #[error("cannot run {program}")]
    Spawn {
        /// The program.
        program: String,
        /// Why not.
        source: io::Error,
    },
    /// The machine ended before the command did.
    #[error("the guest ended before its command did: {why}\n{tail}")]
    GuestEnded {
        /// Panic, reset, or QEMU's own complaint.
        why: String,
        /// The end of the serial log.
        tail: String,
        /// The whole of it: what a story looks for may stand far before the end.
        log: String,
    },
    /// The command took too long.
    #[error("no exit status after {seconds} s\n{tail}")]
    Timeout {
        /// The time allowed.
        seconds: u64,
        /// The end of the serial log.
        tail: String,
        /// The whole of it.
        log: String,
    },
    /// Bytes from the guest were lost or changed.
    #[error("the line from the guest is damaged: {reason}\n{tail}")]
    Line {
        /// What did not fit.
        reason: String,
        /// The end of the serial log.
        tail: String,
    },
    /// The guest's output could not be passed on.
    #[error("cannot write the guest's output")]
    Output {
        /// Why not.
        source: io::Error,
    },
}

/// The lab's result.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// Names the file an input/output error belongs to.
    pub(crate) fn file(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { action, path, source }
    }
}
