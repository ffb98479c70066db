//! The "newc" cpio archive that Linux unpacks as its first root file system
//! (Documentation/driver-api/early-userspace/buffer-format.rst).

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::{Error, Result};

const DIRECTORY: u32 = 0o040_000;
const REGULAR: u32 = 0o100_000;
const LINK: u32 = 0o120_000;
const CHARACTER_DEVICE: u32 = 0o020_000;

/// The content of a root file system. Names are absolute paths of the guest; a later entry replaces
/// an earlier one.
#[derive(Debug, Default)]
pub struct Tree {
    // Sorted by name, so that every directory comes before its entries.
    nodes: BTreeMap<String, Node>,
}

#[derive(Debug)]
enum Node {
    Directory { mode: u32 },
    Bytes { bytes: Vec<u8>, mode: u32 },
    HostFile { path: PathBuf, size: u64, mode: u32 },
    Link { goal: String },
    Device { major: u32, minor: u32 },
}

impl Tree {
    /// Adds a directory and its parents.
    pub fn directory(&mut self, name: &str, mode: u32) {
        self.put(name, Node::Directory { mode });
    }

    /// Adds a file with these bytes.
    pub fn bytes(&mut self, name: &str, mode: u32, bytes: impl Into<Vec<u8>>) {
        self.put(name, Node::Bytes { bytes: bytes.into(), mode });
    }

    /// Adds a symbolic link.
    pub fn link(&mut self, name: &str, goal: &str) {
        self.put(name, Node::Link { goal: goal.to_owned() });
    }

    /// Adds a character device.
    pub fn device(&mut self, name: &str, major: u32, minor: u32) {
        self.put(name, Node::Device { major, minor });
    }

    /// Adds a file of the host with its permissions, or a whole directory. The bytes are read when
    /// the archive is written.
    ///
    /// # Errors
    /// The file cannot be read, or is larger than an archive can hold.
    pub fn host_file(&mut self, name: &str, path: &Path) -> Result<()> {
        let found = fs::metadata(path).map_err(Error::file("read", path))?;
        let (mode, size) = (found.permissions().mode() & 0o7777, found.len());
        if found.is_dir() {
            return self.host_directory(name, path, mode);
        }
        if size > u64::from(u32::MAX) {
            return Err(Error::TooLarge { guest: name.to_owned(), size });
        }
        self.put(name, Node::HostFile { path: path.to_owned(), size, mode });
        Ok(())
    }

    fn host_directory(&mut self, name: &str, path: &Path, mode: u32) -> Result<()> {
        self.directory(name, mode);
        for entry in fs::read_dir(path).map_err(Error::file("read", path))? {
            let entry = entry.map_err(Error::file("read", path))?.path();
            let below = format!("{name}/{}", entry.file_name().unwrap_or_default().to_string_lossy());
            match fs::read_link(&entry) {
                Ok(goal) => self.link(&below, &goal.to_string_lossy()),
                Err(_) => self.host_file(&below, &entry)?,
            }
        }
        Ok(())
    }

    fn put(&mut self, name: &str, node: Node) {
        let name = name.trim_matches('/');
        for (end, _) in name.match_indices('/') {
            self.nodes.entry(name[..end].to_owned()).or_insert(Node::Directory { mode: 0o755 });
        }
        self.nodes.insert(name.to_owned(), node);
    }

    /// Writes the archive.
    ///
    /// # Errors
    /// The archive cannot be written, or a file of the host can no longer be read.
    pub fn write(&self, path: &Path) -> Result<()> {
        let file = File::create(path).map_err(Error::file("create", path))?;
        let mut out = io::BufWriter::with_capacity(1 << 20, file);
        let written = self.write_to(&mut out).and_then(|()| out.flush());
        written.map_err(Error::file("write", path))
    }

    fn write_to(&self, out: &mut impl Write) -> io::Result<()> {
        for (inode, (name, node)) in (1..).zip(&self.nodes) {
            node.write(out, inode, name)?;
        }
        header(out, &Header { name: "TRAILER!!!", links: 1, ..Header::default() })
    }
}

