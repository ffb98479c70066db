//! `kexec_load(2)`, `kexec_file_load(2)` and the reboot that starts what they loaded.
// UNSAFETY: a system call is a number and words, some of them pointers, which the kernel reads
// through. Here each number meets the structures of `abi` that belong to it, and nowhere else.
#![allow(unsafe_code)]

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use abi::device::Segment;
use abi::kexec::{arch, file_flag};
use rustix::system::{RebootCommand, reboot};

use crate::device::{Destination, address_of, segment};

/// Loads an image by `kexec_load`, in place of what was loaded. The flags are of
/// [`abi::kexec::flag`].
///
/// # Errors
/// The kernel's error; an earlier load may then be gone.
pub fn load(entry: u64, segments: &[Destination<'_>], flags: u64) -> io::Result<()> {
    let segments: Vec<Segment> = segments.iter().map(segment).collect();
    // SAFETY: `kexec_load` takes an address that it stores, a count, an array of as many segments
    // and flags; it only reads what the array and its pointers point at, all of which is borrowed
    // until it returns.
    let result = unsafe {
        libc::syscall(
            libc::SYS_kexec_load,
            entry,
            segments.len() as u64,
            address_of(&segments),
            flags | arch::X86_64,
        )
    };
    answer(result)
}

/// Unloads the image loaded by `kexec_load`, with flags as for [`load`].
///
/// # Errors
/// The kernel's error.
pub fn unload(flags: u64) -> io::Result<()> {
    load(0, &[], flags)
}

/// Loads a kernel by `kexec_file_load`. The flags are of [`abi::kexec::file_flag`]; that there is
/// no initrd is added.
///
/// # Errors
/// The kernel's error; an earlier load may then be gone.
pub fn load_file(
    kernel: BorrowedFd<'_>,
    initrd: Option<BorrowedFd<'_>>,
    command_line: &CStr,
    flags: u64,
) -> io::Result<()> {
    let flags = if initrd.is_some() { flags } else { flags | file_flag::NO_INITRAMFS };
    let initrd = initrd.map_or(-1, |file| file.as_raw_fd());
    file_load(kernel.as_raw_fd(), initrd, Some(command_line), flags)
}

/// Unloads the image loaded by `kexec_file_load`, with flags as for [`load_file`].
///
/// # Errors
/// The kernel's error.
pub fn unload_file(flags: u64) -> io::Result<()> {
    file_load(-1, -1, None, flags | file_flag::UNLOAD)
}

fn file_load(kernel: i32, initrd: i32, command_line: Option<&CStr>, flags: u64) -> io::Result<()> {
    let line = command_line.map_or(&[][..], CStr::to_bytes_with_nul);
    // SAFETY: `kexec_file_load` takes two file descriptors, a length, a text of that length and
    // flags; it only reads the text, which is borrowed until it returns.
    let result = unsafe {
        libc::syscall(
            libc::SYS_kexec_file_load,
            i64::from(kernel),
            i64::from(initrd),
            line.len() as u64,
            address_of(line),
            flags,
        )
    };
    answer(result)
}

/// Starts the loaded image. Returns only if that is not possible, or if the image has returned.
///
/// # Errors
/// The kernel's error.
pub fn start() -> io::Result<()> {
    Ok(reboot(RebootCommand::Kexec)?)
}

fn answer(result: i64) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use abi::errno;
    use std::os::fd::AsFd;

    /// Flags that no kernel knows, so that nothing is loaded or unloaded even where these tests are
    /// root's.
    const UNKNOWN: u64 = 0xff00;

    #[test]
    fn a_kernel_that_refuses_is_heard() {
        let page = Destination { bytes: &[], address: 0x10_0000, size: 0x1000 };
        let refusals = [errno::EPERM, errno::EINVAL, errno::ENOSYS];
        let null = std::fs::File::open("/dev/null").unwrap();
        for result in [
            load(0x10_0000, &[page], UNKNOWN),
            unload(UNKNOWN),
            load_file(null.as_fd(), None, c"quiet", UNKNOWN),
            unload_file(UNKNOWN),
        ] {
            let errno = result.unwrap_err().raw_os_error().unwrap();
            assert!(refusals.contains(&errno), "{errno}");
        }
    }
}
