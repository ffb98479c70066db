//! The places where the running kernel keeps what kexec loaded: whether something is there, and
//! unloading it.

use std::io;
use std::path::Path;

use abi::kexec::{file_flag, flag};
use anyhow::anyhow;
use machine::kexec;

use super::request::{Reservation, Wanted};
use super::trouble::Trouble;
use super::{errno, kept};

impl Reservation {
    /// Whether the kernel's own kexec has something loaded there.
    pub(super) fn has_kernel(self) -> anyhow::Result<bool> {
        let root = Path::new("/");
        let loaded = match self {
            Self::Normal => kexec::loaded(root),
            Self::Crash => kexec::crash_loaded(root),
        };
        loaded.map_err(advised)
    }

    /// Whether something is loaded there; images that return count too.
    pub(super) fn is_loaded(self) -> anyhow::Result<bool> {
        match self {
            Self::Normal if kept::is_kept()? => Ok(true),
            _ => self.has_kernel(),
        }
    }

    /// Unloads what is loaded there, if anything.
    pub(super) fn unload(self, wanted: Wanted) -> Result<(), Trouble> {
        if self == Self::Normal && kept::forget(false)? && !self.has_kernel().unwrap_or(false) {
            return Ok(());
        }
        let file_flags = if self == Self::Crash { file_flag::ON_CRASH } else { 0 };
        let flags = if self == Self::Crash { flag::ON_CRASH } else { 0 };
        let refused =
            |call, error: io::Error| Trouble::Failed(errno::explained(call, &error, "unloading", None));
        let by_file = || sys::kexec::unload_file(file_flags);
        let by_load = || sys::kexec::unload(flags);
        match wanted {
            Wanted::Load => by_load().map_err(|error| refused(errno::Call::Load, error)),
            Wanted::FileLoad => match by_file() {
                Err(error) if errno::is_missing(&error) => Err(Trouble::NoFileLoad),
                other => other.map_err(|error| refused(errno::Call::FileLoad, error)),
            },
            Wanted::Either => match by_file() {
                Err(error) if errno::is_missing(&error) => {
                    by_load().map_err(|error| refused(errno::Call::Load, error))
                }
                other => other.map_err(|error| refused(errno::Call::FileLoad, error)),
            },
        }
    }
}

/// The size of the memory reserved for crash kernels, 0 if there is none.
pub(super) fn crash_size() -> anyhow::Result<u64> {
    kexec::crash_size(Path::new("/")).map_err(advised)
}

fn advised(error: machine::Error) -> anyhow::Error {
    match error {
        machine::Error::Absent { path } => {
            anyhow!("there is no {path}: mount sysfs at /sys, unless this kernel is built without kexec")
        }
        other => other.into(),
    }
}
