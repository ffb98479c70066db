//! The places where the running kernel keeps what kexec loaded: what is there, and taking it away.

use std::io;

use abi::kexec::{file_flag, flag};
use anyhow::{Context, anyhow, bail};

use super::request::{Slot, Wanted};
use super::trouble::Trouble;
use super::{errno, kept};

/// The size of the memory reserved for crash kernels.
const CRASH_SIZE: &str = "/sys/kernel/kexec_crash_size";

impl Slot {
    const fn file(self) -> &'static str {
        match self {
            Self::Normal => "/sys/kernel/kexec_loaded",
            Self::Crash => "/sys/kernel/kexec_crash_loaded",
        }
    }

    /// Whether the running kernel itself has something loaded there.
    pub(super) fn has_kernel(self) -> anyhow::Result<bool> {
        let path = self.file();
        let text = text_of(path)?;
        match text.trim() {
            "0" => Ok(false),
            "1" => Ok(true),
            other => bail!("{path} is {other:?}, neither 0 nor 1"),
        }
    }

    /// Whether something is loaded there, an image that is called included.
    pub(super) fn is_loaded(self) -> anyhow::Result<bool> {
        match self {
            Self::Normal if kept::is_kept()? => Ok(true),
            _ => self.has_kernel(),
        }
    }

    /// Takes away what is loaded there; that there is nothing is no error.
    pub(super) fn unload(self, wanted: Wanted) -> Result<(), Trouble> {
        if self == Self::Normal && kept::forget()? && !self.has_kernel().unwrap_or(false) {
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

/// What the running kernel says in a file of `/sys`.
fn text_of(path: &'static str) -> anyhow::Result<String> {
    std::fs::read_to_string(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => {
            anyhow!("there is no {path}: mount sysfs at /sys, unless this kernel is built without kexec")
        }
        _ => anyhow::Error::new(error).context(path),
    })
}

/// The size of the memory reserved for crash kernels, 0 if there is none.
pub(super) fn crash_size() -> anyhow::Result<u64> {
    let text = text_of(CRASH_SIZE)?;
    text.trim().parse().with_context(|| format!("{CRASH_SIZE} is {text:?}, no number"))
}

/// The bytes that the running kernel wants for an elfcorehdr that it writes anew.
pub(super) fn elfcorehdr_size() -> anyhow::Result<u64> {
    const FILE: &str = "/sys/kernel/crash_elfcorehdr_size";
    let text = std::fs::read_to_string(FILE)
        .context("--hotplug needs a kernel of 6.6 or newer with CONFIG_CRASH_HOTPLUG")
        .with_context(|| FILE.to_owned())?;
    text.trim().parse().with_context(|| format!("{FILE} is {text:?}, no number"))
}
