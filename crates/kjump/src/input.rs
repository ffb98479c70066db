//! Files that a user names: each is read once, into memory, and only if there is room for it.
//!
//! The bytes that are checked, digested and loaded are this one copy. A file whose reading fails,
//! or that another program changes meanwhile, is an error that names it; a mapping of the file
//! would end the program by a signal instead. A file without an end is refused before, or soon.

use std::fmt;
use std::fs::{File, FileType, Metadata};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use anyhow::{Context, anyhow, bail};

use crate::terminal::quantity;

/// Most bytes of an input whose size is not known in advance.
const LIMIT_OF_PIPES: u64 = 4 << 30;
/// Bytes that are enough to recognise a format.
pub(crate) const HEAD: usize = 1 << 20;

/// A file name in a message: in quotation marks if it could be overlooked or misread.
pub(crate) struct Name<'a>(pub(crate) &'a Path);

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.0.to_string_lossy();
        let is_plain = |c: char| !c.is_whitespace() && !c.is_control() && c != '"';
        if !name.is_empty() && name.chars().all(is_plain) {
            f.write_str(&name)
        } else {
            write!(f, "{name:?}")
        }
    }
}

/// An open file whose first bytes have been read.
pub(crate) struct Input {
    file: File,
    kind: FileType,
    /// Its size, if that is known before it is read.
    size: Option<u64>,
    stamp: Stamp,
    head: Vec<u8>,
}

/// A file's contents at some time, as far as its file system can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    fn of(about: &Metadata) -> Self {
        Self {
            size: about.size(),
            modified: (about.mtime(), about.mtime_nsec()),
            changed: (about.ctime(), about.ctime_nsec()),
        }
    }
}

impl Input {
    /// Opens a file, and reads its first bytes.
    pub(crate) fn open(path: &Path) -> anyhow::Result<Self> {
        Self::of(File::open(path)?)
    }

    fn of(mut file: File) -> anyhow::Result<Self> {
        let about = file.metadata()?;
        let kind = about.file_type();
        if kind.is_dir() {
            bail!("it is a directory");
        }
        let size = match about.len() {
            // A file of /proc does not contain its size.
            size if kind.is_file() => Some(size).filter(|&size| size > 0),
            _ if kind.is_block_device() || kind.is_char_device() => {
                Some(size_of_device(&mut file)?).filter(|&size| size > 0)
            }
            _ => None,
        };
        let mut head = Vec::new();
        (&file).take(HEAD as u64).read_to_end(&mut head)?;
        let is_endless = kind.is_char_device() && size.is_none() && head.len() == HEAD;
        if is_endless {
            bail!("it is a character device without an end; expected a file or a pipe");
        }
        Ok(Self { stamp: Stamp::of(&about), file, kind, size, head })
    }

    /// The first bytes.
    pub(crate) fn head(&self) -> &[u8] {
        &self.head
    }

    /// The size, if it is known before the file is read.
    pub(crate) const fn size(&self) -> Option<u64> {
        self.size
    }

    /// Whether it is a block device.
    pub(crate) fn is_disk(&self) -> bool {
        self.kind.is_block_device()
    }

    /// The open file, if the kernel can read it again.
    pub(crate) fn file(&self) -> Option<&File> {
        (self.kind.is_file() && self.size.is_some()).then_some(&self.file)
    }

    /// All bytes, if they are at most `limit` and there is room for them. Called once.
    pub(crate) fn read(&self, limit: u64) -> anyhow::Result<Vec<u8>> {
        let bytes = self.bytes(limit, room()?)?;
        self.check_unchanged()?;
        Ok(bytes)
    }

