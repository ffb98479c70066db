//! Pages of the page cache on their way to the disk.

// UNSAFETY: sync_file_range has no safe wrapper.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsFd, AsRawFd};

/// Waits for the writeback of a file in progress, then starts writing the rest of its dirty pages.
/// Called regularly, it keeps a writer at the disk's speed and the disk busy. No-op where
/// unsupported: for pipes and devices, and on file systems without it.
///
/// # Errors
/// A page could not be written. Each error is reported once.
pub fn push(file: impl AsFd) -> io::Result<()> {
    let flags = libc::SYNC_FILE_RANGE_WAIT_BEFORE | libc::SYNC_FILE_RANGE_WRITE;
    // SAFETY: the descriptor is open as long as it is borrowed; no memory of ours is touched. Of no
    // length: up to the end.
    let answer = unsafe { libc::sync_file_range(file.as_fd().as_raw_fd(), 0, 0, flags) };
    if answer == 0 {
        return Ok(());
    }
    let error = io::Error::last_os_error();
    match error.raw_os_error() {
        Some(libc::ESPIPE | libc::EINVAL | libc::ENOSYS) => Ok(()),
        _ => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::os::unix::fs::FileExt;

    #[test]
    fn pushed_bytes_are_still_there() {
        let path = std::env::temp_dir().join(format!("kjump-writeback-{}", std::process::id()));
        let file = File::create(&path).unwrap();
        for number in 0..4_u8 {
            file.write_all_at(&[number; 5000], u64::from(number) * 5000).unwrap();
            push(&file).unwrap();
        }
        assert!(std::fs::read(&path).unwrap().chunks(5000).zip(0..).all(|(part, n)| part == [n; 5000]));
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_file_without_a_disk_is_left_alone() {
        push(File::options().write(true).open("/dev/null").unwrap()).unwrap();
        push(io::stdout()).unwrap();
        push(io::pipe().unwrap().1).unwrap();
    }
}
