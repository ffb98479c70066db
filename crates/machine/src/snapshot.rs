use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Everything that was read about a machine, by path.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Snapshot {
    pub(crate) entries: BTreeMap<String, Entry>,
}

/// What was found at a path. A path where nothing was found is left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Entry {
    /// The text of a file.
    Text(String),
    /// The bytes of a file, in hexadecimal digits.
    Bytes(String),
    /// The names in a directory.
    Folder(Vec<String>),
    /// Something that exists and was not read.
    There,
    /// A file that could not be read, and why.
    Unreadable(String),
}

impl Snapshot {
    /// The number of paths.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Replaces the command line of the running kernel, if it was read.
    pub fn rewrite_command_line(&mut self, change: impl FnOnce(&str) -> String) {
        if let Some(Entry::Text(text)) = self.entries.get_mut("/proc/cmdline") {
            *text = change(text);
        }
    }

    /// Whether nothing was read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

impl Entry {
    /// The bytes of a file, as text where they are text.
    pub(crate) fn of(bytes: &[u8]) -> Self {
        match std::str::from_utf8(bytes) {
            Ok(text) if !text.contains('\0') => Self::Text(text.into()),
            _ => Self::Bytes(bytes.iter().map(|byte| format!("{byte:02x}")).collect()),
        }
    }

    /// The bytes of a file; `None` for other entries and for invalid digits.
    pub(crate) fn bytes(&self) -> Option<Vec<u8>> {
        match self {
            Self::Text(text) => Some(text.clone().into_bytes()),
            Self::Bytes(digits) => {
                let digits = digits.as_bytes();
                let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
                let is_even = digits.len().is_multiple_of(2);
                is_even.then(|| digits.chunks_exact(2).map(byte).collect::<Option<_>>())?
            }
            Self::Folder(_) | Self::There | Self::Unreadable(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_bytes_are_saved() {
        for bytes in [b"text\n".as_slice(), b"\0\xff", b"", b"a\0b"] {
            assert_eq!(Entry::of(bytes).bytes().as_deref(), Some(bytes));
        }
        for digits in ["0", "xy", "+1", "\u{e9}0"] {
            let _ = Entry::Bytes(digits.into()).bytes();
        }
        assert_eq!(Entry::Bytes("0".into()).bytes(), None);
    }
}
