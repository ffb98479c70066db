//! Descriptors that this program inherited, and files without a name.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, fcntl_getfl, fstat, linkat, makedev, open};
use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};

/// The file of a standard descriptor, to write to.
///
/// # Errors
/// `EBADF` if it is not open for writing. A descriptor that was closed when the program started is
/// /dev/null, opened for reading and writing by Rust's runtime: that is an error, too.
pub fn writable(descriptor: impl AsFd) -> io::Result<File> {
    let descriptor = descriptor.as_fd();
    let mode = fcntl_getfl(descriptor)? & OFlags::RWMODE;
    let status = fstat(descriptor)?;
    let is_device = FileType::from_raw_mode(status.st_mode) == FileType::CharacterDevice;
    let is_null = is_device && status.st_rdev == makedev(1, 3);
    if mode == OFlags::RDONLY || is_null && mode == OFlags::RDWR {
        return Err(Errno::BADF.into());
    }
    Ok(descriptor.try_clone_to_owned()?.into())
}

/// The size that no file of this program may exceed (`ulimit -f`), in bytes.
#[must_use]
pub fn file_size_limit() -> Option<u64> {
    getrlimit(Resource::Fsize).current
}

/// A new file in this directory that has no name yet, and that only its owner may read. `None` if
/// its file system does not support that, or if /proc is not mounted, which [`link`] needs.
///
/// # Errors
/// The kernel's other reasons.
pub fn create_unnamed(directory: &Path) -> io::Result<Option<File>> {
    let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
    match open(directory, flags, Mode::RUSR | Mode::WUSR) {
        Ok(file) => Ok(Some(File::from(file)).filter(|file| path_of(file).exists())),
        Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL | Errno::NOENT) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// A path that leads to an open file.
#[must_use]
pub fn path_of(file: &File) -> PathBuf {
    format!("/proc/self/fd/{}", file.as_raw_fd()).into()
}

/// Opens a file for reading once more. Unlike a duplicate of its descriptor, the new file shares
/// nothing with it.
///
/// # Errors
/// The kernel's reasons; `ENOENT` if /proc is not mounted.
pub fn open_again(file: &File) -> io::Result<File> {
    File::open(path_of(file))
}

/// Gives a name to a file of [`create_unnamed`].
///
/// # Errors
/// `EEXIST` if the name is taken, and the kernel's other reasons.
pub fn link(file: &File, name: &Path) -> io::Result<()> {
    Ok(linkat(CWD, path_of(file), CWD, name, AtFlags::SYMLINK_FOLLOW)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_descriptors_that_are_open_for_writing_are_writable() {
        let open = |read, write| File::options().read(read).write(write).open("/dev/null").unwrap();
        assert!(writable(open(false, true)).is_ok());
        assert!(writable(open(true, false)).is_err());
        assert!(writable(open(true, true)).is_err());
        assert!(writable(io::pipe().unwrap().1).is_ok());
        assert!(writable(io::pipe().unwrap().0).is_err());
    }

    #[test]
    fn an_unnamed_file_gets_a_name_that_is_not_taken() {
        let directory = std::env::temp_dir().join(format!("kjump-unnamed-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        if let Some(file) = create_unnamed(&directory).unwrap() {
            assert_eq!(std::fs::read_dir(&directory).unwrap().count(), 0);
            link(&file, &directory.join("a")).unwrap();
            assert_eq!(link(&file, &directory.join("a")).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        }
        std::fs::remove_dir_all(directory).unwrap();
    }
}
