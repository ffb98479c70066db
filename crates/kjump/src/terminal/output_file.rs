//! Files that are written as a whole or not at all.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

use anyhow::{Context, bail};
use sys::{Device, descriptor};

use crate::terminal::number::FileFrom;

/// Bytes copied at a time.
const CHUNK: usize = 1 << 20;

/// Copies from the image of the open file of the device into a file.
pub(crate) fn write(device: &Device, output: &FileFrom) -> anyhow::Result<()> {
    write_from(output, |address, chunk| Ok(device.read(address, chunk)?))
        .with_context(|| output.path.display().to_string())
}

/// Writes bytes into a file.
pub(crate) fn write_bytes(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    fill(path, |file| Ok(file.write_all(bytes)?)).with_context(|| path.display().to_string())
}

/// Copies from `read`, which reads from an address into a buffer.
fn write_from(
    output: &FileFrom,
    read: impl FnMut(u64, &mut [u8]) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    fill(&output.path, |file| copy(output, file, read))
}

fn fill(path: &Path, write: impl FnOnce(&mut File) -> anyhow::Result<()>) -> anyhow::Result<()> {
    match destination(path)? {
        Destination::InPlace => write(&mut OpenOptions::new().write(true).open(path)?),
        Destination::File(path) => {
            let mut file = NewFile::create(&path)?;
            write(&mut file.file)?;
            file.file.sync_all()?;
            Ok(file.publish()?)
        }
    }
}

/// Where the bytes for a path go.
pub(crate) enum Destination {
    /// To a regular file, new or replaced, by the name at the end of all symbolic links.
    File(PathBuf),
    /// To what is there: a device, a pipe, or an open file by a name such as /dev/stdout or
    /// /proc/self/fd/3.
    InPlace,
}

/// Follows symbolic links, whose targets need not exist.
///
/// # Errors
/// A directory cannot be read, or there are too many links.
pub(crate) fn destination(path: &Path) -> io::Result<Destination> {
    /// As many as the kernel follows.
    const LINKS: usize = 40;
    let mut path = path.to_owned();
    for _ in 0..LINKS {
        let parent = parent(&path).to_owned();
        match std::fs::symlink_metadata(&path) {
            Ok(present) if present.is_symlink() => {
                // A link in /proc leads to an open file, which need not have a name.
                if std::fs::canonicalize(&parent)?.starts_with("/proc") {
                    return Ok(Destination::InPlace);
                }
                path = parent.join(std::fs::read_link(&path)?);
            }
            Ok(present) if present.is_file() || present.is_dir() => return Ok(Destination::File(path)),
            Ok(_) => return Ok(Destination::InPlace),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Destination::File(path)),
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::other("too many symbolic links"))
}

/// A new file that gets its name once complete. Only its owner may read it, because its contents
/// may be secret. If the file system supports it, it has no name until then, so that nothing is
/// left if the program is killed. Otherwise it has a temporary name, which is removed when this is
/// dropped, or when SIGHUP, SIGINT or SIGTERM ends the program.
pub(crate) struct NewFile {
    pub(crate) file: File,
    /// `None` for a file without a name.
    temporary: Option<Temporary>,
    path: PathBuf,
}

impl NewFile {
    /// Starts a file for this path, which replaces an existing one once complete.
    pub(crate) fn create(path: &Path) -> anyhow::Result<Self> {
        let temporary = temporary_name(path)?;
        if let Some(file) = descriptor::create_unnamed(parent(path))? {
            return Ok(Self { file, temporary: None, path: path.to_owned() });
        }
        let options = |path: &Path| OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
        let made = Temporary::create(&temporary, options);
        let (temporary, file) = made.with_context(|| temporary.display().to_string())?;
        Ok(Self { file, temporary: Some(temporary), path: path.to_owned() })
    }

    /// A path by which the file can be opened again.
    pub(crate) fn current_path(&self) -> PathBuf {
        let temporary = self.temporary.as_ref().map(|temporary| temporary.0.clone());
        temporary.unwrap_or_else(|| descriptor::path_of(&self.file))
    }

    /// Changes the name that the file gets once complete.
    pub(crate) fn rename(&mut self, path: &Path) {
        path.clone_into(&mut self.path);
    }

    /// Gives the file its name.
    pub(crate) fn publish(mut self) -> io::Result<()> {
        if self.temporary.is_none() {
            match descriptor::link(&self.file, &self.path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                result => return result,
            }
            // Only a rename replaces a file.
            let temporary = temporary_name(&self.path).map_err(io::Error::other)?;
            let (temporary, ()) = Temporary::create(&temporary, |path| descriptor::link(&self.file, path))?;
            self.temporary = Some(temporary);
        }
        std::fs::rename(self.current_path(), &self.path)
    }
}