    fn bytes(&self, limit: u64, room: u64) -> anyhow::Result<Vec<u8>> {
        let most = limit.min(self.size.unwrap_or(LIMIT_OF_PIPES));
        if let Some(size) = self.size {
            if size > limit {
                bail!("it has {}, and may have at most {}", quantity::bytes(size), quantity::bytes(limit));
            }
            if let Some(shortage) = Shortage::of(size, room) {
                bail!("{shortage}");
            }
        }
        let mut bytes = self.head.clone();
        bytes
            .try_reserve_exact(usize::try_from(self.size.unwrap_or(0))?.saturating_sub(bytes.len()))
            .context("no memory")?;
        // What has no size known in advance is loaded from memory into memory: half is for each.
        let most_now = if self.size.is_some() { most } else { most.min(room / 2) };
        let rest = most_now.saturating_add(1).saturating_sub(bytes.len() as u64);
        (&self.file).take(rest).read_to_end(&mut bytes)?;
        let length = bytes.len() as u64;
        match self.size {
            Some(size) if length < size => {
                bail!("it was cut short while it was read: {length} of {size} bytes are left")
            }
            Some(size) if length > size => bail!("it grew while it was read, from {size} bytes"),
            None if length > most_now => {
                bail!("it has more than {}, the most that can be read here", quantity::bytes(most_now))
            }
            _ => Ok(bytes),
        }
    }

    /// Fails if the file was written to since it was opened, as far as its times show.
    pub(crate) fn check_unchanged(&self) -> anyhow::Result<()> {
        if self.kind.is_file() && Stamp::of(&self.file.metadata()?) != self.stamp {
            bail!("it was changed while it was read; try again when no program writes to it");
        }
        Ok(())
    }

    /// Reads it once more, for the error only.
    pub(crate) fn check_readable(&self) -> io::Result<()> {
        let mut file = &self.file;
        file.seek(SeekFrom::Start(0))?;
        io::copy(&mut file.take(self.size.unwrap_or(0)), &mut io::sink()).map(drop)
    }
}

/// Reads a file that may have at most `limit` bytes.
pub(crate) fn read_any(path: &Path, limit: u64) -> anyhow::Result<Vec<u8>> {
    Input::open(path)?.read(limit)
}

/// Reads a file that may have at most `limit` bytes. An empty one is an error.
pub(crate) fn read(path: &Path, limit: u64) -> anyhow::Result<Vec<u8>> {
    let bytes = read_any(path, limit)?;
    if bytes.is_empty() {
        bail!("the file is empty");
    }
    Ok(bytes)
}

/// The bytes of a device; 0 if it has no end.
fn size_of_device(file: &mut File) -> io::Result<u64> {
    let size = file.seek(SeekFrom::End(0)).unwrap_or(0);
    if size > 0 {
        file.seek(SeekFrom::Start(0))?;
    }
    Ok(size)
}

/// Decompresses by a function that is given a limit of the output in bytes: `most`, or the memory
/// there is.
pub(crate) fn unpacked(
    most: u64,
    decompress: impl FnOnce(u64) -> Result<Vec<u8>, kernel_file::Error>,
) -> anyhow::Result<Vec<u8>> {
    let room = room()?;
    match decompress(most.min(room)) {
        Err(error @ kernel_file::Error::TooLarge { .. }) if room < most => {
            Err(anyhow!("{error}, and no more memory is available; free memory, or add swap space"))
        }
        outcome => Ok(outcome?),
    }
}

/// Fails if memory is short of this many bytes: to allocate them, the kernel would end a process.
pub(crate) fn require_room(needed: u64) -> anyhow::Result<()> {
    match Shortage::of(needed, room()?) {
        None => Ok(()),
        Some(shortage) => bail!("{shortage}"),
    }
}

/// Bytes that can be allocated without a process being ended for it. Without /proc, unknown.
pub(crate) fn room() -> anyhow::Result<u64> {
    match machine::amounts::now(Path::new("/")) {
        Ok(amounts) => Ok(amounts.room()),
        Err(machine::Error::Absent { .. }) => Ok(u64::MAX),
        Err(error) => Err(error.into()),
    }
}

