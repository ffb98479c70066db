//! Key files and passphrases.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, bail};
use hibernation::{CipherKind, Cost, Key, Secret, Slot};
use zeroize::Zeroizing;

use super::args::KeyArgs;

/// Most bytes of a key file.
const MOST: u64 = 1 << 20;

/// The key of an image.
pub(super) enum KeyMaterial {
    None,
    File(Zeroizing<Vec<u8>>),
    Passphrase(Zeroizing<Vec<u8>>),
}

impl KeyMaterial {
    pub(super) fn read(args: &KeyArgs) -> anyhow::Result<Self> {
        Ok(match (&args.key_file, &args.passphrase) {
            (Some(path), _) => Self::File(read(path)?),
            (None, Some(path)) => {
                let mut text = read(path)?;
                let end = text.iter().position(|byte| *byte == b'\n').unwrap_or(text.len());
                text.truncate(end);
                Self::Passphrase(text)
            }
            (None, None) => Self::None,
        })
    }

    pub(super) fn key(&self) -> Option<Key<'_>> {
        match self {
            Self::None => None,
            Self::File(bytes) => Some(Key::File(bytes)),
            Self::Passphrase(text) => Some(Key::Passphrase(text)),
        }
    }

    /// A new secret, and the slot that holds it, if the image is to be encrypted.
    pub(super) fn new_secret(&self) -> anyhow::Result<Option<(Secret, Slot)>> {
        let Some(key) = self.key() else { return Ok(None) };
        let (Some(secret), Some(salt)) = (sys::system::random(), sys::system::random()) else {
            bail!("the kernel has not gathered enough randomness for a key yet; try again later");
        };
        let secret = Secret::new(secret);
        let slot = Slot::new(&secret, key, Cost::USUAL, salt)?;
        Ok(Some((secret, slot)))
    }

    /// The cipher for this machine.
    pub(super) fn cipher(&self) -> CipherKind {
        match self {
            Self::None => CipherKind::None,
            _ => CipherKind::fastest(),
        }
    }
}

fn read(path: &Path) -> anyhow::Result<Zeroizing<Vec<u8>>> {
    let failed = || path.display().to_string();
    // Of full size from the start: a buffer that grows leaves copies behind.
    let mut bytes = Zeroizing::new(vec![0; usize::try_from(MOST)?]);
    let mut file = File::open(path).with_context(failed)?;
    let mut length = 0;
    loop {
        match file.read(&mut bytes[length..]).with_context(failed)? {
            0 => break,
            count => length += count,
        }
    }
    if length as u64 == MOST {
        bail!("{}: a key file has less than {MOST} bytes", path.display());
    }
    bytes.truncate(length);
    Ok(bytes)
}
