//! The destination of a dump: a file that appears only once complete, a disk, standard output, or a
//! file on another machine, by ssh or HTTP.

pub(super) mod chunks;
mod counted;
mod direct;
mod disk;
#[cfg(any(feature = "https", test))]
mod http;
mod remote;
mod signature;
mod ssh;

use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, FileTypeExt};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, anyhow, bail};
use sys::{descriptor, writeback};
use vmcore::{Flattener, WriteAt};

use crate::terminal::output_file::{self, Destination, NewFile};
use direct::Direct;
use disk::Disk;
use remote::Upload;

pub(crate) use remote::{Address, Remote};

/// The name of what a disk contains, if it is known.
pub(super) fn content(disk: &File) -> io::Result<Option<&'static str>> {
    signature::find(disk)
}

/// A dump that is being written. It is removed when dropped, unless it was finished or kept.
pub(super) struct Sink {
    output: Output,
    /// `None` if the output is not a regular file.
    name: Option<NewFile>,
    /// The size limit of the dump in bytes.
    limit: u64,
    /// Bytes written; they are pushed to the disk continuously.
    pushed: AtomicU64,
}

/// Written bytes are pushed to the disk after this amount: the disk stays busy, the page cache
/// stays small, and the measured time of writing is that of the disk.
const PUSH: u64 = 4 << 20;

/// How a dump is written to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WriteMode {
    /// Through the page cache. Parts that are never written are holes.
    Cached,
    /// Past the page cache, if the file system supports that. There are no holes.
    Direct,
    /// As a flattened stream.
    Flattened,
}

/// What a dump may replace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Replace {
    /// Neither files nor the known contents of disks.
    Nothing,
    Files,
    FilesAndDisks,
}

impl Replace {
    /// With or without an option to replace everything.
    pub(super) fn if_forced(force: bool) -> Self {
        if force { Self::FilesAndDisks } else { Self::Nothing }
    }
}

enum Output {
    File(File),
    Direct(Direct),
    Disk(Disk),
    FlatFile(Flattener<File>),
    FlatStdout(Flattener<File>),
    Upload(Box<Flattener<Upload>>),
}

impl Sink {
    /// Starts a file. Only its owner may read it, because it contains memory. Anything but a
    /// regular file is written to in place.
    pub(super) fn file(path: &Path, mode: WriteMode, replace: Replace) -> anyhow::Result<Self> {
        let failed = || path.display().to_string();
        match std::fs::metadata(path) {
            Ok(present) if present.is_dir() => bail!("{}: is a directory", path.display()),
            Ok(present) if present.file_type().is_block_device() => {
                return Self::disk(path, mode, replace).with_context(failed);
            }
            _ => {}
        }
        let output = match output_file::destination(path).with_context(failed)? {
            Destination::InPlace => {
                let mut file = OpenOptions::new().write(true).open(path).with_context(failed)?;
                if mode != WriteMode::Flattened && file.stream_position().is_err() {
                    bail!(
                        "{}: a pipe or the like can only be written to in order: --flattened (-F of \
                         makedumpfile) writes a flattened stream",
                        path.display()
                    );
                }
                (Output::of(file, mode)?, None)
            }
            Destination::File(path) if path.exists() && replace == Replace::Nothing => {
                bail!("{}: file exists; -f replaces it", path.display());
            }
            Destination::File(path) => {
                let new = NewFile::create(&path).with_context(failed)?;
                let file = new.file.try_clone()?;
                let output = match mode {
                    WriteMode::Direct => Output::new(&new.current_path(), file).with_context(failed)?,
                    WriteMode::Cached | WriteMode::Flattened => Output::of(file, mode)?,
                };
                (output, Some(new))
            }
        };
        let (output, name) = output;
        // Known in advance, the limit leaves room for an incomplete dump. The kernel reports it
        // late, when the file is written past the page cache.
        let limit = descriptor::file_size_limit().unwrap_or(u64::MAX);
        Ok(Self { output, name, limit, pushed: AtomicU64::new(0) })
    }

