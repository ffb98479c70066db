//! Disks as they are, without a file system.

use std::fs::File;
use std::io;
use std::path::Path;

use rustix::fs::{FallocateFlags, Mode, OFlags, fallocate, open};
use rustix::io::Errno;

/// Opens a disk for writing, for this process alone: not if it is mounted, and it cannot be mounted
/// it meanwhile.
///
/// # Errors
/// `EBUSY` if it is in use, and the kernel's other reasons.
pub fn open_alone(path: &Path) -> io::Result<File> {
    Ok(open(path, OFlags::WRONLY | OFlags::EXCL | OFlags::CLOEXEC, Mode::empty())?.into())
}

/// Opens a disk for reading and writing, for this process alone, and past the page cache if its
/// driver does that.
///
/// # Errors
/// `EBUSY` if it is in use, and the kernel's other reasons.
pub fn open_for_both(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDWR | OFlags::EXCL | OFlags::CLOEXEC;
    match open(path, flags | OFlags::DIRECT, Mode::empty()) {
        Err(Errno::INVAL | Errno::OPNOTSUPP) => Ok(open(path, flags, Mode::empty())?.into()),
        opened => Ok(opened?.into()),
    }
}

/// Opens a disk, or a file that is there, for writing past the page cache: of memory, place in the
/// file and size, all have to be multiples of what the disk wants. `None` if its driver or file
/// system does not do that.
///
/// # Errors
/// The kernel's other reasons.
pub fn open_past_the_cache(path: &Path) -> io::Result<Option<File>> {
    match open(path, OFlags::WRONLY | OFlags::DIRECT | OFlags::CLOEXEC, Mode::empty()) {
        Ok(file) => Ok(Some(file.into())),
        Err(Errno::INVAL | Errno::OPNOTSUPP) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Makes zeros of a part of a disk, as the disk does it best. Places and lengths are multiples of
/// its blocks.
///
/// # Errors
/// The kernel's reasons; `Unsupported` if it must be done by writing.
pub fn make_zeros(file: &File, offset: u64, length: u64) -> io::Result<()> {
    let flags = FallocateFlags::ZERO_RANGE | FallocateFlags::KEEP_SIZE;
    match fallocate(file, flags, offset, length) {
        Err(Errno::OPNOTSUPP | Errno::INVAL | Errno::NOSYS | Errno::NODEV) => {
            Err(io::ErrorKind::Unsupported.into())
        }
        answer => Ok(answer?),
    }
}

/// Allocates blocks for a part of a file, which becomes no longer by that: what is read there is
/// zeros as before. Of what is beyond its end, nothing is left when the file is cut to a length.
///
/// # Errors
/// The kernel's reasons, as that the disk is full, when a part may be allocated; `Unsupported` if
/// the file system cannot do it.
pub fn allocate(file: &File, offset: u64, length: u64) -> io::Result<()> {
    match fallocate(file, FallocateFlags::KEEP_SIZE, offset, length) {
        Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::NODEV) => Err(io::ErrorKind::Unsupported.into()),
        answer => Ok(answer?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::FileExt;

    #[test]
    fn zeros_are_made_where_they_can_be_and_only_there() {
        let path = std::env::temp_dir().join(format!("kjump-disk-{}", std::process::id()));
        let file = File::create(&path).unwrap();
        file.write_all_at(&[1; 4 * 4096], 0).unwrap();
        let expected = match make_zeros(&file, 4096, 8192) {
            Ok(()) => [[1; 4096], [0; 4096], [0; 4096], [1; 4096]],
            Err(error) => {
                assert_eq!(error.kind(), io::ErrorKind::Unsupported);
                [[1; 4096]; 4]
            }
        };
        assert!(std::fs::read(&path).unwrap() == expected.concat());
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn what_has_no_page_cache_cannot_be_written_past_it() {
        let path = Path::new("/proc/self/comm");
        assert!(open_past_the_cache(path).unwrap().is_none());
        assert!(open_past_the_cache(Path::new("/proc/self/nothing")).is_err());
    }
}
