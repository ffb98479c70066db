//! Loading by `kexec_file_load`.

use std::ffi::CString;
use std::io;
use std::os::fd::AsFd;

use abi::kexec::file_flag;
use anyhow::{Context, anyhow};
use plan::linux;

use super::files::Files;
use super::kept::NAME;
use super::request::Load;
use crate::input::{self, Name};
use crate::terminal::progress::Progress;
use crate::terminal::report;

/// The outer result is about files, the inner one is the system call's.
pub(super) fn load(files: &Files, load: &Load) -> anyhow::Result<io::Result<()>> {
    let line = CString::new(files.command_line.clone()).context("the command line contains a zero byte")?;
    let flags = flags(load);
    if load.debug {
        report::complain(
            NAME,
            &format!("kexec_file_load: flags {flags:#x}, {} bytes of command line", line.count_bytes()),
        );
    }
    input::require_room(needed(files, load)).context("the load")?;
    let memory = |name, parts: &[&[u8]]| {
        sys::system::file_of(name, parts.iter().copied())
            .with_context(|| format!("a copy of {} in memory", name.to_string_lossy()))
    };
    let unpacked = match files.kernel.file() {
        Some(_) => None,
        None => Some(memory(c"the kernel", &[files.kernel.kernel()])?),
    };
    let kernel = unpacked.as_ref().or(files.kernel.file()).context("there is no kernel")?;
    let joined = match (files.only_initrd(), files.initrd_sizes().next()) {
        (None, Some(_)) => {
            let initrds = linux::with_bootconfig_last(&files.all_initrds()?)?;
            Some(memory(c"the initrds", &padded(initrds.iter().map(|initrd| initrd.bytes)))?)
        }
        _ => None,
    };
    let initrd = files.only_initrd().or(joined.as_ref());
    let _progress = Progress::start(format!("loading {}", Name(&files.kernel.path)), 1);
    let outcome = sys::kexec::load_file(kernel.as_fd(), initrd.map(AsFd::as_fd), &line, flags);
    if outcome.is_ok()
        && let Err(changed) = files.check_unchanged()
    {
        // What was loaded may be half of the old file and half of the new one.
        let unloaded = sys::kexec::unload_file(flags);
        return Err(unloaded.err().map_or_else(
            || changed.context("nothing is loaded"),
            |error| anyhow!("{error}").context("unloading the possibly damaged kernel"),
        ));
    }
    Ok(outcome)
}

/// Bytes that the kernel needs for a load of these files: it reads them into memory, and copies
/// them to where they are loaded. For a crash kernel, that is memory of its own.
pub(super) fn needed(files: &Files, load: &Load) -> u64 {
    let initrds = files.initrd_sizes().fold(0_u64, |sum, (_, size)| sum.saturating_add(size));
    let bytes = initrds.saturating_add(files.kernel.kernel().len() as u64);
    if load.crash { bytes } else { bytes.saturating_mul(2) }
}

pub(super) fn flags(load: &Load) -> u64 {
    load.file_flags | if load.crash { file_flag::ON_CRASH } else { 0 }
}

/// Initrds one after the other, each at a page boundary: the kernel skips zeros between archives.
fn padded<'a>(initrds: impl Iterator<Item = &'a [u8]>) -> Vec<&'a [u8]> {
    const PAGE: usize = 4096;
    static ZEROS: [u8; PAGE] = [0; PAGE];
    let mut parts: Vec<&[u8]> = Vec::new();
    for bytes in initrds {
        if let Some(last) = parts.last() {
            let gap = last.len().next_multiple_of(PAGE) - last.len();
            parts.push(ZEROS.get(..gap).unwrap_or(&[]));
        }
        parts.push(bytes);
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn initrds_start_with_pages() {
        let (a, b, c) = ([1_u8; 5], [2; 4096], [3; 1]);
        let parts = padded([a.as_slice(), &b, &c].into_iter());
        let whole = parts.concat();
        assert_eq!((whole.len(), whole[4096], whole[8192]), (8193, 2, 3));
        assert!(padded([].into_iter()).is_empty());
        assert_eq!(padded([a.as_slice()].into_iter()), [a.as_slice()]);
    }
}