    /// Starts a dump on a disk.
    fn disk(path: &Path, mode: WriteMode, replace: Replace) -> anyhow::Result<Self> {
        let mut file = sys::disk::open_alone(path).map_err(|error| match error.kind() {
            io::ErrorKind::ResourceBusy => anyhow!("the disk is in use (mounted?)"),
            _ => error.into(),
        })?;
        if replace != Replace::FilesAndDisks
            && let Some(content) = signature::find(&File::open(path)?)?
        {
            bail!("the disk contains {content}; -f overwrites it");
        }
        let length = file.seek(SeekFrom::End(0))?;
        let output = if mode == WriteMode::Flattened {
            file.rewind()?;
            Output::FlatFile(Flattener::new(file))
        } else {
            Output::Disk(Disk::open(path, &file, length)?)
        };
        Ok(Self { output, name: None, limit: u64::MAX, pushed: AtomicU64::new(0) })
    }

    /// Starts a flattened stream to standard output.
    pub(super) fn stdout() -> anyhow::Result<Self> {
        let stream = descriptor::writable(io::stdout()).map(Flattener::new);
        let output = Output::FlatStdout(stream.map_err(|error| of_output(&error))?);
        Ok(Self { output, name: None, limit: u64::MAX, pushed: AtomicU64::new(0) })
    }

    /// Starts a flattened stream to a file on another machine, of a dump with at most this number
    /// of pages.
    pub(super) fn remote(remote: &Remote, pages: u64) -> anyhow::Result<Self> {
        let output = Output::Upload(Box::new(Flattener::new(Upload::start(remote, pages)?)));
        Ok(Self { output, name: None, limit: u64::MAX, pushed: AtomicU64::new(0) })
    }

    /// Limits the size of the dump.
    pub(super) fn limited(self, limit: Option<u64>) -> Self {
        Self { limit: limit.unwrap_or(u64::MAX).min(self.limit), ..self }
    }

    /// Pushes written bytes to the disk if these complete an amount of [`PUSH`].
    fn push(&self, file: &File, bytes: usize) -> io::Result<()> {
        let before = self.pushed.fetch_add(bytes as u64, Ordering::Relaxed);
        if before / PUSH == (before + bytes as u64) / PUSH { Ok(()) } else { writeback::push(file) }
    }

    /// Ends a dump of `length` bytes: waits until it is on the disk, then gives it its name.
    pub(super) fn finish(self, length: u64) -> anyhow::Result<()> {
        let file = match self.output {
            Output::File(file) => file,
            Output::Disk(disk) => return Ok(disk.finish(length)?),
            Output::Direct(direct) => {
                direct.finish(length)?;
                return Ok(self.name.map_or(Ok(()), NewFile::publish)?);
            }
            Output::FlatFile(stream) => {
                settle(stream.finish()?)?;
                return Ok(self.name.map_or(Ok(()), NewFile::publish)?);
            }
            Output::Upload(stream) => return (*stream).finish()?.finish(),
            Output::FlatStdout(stream) => {
                return stream.finish().and_then(settle).map_err(|error| of_output(&error));
            }
        };
        // Zeros at the end may not have been written.
        let present = file.metadata()?;
        if present.is_file() && present.len() < length {
            file.set_len(length)?;
        }
        settle(file)?;
        Ok(self.name.map_or(Ok(()), NewFile::publish)?)
    }

    /// Keeps a dump for which there was no room, under this name if it is a file. Returns whether
    /// anything was kept.
    pub(super) fn keep(self, path: &Path) -> anyhow::Result<bool> {
        if let Output::Disk(disk) = self.output {
            return Ok(disk.keep().map(|()| true)?);
        }
        let Some(mut name) = self.name else { return Ok(false) };
        name.rename(path);
        match self.output {
            Output::File(file) => file.sync_all()?,
            Output::Direct(direct) => direct.keep()?,
            _ => return Ok(false),
        }
        Ok(name.publish().map(|()| true)?)
    }
}

