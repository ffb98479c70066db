use std::cell::RefCell;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use crate::snapshot::Entry;
use crate::{Error, Fact, Garbled, Snapshot};

/// The limit for one file. The largest, modules.dep and the cpuinfo of large machines, have a few
/// MiB.
const LIMIT: u64 = 16 << 20;
/// The limit for the entries of one directory.
const ENTRY_LIMIT: usize = 1 << 16;

/// The root directory, or a recording of one.
pub(crate) struct Root {
    source: Source,
    /// Everything read, if it is recorded.
    record: Option<RefCell<Snapshot>>,
}

enum Source {
    Directory(PathBuf),
    Saved(Snapshot),
}

impl Root {
    pub(crate) fn new(folder: &Path) -> Self {
        Self { source: Source::Directory(folder.into()), record: None }
    }

    /// A directory; everything that is read from it is recorded.
    pub(crate) fn recording(folder: &Path) -> Self {
        Self { record: Some(RefCell::default()), ..Self::new(folder) }
    }

    /// A recording.
    pub(crate) const fn saved(snapshot: Snapshot) -> Self {
        Self { source: Source::Saved(snapshot), record: None }
    }

    /// The recording.
    pub(crate) fn into_record(self) -> Snapshot {
        self.record.map(RefCell::into_inner).unwrap_or_default()
    }

    /// Parses the text of a file.
    pub(crate) fn parse<T>(&self, path: &str, parser: impl Fn(&str) -> Result<T, Garbled>) -> Fact<T> {
        let text = self.text(path)?;
        parser(&text).map_err(|garbled| Error::Garbled { path: path.into(), garbled })
    }

    /// The text of a file; invalid UTF-8 is replaced.
    pub(crate) fn text(&self, path: &str) -> Fact<String> {
        Ok(String::from_utf8_lossy(&self.bytes(path)?).into_owned())
    }

    /// The bytes of a file.
    pub(crate) fn bytes(&self, path: &str) -> Fact<Vec<u8>> {
        match &self.source {
            Source::Saved(snapshot) => match snapshot.entries.get(path) {
                Some(entry) => entry.bytes().ok_or_else(|| again(path, entry)),
                None => Err(Error::Absent { path: path.into() }),
            },
            Source::Directory(folder) => {
                let read = File::open(place(folder, path)).map_err(|error| failure(path, error));
                let bytes = read.and_then(|file| read_all(path, file));
                match &bytes {
                    Ok(bytes) => self.note(path, || Entry::of(bytes)),
                    Err(Error::Absent { .. }) => {}
                    Err(error) => self.note(path, || Entry::Unreadable(error.to_string())),
                }
                bytes
            }
        }
    }

    /// The first bytes of a file, read in whole words of 64 bits.
    pub(crate) fn beginning(&self, path: &str, most: usize) -> Fact<Vec<u8>> {
        const PIECE: usize = 1 << 16;
        let Source::Directory(folder) = &self.source else {
            let mut bytes = self.bytes(path)?;
            bytes.truncate(most);
            return Ok(bytes);
        };
        // It may be large, and is not recorded.
        let mut file = File::open(place(folder, path)).map_err(|error| failure(path, error))?;
        let mut bytes = Vec::new();
        while bytes.len() < most {
            let (read, piece) = (bytes.len(), PIECE.min(most - bytes.len()));
            bytes.resize(read + piece, 0);
            match file.read(&mut bytes[read..]) {
                Ok(0) => {
                    bytes.truncate(read);
                    break;
                }
                Ok(more) => bytes.truncate(read + more),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => bytes.truncate(read),
                Err(error) => return Err(failure(path, error)),
            }
        }
        Ok(bytes)
    }