/// More memory is needed than there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shortage {
    needed: u64,
    room: u64,
}

impl Shortage {
    /// What lacks where this many bytes are needed, if anything.
    pub(crate) fn of(needed: u64, room: u64) -> Option<Self> {
        (needed > room).then_some(Self { needed, room })
    }
}

impl fmt::Display for Shortage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [needed, room] = [self.needed, self.room].map(quantity::bytes);
        write!(
            f,
            "it takes {needed}, and {room} of memory are available; free memory, add swap space, or load less"
        )
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn file(name: &str, bytes: &[u8]) -> std::path::PathBuf {
        let path = std::env::temp_dir().join(format!("kjump-input-{}-{name}", std::process::id()));
        std::fs::write(&path, bytes).unwrap();
        path
    }

    fn refusal(result: anyhow::Result<Vec<u8>>) -> String {
        format!("{:#}", result.unwrap_err())
    }

    #[test]
    fn a_file_is_read_as_it_was_opened_or_not_at_all() {
        let path = file("whole", &vec![7; HEAD + 5000]);
        let open = || Input::open(&path).unwrap();
        assert_eq!(open().read(u64::MAX).unwrap(), vec![7; HEAD + 5000]);
        let writer = || File::options().append(true).open(&path).unwrap();

        let grown = open();
        writer().write_all(&[1]).unwrap();
        assert!(refusal(grown.read(u64::MAX)).contains("it grew while it was read, from 1053576 bytes"));
        let cut = open();
        writer().set_len(HEAD as u64 + 1000).unwrap();
        let text = refusal(cut.read(u64::MAX));
        assert!(text.contains("it was cut short while it was read: 1049576 of 1053577 bytes"), "{text}");
        let rewritten = open();
        std::thread::sleep(std::time::Duration::from_millis(20));
        std::os::unix::fs::FileExt::write_at(&File::options().write(true).open(&path).unwrap(), &[9], 0)
            .unwrap();
        assert!(refusal(rewritten.read(u64::MAX)).contains("it was changed while it was read"));
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn what_is_too_large_is_refused_before_it_is_read() {
        let path = file("large", b"");
        File::options().write(true).open(&path).unwrap().set_len(1 << 40).unwrap();
        let input = Input::open(&path).unwrap();
        assert_eq!(refusal(input.read(1 << 30)), "it has 1 TiB, and may have at most 1 GiB");
        let text = refusal(input.bytes(u64::MAX, 1 << 20));
        assert!(text.starts_with("it takes 1 TiB, and 1 MiB of memory are available"), "{text}");
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn what_has_no_end_is_refused() {
        assert!(read_any(Path::new("/dev/null"), 0).unwrap().is_empty());
        for device in ["/dev/zero", "/dev/urandom"] {
            let text = Input::open(Path::new(device)).err().unwrap().to_string();
            assert!(text.contains("character device"), "{device}: {text}");
        }
        assert!(Input::open(Path::new("/")).err().unwrap().to_string().contains("directory"));
        let (reader, mut writer) = io::pipe().unwrap();
        let endless = std::thread::spawn(move || while writer.write_all(&[1; 4096]).is_ok() {});
        let input = Input::of(File::from(std::os::fd::OwnedFd::from(reader))).unwrap();
        let text = refusal(input.bytes(u64::MAX, 8 << 20));
        assert!(text.starts_with("it has more than 4"), "{text}");
        drop(input);
        endless.join().unwrap();
    }

    #[test]
    fn names_that_could_be_overlooked_are_quoted() {
        let shown = |name: &str| Name(Path::new(name)).to_string();
        assert_eq!(
            ["/boot/vmlinuz", "", " ", "a b", "\u{1b}[31m"].map(shown),
            ["/boot/vmlinuz", "\"\"", "\" \"", "\"a b\"", "\"\\u{1b}[31m\""]
        );
    }
}