impl WriteAt for Sink {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        if offset.saturating_add(bytes.len() as u64) > self.limit {
            return Err(io::ErrorKind::StorageFull.into());
        }
        match &self.output {
            Output::File(file) => {
                file.write_all_at(bytes, offset)?;
                self.push(file, bytes.len())
            }
            Output::Direct(direct) => direct.write_at(offset, bytes),
            Output::Disk(disk) => disk.write_at(offset, bytes),
            Output::FlatFile(stream) => stream.write_at(offset, bytes),
            Output::FlatStdout(stream) => stream.write_at(offset, bytes),
            Output::Upload(stream) => stream.write_at(offset, bytes),
        }
    }

    fn announce(&self, header: &[u8]) -> io::Result<()> {
        match &self.output {
            Output::FlatFile(stream) => stream.announce(header),
            Output::FlatStdout(stream) => stream.announce(header),
            Output::Upload(stream) => stream.announce(header),
            Output::File(_) | Output::Direct(_) | Output::Disk(_) => Ok(()),
        }
    }

    fn is_stream(&self) -> bool {
        matches!(self.output, Output::FlatFile(_) | Output::FlatStdout(_) | Output::Upload(_))
    }
}

impl Output {
    /// A file, written through the page cache.
    fn of(file: File, mode: WriteMode) -> io::Result<Self> {
        Ok(match mode {
            WriteMode::Flattened => Self::FlatFile(Flattener::new(file)),
            WriteMode::Cached | WriteMode::Direct => Self::File(file),
        })
    }

    /// A new file, past the page cache if its file system supports that.
    fn new(path: &Path, file: File) -> io::Result<Self> {
        Ok(Direct::start(path, &file)?.map_or(Self::File(file), Self::Direct))
    }
}

/// An error of standard output. Unlike a text, a dump is worthless if its reader goes away.
fn of_output(error: &io::Error) -> anyhow::Error {
    anyhow!("cannot write to standard output: {error}")
}

/// Waits until the file is on its disk. Pipes and terminals do not support that.
fn settle(file: impl AsFd) -> io::Result<()> {
    match File::from(file.as_fd().try_clone_to_owned()?).sync_all() {
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
        result => result,
    }
}

/// Whether this is a disk, which is written to in place.
pub(super) fn is_disk(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|present| present.file_type().is_block_device())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;
    use std::path::PathBuf;

    fn directory(name: &str) -> PathBuf {
        let dir = std::env::temp_dir().join(format!("kjump-sink-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        dir
    }

    #[test]
    fn a_dump_gets_its_name_only_once_complete() {
        let dir = directory("whole");
        let path = dir.join("dump");
        let sink = Sink::file(&path, WriteMode::Cached, Replace::Nothing).unwrap();
        sink.write_at(3, b"abc").unwrap();
        assert!(!path.exists());
        sink.finish(10).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"\0\0\0abc\0\0\0\0");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn an_unfinished_dump_is_removed() {
        let dir = directory("left");
        let path = dir.join("dump");
        std::fs::write(&path, "old").unwrap();
        assert!(Sink::file(&path, WriteMode::Cached, Replace::Nothing).is_err());
        drop(Sink::file(&path, WriteMode::Flattened, Replace::Files).unwrap());
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 1);
        std::fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn outputs_without_a_disk_are_finished_too() {
        for path in ["/dev/null", "/dev/zero"] {
            let sink = Sink::file(Path::new(path), WriteMode::Cached, Replace::Nothing).unwrap();
            sink.write_at(3, b"abc").unwrap();
            sink.finish(6).unwrap();
        }
        settle(io::pipe().unwrap().1).unwrap();
        settle(File::open("/proc/self/stat").unwrap()).unwrap();
    }

    #[test]
    fn an_incomplete_dump_is_kept_under_another_name() {
        let dir = directory("room");
        let path = dir.join("dump");
        let sink = Sink::file(&path, WriteMode::Cached, Replace::Nothing).unwrap().limited(Some(4));
        sink.write_at(0, b"abcd").unwrap();
        assert_eq!(sink.write_at(4, b"e").unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert!(sink.keep(&dir.join("part")).unwrap());
        assert!(!path.exists());
        assert_eq!(std::fs::read(dir.join("part")).unwrap(), b"abcd");
        std::fs::remove_dir_all(dir).unwrap();
    }
}
