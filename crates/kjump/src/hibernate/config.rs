//! What the kernel at rest passes to the one that works on its memory: files in the initramfs.

use anyhow::Context;
use hibernation::{CipherKind, Codec, Facts, Id, Secret, Slot};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::args::Then;
use crate::initramfs;

/// Everything but the secret.
const CONFIG: &str = "/etc/kjump/hibernation.json";
/// The secret's 32 bytes.
const SECRET: &str = "/etc/kjump/secret";
/// What init does when the job is done: `poweroff`, `reboot` or `return`.
const THEN: &str = "/etc/kjump/then";

/// What the kernel is to do.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Config {
    /// The disk is the one whose file is in the state *writing* with this identifier.
    pub(super) id: Id,
    pub(super) job: Job,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Job {
    /// Write a hibernation file.
    Hibernate { codec: Codec, cipher: CipherKind, slots: Vec<Slot>, then: Then, facts: Box<Facts> },
    /// Write a dump of this level.
    Snapshot { level: u8 },
}

impl Config {
    /// An archive to append to the initramfs.
    pub(super) fn archive(&self, secret: Option<&Secret>) -> anyhow::Result<Zeroizing<Vec<u8>>> {
        let then = match self.job {
            Job::Hibernate { then: Then::Poweroff, .. } => "poweroff",
            Job::Hibernate { then: Then::Reboot, .. } => "reboot",
            Job::Snapshot { .. } => "return",
        };
        let text = serde_json::to_vec(self)?;
        // The archive is made with random bytes, which the secret then replaces: so no copies of
        // the secret are left in memory.
        let mark: [u8; 32] = sys::system::random().context("no random bytes")?;
        let files = [
            Some((CONFIG, text.as_slice())),
            Some((THEN, then.as_bytes())),
            secret.map(|_| (SECRET, mark.as_slice())),
        ];
        let mut archive = Zeroizing::new(initramfs::archive_of_bytes(files.into_iter().flatten())?);
        if let Some(secret) = secret {
            let place = archive.windows(mark.len()).position(|bytes| bytes == mark);
            let place = place.context("the archive has no secret")?;
            archive[place..place + mark.len()].copy_from_slice(secret.bytes());
        }
        Ok(archive)
    }

    /// Reads the files.
    pub(super) fn read() -> anyhow::Result<(Self, Option<Secret>)> {
        let text = std::fs::read(CONFIG)
            .with_context(|| format!("{CONFIG}: this kernel was not booted by `kjump hibernate`"))?;
        let config: Self = serde_json::from_slice(&text).context(CONFIG)?;
        let secret = match config.job {
            Job::Hibernate { cipher: CipherKind::Aes256Gcm | CipherKind::ChaCha20Poly1305, .. } => {
                let bytes = Zeroizing::new(std::fs::read(SECRET).context(SECRET)?);
                Some(Secret::new(bytes.as_slice().try_into().context(SECRET)?))
            }
            _ => None,
        };
        Ok((config, secret))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_secret_is_in_the_archive_once_and_in_its_own_file() {
        let config = Config { id: [1; 16], job: Job::Snapshot { level: 1 } };
        let secret = Secret::new(std::array::from_fn(|n| u8::try_from(n).unwrap() + 0x80));
        let archive = config.archive(Some(&secret)).unwrap();
        let places = archive.windows(32).filter(|bytes| bytes == secret.bytes()).count();
        assert_eq!(places, 1);
        let without = config.archive(None).unwrap();
        assert!(without.len() < archive.len() && !without.windows(6).any(|bytes| bytes == b"secret"));
    }
}
