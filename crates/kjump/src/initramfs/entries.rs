//! The entries of an initramfs: every name once, each directory before its contents.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::bail;

/// An entry of an initramfs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Permissions.
    pub(crate) mode: u32,
    pub(crate) content: Content,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    Directory,
    Bytes(Vec<u8>),
    /// A file of the host, read when the archive is written.
    File(PathBuf),
    Link(String),
    CharacterDevice {
        major: u32,
        minor: u32,
    },
}

impl Content {
    pub(crate) const fn with_mode(self, mode: u32) -> Entry {
        Entry { mode, content: self }
    }
}

/// The entries by their names, which do not start with `/`. A later entry replaces an earlier one.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Entries(BTreeMap<String, Entry>);

impl Entries {
    /// Adds an entry, and the directories above it.
    pub(crate) fn add(&mut self, name: &str, entry: Entry) -> anyhow::Result<()> {
        let name = name.trim_start_matches('/');
        for (end, _) in name.match_indices('/') {
            let above = &name[..end];
            let directory =
                self.0.entry(above.to_owned()).or_insert_with(|| Content::Directory.with_mode(0o755));
            if directory.content != Content::Directory {
                bail!("/{name} cannot be below /{above}, which is not a directory");
            }
        }
        let replaced = self.0.insert(name.to_owned(), entry);
        if replaced.is_some_and(|old| old.content == Content::Directory)
            && self.0[name].content != Content::Directory
        {
            bail!("/{name} is a directory, and cannot be something else as well");
        }
        Ok(())
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Entry)> {
        self.0.iter().map(|(name, entry)| (name.as_str(), entry))
    }

    #[cfg(test)]
    pub(crate) fn get(&self, name: &str) -> Option<&Entry> {
        self.0.get(name.trim_start_matches('/'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(text: &str) -> Entry {
        Content::Bytes(text.into()).with_mode(0o644)
    }

    #[test]
    fn directories_precede_their_contents_and_later_entries_replace_earlier_ones() {
        let mut entries = Entries::default();
        entries.add("/a/b/c", bytes("first")).unwrap();
        entries.add("/a/b/c", bytes("second")).unwrap();
        assert_eq!(entries.iter().map(|(name, _)| name).collect::<Vec<_>>(), ["a", "a/b", "a/b/c"]);
        assert_eq!(entries.get("/a/b/c"), Some(&bytes("second")));
    }

    #[test]
    fn a_file_cannot_become_a_directory_or_the_reverse() {
        let mut entries = Entries::default();
        entries.add("/a/b", bytes("")).unwrap();
        let error = entries.add("/a/b/c", bytes("")).unwrap_err();
        assert_eq!(error.to_string(), "/a/b/c cannot be below /a/b, which is not a directory");
        assert!(entries.add("/a", bytes("")).is_err());
    }
}
