use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::{Error, Fact, Garbled};

/// Most bytes that are read of one file. The largest there are, modules.dep and cpuinfo of large machines, have a few.
const LIMIT: u64 = 16 << 20;
/// Most entries that are read of one directory.
const ENTRY_LIMIT: usize = 1 << 16;

/// The directory that stands for `/`.
pub(crate) struct Root {
    folder: PathBuf,
}

impl Root {
    pub(crate) fn new(folder: &Path) -> Self {
        Self { folder: folder.into() }
    }

    /// What a parser makes of the text of a file.
    pub(crate) fn parse<T>(&self, path: &str, parser: impl Fn(&str) -> Result<T, Garbled>) -> Fact<T> {
        let text = self.text(path)?;
        parser(&text).map_err(|garbled| Error::Garbled { path: path.into(), garbled })
    }

    /// The text of a file; what is not UTF-8 is replaced.
    pub(crate) fn text(&self, path: &str) -> Fact<String> {
        Ok(String::from_utf8_lossy(&self.bytes(path)?).into_owned())
    }

    /// The bytes of a file.
    pub(crate) fn bytes(&self, path: &str) -> Fact<Vec<u8>> {
        let file = File::open(self.place(path)).map_err(|error| failure(path, error))?;
        read_all(path, file)
    }

    /// The first bytes of a file, read in whole words of 64 bits.
    pub(crate) fn beginning(&self, path: &str, most: usize) -> Fact<Vec<u8>> {
        const PIECE: usize = 1 << 16;
        let mut file = File::open(self.place(path)).map_err(|error| failure(path, error))?;
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

    /// The names in a folder, sorted. Names that are not UTF-8 are left out: the kernel makes none.
    pub(crate) fn names(&self, path: &str) -> Fact<Vec<String>> {
        let entries = std::fs::read_dir(self.place(path)).map_err(|error| failure(path, error))?;
        let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
        let mut names: Vec<String> = names.take(ENTRY_LIMIT).collect();
        names.sort();
        Ok(names)
    }

    /// Whether there is a file, folder or device.
    pub(crate) fn has(&self, path: &str) -> bool {
        self.place(path).exists()
    }

    fn place(&self, path: &str) -> PathBuf {
        self.folder.join(path.trim_start_matches('/'))
    }
}

/// All that a reader gives, if it is not more than any sane file has.
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
    fn a_file_without_end_is_given_up() {
        let error = read_all("/proc/endless", io::repeat(b'x')).unwrap_err();
        assert_eq!(error.to_string(), "/proc/endless is longer than 16777216 bytes");
    }

    #[test]
    fn a_missing_file_is_named_as_the_machine_names_it() {
        let root = Root::new(Path::new("/nowhere"));
        assert_eq!(root.text("/proc/iomem").unwrap_err().to_string(), "/proc/iomem does not exist");
        assert!(!root.has("/proc"));
    }
}