/// The name of a file that is removed in the end, also by a signal that ends the program.
struct Temporary(PathBuf);

/// All of this process.
static TEMPORARY: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

fn all_temporary() -> MutexGuard<'static, Vec<PathBuf>> {
    TEMPORARY.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Temporary {
    /// Has `make` make the file. No thread that was started earlier may take signals.
    fn create<T>(path: &Path, make: impl FnOnce(&Path) -> io::Result<T>) -> io::Result<(Self, T)> {
        static SIGNALS: Once = Once::new();
        SIGNALS.call_once(|| {
            // Without a thread for it, a file may be left: that is no reason not to write it.
            let _ = sys::signal::before_termination(|| {
                let all = all_temporary();
                for path in all.iter() {
                    let _ = std::fs::remove_file(path);
                }
                // Until the signal has ended the program, no other file is made.
                std::mem::forget(all);
            });
        });
        let mut all = all_temporary();
        let made = make(path)?;
        all.push(path.to_owned());
        Ok((Self(path.to_owned()), made))
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // After `publish` it does not exist. On an error, the first error is the one to report.
        let _ = std::fs::remove_file(&self.0);
        all_temporary().retain(|path| *path != self.0);
    }
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => Path::new("/"),
    }
}

/// A name in the same directory that no other process uses, and that is not too long.
fn temporary_name(path: &Path) -> anyhow::Result<PathBuf> {
    /// `NAME_MAX` of Linux.
    const LONGEST: usize = 255;
    let Some(name) = path.file_name() else { bail!("this is not the name of a file") };
    let end = format!(".kjump-{}", std::process::id());
    let mut new = [b".", name.as_bytes()].concat();
    new.truncate(LONGEST - end.len());
    new.extend(end.into_bytes());
    Ok(path.with_file_name(OsString::from_vec(new)))
}

fn copy(
    output: &FileFrom,
    file: &mut File,
    mut read: impl FnMut(u64, &mut [u8]) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut chunk = vec![0; CHUNK];
    let (mut address, mut left) = (output.address, output.length);
    while left > 0 {
        let size = usize::try_from(left).unwrap_or(CHUNK).min(CHUNK);
        let (part, _) = chunk.split_at_mut(size);
        read(address, part)?;
        file.write_all(part)?;
        address = address.wrapping_add(size as u64);
        left -= size as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    /// A directory for one test.
    fn directory(name: &str) -> PathBuf {
        let directory = std::env::temp_dir().join(format!("kjump-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        directory
    }

    fn pattern(address: u64, chunk: &mut [u8]) -> anyhow::Result<()> {
        for (place, number) in chunk.iter_mut().zip(address..) {
            *place = number.to_le_bytes()[0] ^ number.to_le_bytes()[2];
        }
        Ok(())
    }

    #[test]
    fn a_file_has_the_bytes_in_order_and_only_its_owner_can_read_it() {
        let directory = directory("order");
        let path = directory.join("memory");
        std::fs::write(&path, "old").unwrap();
        let output = FileFrom { path: path.clone(), address: 0x1003, length: (CHUNK + 77) as u64 };
        write_from(&output, pattern).unwrap();
        let mut expected = vec![0; CHUNK + 77];
        pattern(0x1003, &mut expected).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), expected);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(&directory).unwrap().count(), 1);
        std::fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn an_error_in_the_middle_leaves_the_old_file_alone() {
        let directory = directory("error");
        let path = directory.join("memory");
        std::fs::write(&path, "old").unwrap();
        let output = FileFrom { path: path.clone(), address: 0, length: (CHUNK * 2) as u64 };
        let error = write_from(&output, |address, _| if address > 0 { bail!("no more") } else { Ok(()) });
        assert_eq!(error.unwrap_err().to_string(), "no more");
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        assert_eq!(std::fs::read_dir(&directory).unwrap().count(), 1);
        std::fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn a_device_is_written_to_and_not_replaced() {
        let output = FileFrom { path: "/dev/null".into(), address: 0, length: 10 };
        write_from(&output, pattern).unwrap();
        assert!(!std::fs::metadata("/dev/null").unwrap().is_file());
    }

    #[test]
    fn a_directory_is_not_a_file() {
        let output = FileFrom { path: "/".into(), address: 0, length: 10 };
        assert_eq!(write_from(&output, pattern).unwrap_err().to_string(), "this is not the name of a file");
    }
}
