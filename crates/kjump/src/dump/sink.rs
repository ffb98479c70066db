//! Where a dump goes: a file that is there wholly or not at all, a disk, or standard output.

pub(super) mod chunks;
mod direct;
mod disk;
mod new_name;

use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Stdout};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, FileTypeExt, OpenOptionsExt};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, anyhow, bail};
use sys::writeback;
use vmcore::{Flattener, WriteAt};

use crate::terminal::output_file;
use direct::Direct;
use disk::Disk;
use new_name::NewName;

/// A dump being written. If it is neither finished nor kept as it is, nothing is left of it.
pub(super) struct Sink {
    output: Output,
    /// None for what is no regular file.
    name: Option<NewName>,
    /// Where the room ends, in bytes.
    limit: u64,
    /// How many bytes were written; what there is of them is pushed to the disk all the time.
    pushed: AtomicU64,
}

/// Bytes after which what was written is pushed on: the disk has something to do meanwhile, memory is hardly used, and
/// writing takes as long as the disk does, for who measures it.
const PUSH: u64 = 4 << 20;

/// How a dump is put into a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WriteMode {
    /// Through the page cache. What is never written is a hole.
    Cached,
    /// Past the page cache, where the file system can do that. Nothing is a hole.
    Direct,
    /// As a flattened stream.
    Flattened,
}

enum Output {
    File(File),
    Direct(Direct),
    Disk(Disk),
    FlatFile(Flattener<File>),
    FlatStdout(Flattener<Stdout>),
}

impl Sink {
    /// Starts a file. It holds memory: nobody but its owner may read it. What is no regular file is written to as it is.
    pub(super) fn file(path: &Path, mode: WriteMode, replace: bool) -> anyhow::Result<Self> {
        let (file, name) = match std::fs::metadata(path) {
            Ok(present) if present.is_dir() => bail!("{}: this is a folder", path.display()),
            Ok(present) if present.file_type().is_block_device() => {
                return Self::disk(path, mode).with_context(|| path.display().to_string());
            }
            Ok(present) if !present.is_file() => (OpenOptions::new().write(true).open(path), None),
            Ok(_) if !replace => bail!("{}: this file exists; -f replaces it", path.display()),
            _ => {
                let new = output_file::beside(path)?;
                let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new);
                (file, Some(NewName { new, path: path.to_owned() }))
            }
        };
        let file = match file {
            Ok(file) => file,
            Err(error) => {
                // The file is not ours: it must not be removed.
                std::mem::forget(name);
                return Err(error).context(path.display().to_string());
            }
        };
        let output = match (mode, &name) {
            (WriteMode::Flattened, _) => Output::FlatFile(Flattener::new(file)?),
            (WriteMode::Direct, Some(name)) => {
                Output::new(&name.new, file).with_context(|| path.display().to_string())?
            }
            _ => Output::File(file),
        };
        Ok(Self { output, name, limit: u64::MAX, pushed: AtomicU64::new(0) })
    }

    /// Starts to write to a disk.
    fn disk(path: &Path, mode: WriteMode) -> anyhow::Result<Self> {
        let mut file = sys::disk::open_alone(path).map_err(|error| match error.kind() {
            io::ErrorKind::ResourceBusy => anyhow!("this disk is in use, as those are that are mounted"),
            _ => error.into(),
        })?;
        let length = file.seek(SeekFrom::End(0))?;
        let output = if mode == WriteMode::Flattened {
            file.rewind()?;
            Output::FlatFile(Flattener::new(file)?)
        } else {
            Output::Disk(Disk::open(path, &file, length)?)
        };
        Ok(Self { output, name: None, limit: u64::MAX, pushed: AtomicU64::new(0) })
    }

    /// Starts a flattened stream to standard output.
    pub(super) fn stdout() -> anyhow::Result<Self> {
        let output = Output::FlatStdout(Flattener::new(io::stdout()).map_err(|error| of_output(&error))?);
        Ok(Self { output, name: None, limit: u64::MAX, pushed: AtomicU64::new(0) })
    }

    /// Lets the room end here.
    pub(super) fn limited(self, limit: Option<u64>) -> Self {
        Self { limit: limit.unwrap_or(u64::MAX), ..self }
    }

    /// Pushes on what was written, if these bytes make it enough.
    fn push(&self, file: &File, bytes: usize) -> io::Result<()> {
        let before = self.pushed.fetch_add(bytes as u64, Ordering::Relaxed);
        if before / PUSH == (before + bytes as u64) / PUSH { Ok(()) } else { writeback::push(file) }
    }

    /// Ends a dump of so many bytes: it is on disk, and then it gets its name.
    pub(super) fn finish(self, length: u64) -> anyhow::Result<()> {
        let file = match self.output {
            Output::File(file) => file,
            Output::Disk(disk) => return Ok(disk.finish(length)?),
            Output::Direct(direct) => {
                direct.finish(length)?;
                return self.name.map_or(Ok(()), NewName::publish);
            }
            Output::FlatFile(stream) => stream.finish()?,
            Output::FlatStdout(stream) => {
                return stream.finish().and_then(settle).map_err(|error| of_output(&error));
            }
        };
        let Some(name) = self.name else { return Ok(settle(file)?) };
        // Zeros at the end may not have been written.
        if file.metadata()?.len() < length {
            file.set_len(length)?;
        }
        file.sync_all()?;
        name.publish()
    }

    /// Keeps what there is of a dump for which there was no room, under this name if it is a file's; answers with whether
    /// there is something.
    pub(super) fn keep(self, path: &Path) -> anyhow::Result<bool> {
        if let Output::Disk(disk) = self.output {
            return Ok(disk.keep().map(|()| true)?);
        }
        let Some(mut name) = self.name else { return Ok(false) };
        name.path = path.to_owned();
        match self.output {
            Output::File(file) => file.sync_all()?,
            Output::Direct(direct) => direct.keep()?,
            _ => return Ok(false),
        }
        name.publish().map(|()| true)
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
        }
    }

    fn is_stream(&self) -> bool {
        matches!(self.output, Output::FlatFile(_) | Output::FlatStdout(_))
    }
}

