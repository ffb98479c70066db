//! The message of the kernel at rest to the one that works on its memory: what to do, and the
//! secret. It is in the small kernel's mailbox, where that kernel has no RAM.
//!
//! ```text
//! +0     magic
//! +8     bytes of the configuration; not 0
//! +16    the secret's 32 bytes, or zeros
//! +48    the configuration, as JSON
//! ```

use abi::Field;
use anyhow::{Context, bail};
use hibernation::{CipherKind, Codec, Facts, Id, Secret, Slot};
use phys::PAGE_SIZE;
use serde::{Deserialize, Serialize};
use sys::window::Window;
use zeroize::Zeroizing;

use super::args::Then;
use super::view;

/// Bytes of the mailbox.
pub(super) const MAILBOX: u64 = 16 * PAGE_SIZE;

const MAGIC: Field<u64> = Field::at(0);
const MAGIC_NUMBER: u64 = u64::from_le_bytes(*b"kjmp-job");
const LENGTH: Field<u64> = Field::at(8);
const SECRET: usize = 16;
const TEXT: usize = 48;

/// What the kernel is to do.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Config {
    /// The disk is the one whose file is in the state *writing* with this identifier.
    pub(super) id: Id,
    /// Bytes of the disk. If it has another size for the small kernel, that kernel has another
    /// partition table in mind, and must not write by it.
    pub(super) disk_bytes: u64,
    pub(super) job: Job,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Job {
    /// Write a hibernation file.
    Hibernate { codec: Codec, cipher: CipherKind, slots: Vec<Slot>, then: Then, facts: Box<Facts> },
    /// Write a dump of this level.
    Snapshot { level: u8 },
}

impl Job {
    /// What init does when the job is done: `poweroff`, `reboot` or `return`.
    pub(super) const fn then(&self) -> &'static str {
        match self {
            Self::Hibernate { then: Then::Poweroff, .. } => "poweroff",
            Self::Hibernate { then: Then::Reboot, .. } => "reboot",
            Self::Snapshot { .. } => "return",
        }
    }
}

impl Config {
    /// The message, which fits into the mailbox.
    pub(super) fn message(&self, secret: Option<&Secret>) -> anyhow::Result<Zeroizing<Vec<u8>>> {
        let text = serde_json::to_vec(self)?;
        let length = TEXT + text.len();
        if length as u64 > MAILBOX {
            bail!("the description of this machine has {length} bytes, more than {MAILBOX}");
        }
        // Of full size from the start: a buffer that grows leaves copies behind.
        let mut message = Zeroizing::new(Vec::with_capacity(length));
        message.extend(MAGIC_NUMBER.to_le_bytes());
        message.extend((text.len() as u64).to_le_bytes());
        message.extend(secret.map_or(&[0; 32], Secret::bytes));
        message.extend(text);
        Ok(message)
    }

    /// Reads the message in the mailbox of this kernel, whose command line is given. `None` if
    /// there is none.
    pub(super) fn read(line: &[u8]) -> anyhow::Result<Option<(Self, Option<Secret>)>> {
        let address = view::header(line)?.checked_sub(MAILBOX).context("no room for a mailbox")?;
        let size = usize::try_from(MAILBOX)?;
        let window = Window::of_memory(address, size)
            .with_context(|| format!("the mailbox at {address:#x} in /dev/mem"))?;
        let mut message = Zeroizing::new(vec![0; size]);
        window.copy(0, &mut message);
        Self::parse(&message)
    }

    fn parse(message: &[u8]) -> anyhow::Result<Option<(Self, Option<Secret>)>> {
        let length = LENGTH.read(message).and_then(|length| usize::try_from(length).ok());
        let length = match (MAGIC.read(message), length) {
            (Some(0), _) => return Ok(None),
            (Some(MAGIC_NUMBER), Some(length)) if length <= message.len().saturating_sub(TEXT) => length,
            _ => bail!("this kernel was not booted by `kjump hibernate` or `kjump snapshot`"),
        };
        let config: Self = serde_json::from_slice(&message[TEXT..TEXT + length]).context("the message")?;
        let is_encrypted = matches!(
            config.job,
            Job::Hibernate { cipher: CipherKind::Aes256Gcm | CipherKind::ChaCha20Poly1305, .. }
        );
        let secret = is_encrypted.then(|| message[SECRET..TEXT].try_into().map(Secret::new)).transpose()?;
        Ok(Some((config, secret)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn encrypted() -> Config {
        let facts = Box::new(Facts::default());
        let (codec, cipher) = (Codec::Lz4, CipherKind::Aes256Gcm);
        let job = Job::Hibernate { codec, cipher, slots: Vec::new(), then: Then::Reboot, facts };
        Config { id: [1; 16], disk_bytes: 1 << 30, job }
    }

    #[test]
    fn a_message_arrives_and_has_the_secret_once() {
        let secret: [u8; 32] = std::array::from_fn(|n| u8::try_from(n).unwrap() + 0x80);
        let message = encrypted().message(Some(&Secret::new(secret))).unwrap();
        assert_eq!(message.windows(32).filter(|bytes| *bytes == secret).count(), 1);
        let (config, found) = Config::parse(&message).unwrap().unwrap();
        assert_eq!((config.id, config.job.then()), ([1; 16], "reboot"));
        assert_eq!(found.unwrap().bytes(), &secret);
        let plain = Config { id: [2; 16], disk_bytes: 1 << 30, job: Job::Snapshot { level: 1 } };
        let (config, found) = Config::parse(&plain.message(None).unwrap()).unwrap().unwrap();
        assert_eq!((config.id, config.job.then(), found.is_none()), ([2; 16], "return", true));
    }

    #[test]
    fn an_empty_mailbox_has_no_message_and_other_memory_is_refused() {
        assert!(Config::parse(&[0; 4096]).unwrap().is_none());
        assert!(Config::parse(&[1; 4096]).is_err());
        let message = encrypted().message(None).unwrap();
        for length in 0..message.len() {
            assert!(Config::parse(&message[..length]).is_err(), "{length}");
        }
    }

    proptest! {
        #[test]
        fn any_message_is_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut message = encrypted().message(None).unwrap();
            let end = message.len().min(bytes.len() + 8);
            message[8..end].copy_from_slice(&bytes[..end - 8]);
            let _ = Config::parse(&message);
        }
    }
}