    /// A word of 64 bits of a file, `None` past its end. It is not recorded.
    pub(crate) fn word(&self, path: &str, offset: u64) -> Fact<Option<u64>> {
        let bytes = match &self.source {
            Source::Saved(_) => {
                let bytes = self.bytes(path)?;
                let rest = usize::try_from(offset).ok().and_then(|offset| bytes.get(offset..));
                rest.unwrap_or_default().iter().copied().take(8).collect()
            }
            Source::Directory(folder) => {
                let failure = |error| failure(path, error);
                let mut file = File::open(place(folder, path)).map_err(failure)?;
                file.seek(SeekFrom::Start(offset)).map_err(failure)?;
                let mut bytes = Vec::new();
                file.take(8).read_to_end(&mut bytes).map_err(failure)?;
                bytes
            }
        };
        Ok(bytes.try_into().ok().map(u64::from_ne_bytes))
    }

    /// The names in a directory, sorted. Names that are not UTF-8 are left out: the kernel has
    /// none.
    pub(crate) fn names(&self, path: &str) -> Fact<Vec<String>> {
        match &self.source {
            Source::Saved(snapshot) => match snapshot.entries.get(path) {
                Some(Entry::Folder(names)) => Ok(names.clone()),
                Some(entry) => Err(again(path, entry)),
                None => Err(Error::Absent { path: path.into() }),
            },
            Source::Directory(folder) => {
                let entries = std::fs::read_dir(place(folder, path)).map_err(|error| failure(path, error))?;
                let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
                let mut names: Vec<String> = names.take(ENTRY_LIMIT).collect();
                names.sort();
                self.note(path, || Entry::Folder(names.clone()));
                Ok(names)
            }
        }
    }

    /// Whether a file, directory or device exists.
    pub(crate) fn has(&self, path: &str) -> bool {
        match &self.source {
            Source::Saved(snapshot) => snapshot.entries.contains_key(path),
            Source::Directory(folder) => {
                let is_there = place(folder, path).exists();
                if is_there {
                    self.note_if_new(path, Entry::There);
                }
                is_there
            }
        }
    }

    /// The file name that a symbolic link points to. Recordings have no links.
    pub(crate) fn link_name(&self, path: &str) -> Option<String> {
        let Source::Directory(folder) = &self.source else { return None };
        let target = std::fs::read_link(place(folder, path)).ok()?;
        target.file_name()?.to_str().map(String::from)
    }

    fn note(&self, path: &str, entry: impl FnOnce() -> Entry) {
        if let Some(record) = &self.record {
            record.borrow_mut().entries.insert(path.into(), entry());
        }
    }

    fn note_if_new(&self, path: &str, entry: Entry) {
        if let Some(record) = &self.record {
            record.borrow_mut().entries.entry(path.into()).or_insert(entry);
        }
    }
}

fn place(folder: &Path, path: &str) -> PathBuf {
    folder.join(path.trim_start_matches('/'))
}

/// The error for an entry that could not be read when it was recorded, or is of another kind.
fn again(path: &str, entry: &Entry) -> Error {
    let why = match entry {
        Entry::Unreadable(why) => why.clone(),
        _ => "it was saved as another kind of entry".into(),
    };
    Error::Unreadable { path: path.into(), error: io::Error::other(why) }
}

/// Reads to the end, up to the limit.
pub(crate) fn read_all(path: &str, reader: impl Read) -> Fact<Vec<u8>> {
    let mut bytes = Vec::new();
    reader.take(LIMIT + 1).read_to_end(&mut bytes).map_err(|error| failure(path, error))?;
    if bytes.len() as u64 > LIMIT {
        return Err(Error::TooLong { path: path.into(), limit: LIMIT });
    }
    Ok(bytes)
}

fn failure(path: &str, error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Error::Absent { path: path.into() },
        _ => Error::Unreadable { path: path.into(), error },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endless_file_is_an_error() {
        let error = read_all("/proc/endless", io::repeat(b'x')).unwrap_err();
        assert_eq!(error.to_string(), "/proc/endless is longer than 16777216 bytes");
    }

    #[test]
    fn a_missing_file_has_its_name_on_that_machine() {
        let root = Root::new(Path::new("/nowhere"));
        assert_eq!(root.text("/proc/iomem").unwrap_err().to_string(), "/proc/iomem does not exist");
        assert!(!root.has("/proc"));
    }
}