impl Output {
    /// A new file of that name, past the page cache if its file system can do that.
    fn new(path: &Path, file: File) -> io::Result<Self> {
        Ok(Direct::start(path, &file)?.map_or(Self::File(file), Self::Direct))
    }
}

/// What became of standard output. Of a text nobody misses what nobody reads, but a dump without its end is none.
fn of_output(error: &io::Error) -> anyhow::Error {
    anyhow!("cannot write to standard output: {error}")
}

/// Waits until what was written is on its disk. Pipes, terminals and the like have none, and say that they cannot.
fn settle(file: impl AsFd) -> io::Result<()> {
    match File::from(file.as_fd().try_clone_to_owned()?).sync_all() {
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
        answer => answer,
    }
}

/// Whether this is a disk: it is written to as it is.
pub(super) fn is_disk(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|present| present.file_type().is_block_device())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;
    use std::path::PathBuf;

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("kjump-sink-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        folder
    }

    #[test]
    fn a_dump_has_its_name_only_when_it_is_whole() {
        let folder = folder("whole");
        let path = folder.join("dump");
        let sink = Sink::file(&path, WriteMode::Cached, false).unwrap();
        sink.write_at(3, b"abc").unwrap();
        assert!(!path.exists());
        sink.finish(10).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"\0\0\0abc\0\0\0\0");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn nothing_is_left_of_a_dump_that_is_not_finished() {
        let folder = folder("left");
        let path = folder.join("dump");
        std::fs::write(&path, "old").unwrap();
        assert!(Sink::file(&path, WriteMode::Cached, false).is_err());
        drop(Sink::file(&path, WriteMode::Flattened, true).unwrap());
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 1);
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn what_has_no_disk_need_not_be_on_one() {
        for path in ["/dev/null", "/dev/zero"] {
            let sink = Sink::file(Path::new(path), WriteMode::Cached, false).unwrap();
            sink.write_at(3, b"abc").unwrap();
            sink.finish(6).unwrap();
        }
        settle(io::pipe().unwrap().1).unwrap();
        settle(File::open("/proc/self/stat").unwrap()).unwrap();
    }

    #[test]
    fn what_there_was_room_for_is_kept_under_another_name() {
        let folder = folder("room");
        let path = folder.join("dump");
        let sink = Sink::file(&path, WriteMode::Cached, false).unwrap().limited(Some(4));
        sink.write_at(0, b"abcd").unwrap();
        assert_eq!(sink.write_at(4, b"e").unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert!(sink.keep(&folder.join("part")).unwrap());
        assert!(!path.exists());
        assert_eq!(std::fs::read(folder.join("part")).unwrap(), b"abcd");
        std::fs::remove_dir_all(folder).unwrap();
    }
}