impl Node {
    fn write(&self, out: &mut impl Write, inode: u32, name: &str) -> io::Result<()> {
        let named = Header { inode, name, links: 1, ..Header::default() };
        match self {
            Self::Directory { mode } => header(out, &Header { mode: DIRECTORY | mode, links: 2, ..named }),
            Self::Bytes { bytes, mode } => content(out, &Header { mode: REGULAR | mode, ..named }, bytes),
            Self::Link { goal } => content(out, &Header { mode: LINK | 0o777, ..named }, goal.as_bytes()),
            Self::Device { major, minor } => {
                header(out, &Header { mode: CHARACTER_DEVICE | 0o600, device: (*major, *minor), ..named })
            }
            Self::HostFile { path, size, mode } => {
                let bytes = fs::read(path)?;
                if bytes.len() as u64 != *size {
                    return Err(io::Error::other(format!("{} changed while it was read", path.display())));
                }
                content(out, &Header { mode: REGULAR | mode, ..named }, &bytes)
            }
        }
    }
}

#[derive(Default)]
struct Header<'a> {
    inode: u32,
    mode: u32,
    links: u32,
    size: u32,
    device: (u32, u32),
    name: &'a str,
}

fn content(out: &mut impl Write, described: &Header<'_>, bytes: &[u8]) -> io::Result<()> {
    let size = u32::try_from(bytes.len()).map_err(io::Error::other)?;
    header(out, &Header { size, ..*described })?;
    out.write_all(bytes)?;
    pad(out, bytes.len())
}

/// 110 bytes of magic and 13 numbers in hexadecimal, then the name; both together padded to 4
/// bytes.
fn header(out: &mut impl Write, header: &Header<'_>) -> io::Result<()> {
    let Header { inode, mode, links, size, device: (major, minor), name } = header;
    let (owner, time, name_size, check) = (0, 0, name.len() + 1, 0);
    write!(out, "070701{inode:08x}{mode:08x}{owner:08x}{owner:08x}{links:08x}{time:08x}{size:08x}")?;
    write!(out, "{:08x}{:08x}{major:08x}{minor:08x}{name_size:08x}{check:08x}{name}\0", 0, 0)?;
    pad(out, 110 + name_size)
}

fn pad(out: &mut impl Write, length: usize) -> io::Result<()> {
    out.write_all(&[0; 3][..length.wrapping_neg() % 4])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive(tree: &Tree) -> String {
        let mut bytes = Vec::new();
        tree.write_to(&mut bytes).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_file_follows_the_directories_above_it() {
        let mut tree = Tree::default();
        tree.bytes("/a/b/c", 0o644, "hi");
        let text = archive(&tree);
        let places = ["\u{0}", "a/b\u{0}", "a/b/c\u{0}", "TRAILER!!!\u{0}"].map(|name| text.find(name));
        assert!(places.is_sorted(), "{places:?}");
    }

    #[test]
    fn a_small_file_is_written_byte_for_byte() {
        let mut tree = Tree::default();
        tree.bytes("/x", 0o755, "hello");
        let entry = "070701".to_owned()
            + "00000001"
            + "000081ed"
            + "00000000"
            + "00000000"
            + "00000001"
            + "00000000"
            + "00000005"
            + "00000000"
            + "00000000"
            + "00000000"
            + "00000000"
            + "00000002"
            + "00000000"
            + "x\0"
            + "hello\0\0\0";
        assert!(archive(&tree).starts_with(&entry), "{:?}", archive(&tree));
    }

    #[test]
    fn every_entry_starts_at_a_multiple_of_four() {
        let mut tree = Tree::default();
        for length in 0..9 {
            tree.bytes(&format!("/{}", "n".repeat(length + 1)), 0o600, vec![b'.'; length]);
        }
        let text = archive(&tree);
        assert!(text.match_indices("070701").all(|(at, _)| at % 4 == 0));
        assert_eq!(text.len() % 4, 0);
    }

    #[test]
    fn the_last_word_on_a_name_counts() {
        let mut tree = Tree::default();
        tree.bytes("/etc/hosts", 0o644, "first");
        tree.bytes("/etc/hosts", 0o644, "second");
        assert!(!archive(&tree).contains("first"));
    }
}
