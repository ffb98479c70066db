//! Authenticated encryption of blocks.
//!
//! Each image has a key of its own, and each block a number, which is its nonce: no nonce is used
//! twice with a key.

use std::time::Instant;

use aes_gcm::Aes256Gcm;
use chacha20poly1305::ChaCha20Poly1305;
use chacha20poly1305::aead::inout::InOutBuf;
use chacha20poly1305::aead::{AeadInOut, KeyInit};
use serde::{Deserialize, Serialize};
use twox_hash::XxHash3_64;

use crate::key::Secret;
use crate::{Error, Id, Result};

/// Bytes of the tag that proves that a block is what was written.
pub(crate) const TAG: usize = 16;

/// Bytes of a sample of [`CipherKind::fastest`], and the number of samples.
const SAMPLE: usize = 64 << 10;
const SAMPLES: usize = 4;

/// How blocks are encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CipherKind {
    /// Not at all. Checksums find accidents, not changes made on purpose.
    None,
    /// AES-256-GCM: the faster one on most CPUs that have instructions for it.
    Aes256Gcm,
    /// ChaCha20-Poly1305: the faster one on others, and in emulators that emulate these
    /// instructions.
    ChaCha20Poly1305,
}

impl CipherKind {
    const ALL: [Self; 3] = [Self::None, Self::Aes256Gcm, Self::ChaCha20Poly1305];

    /// The cipher that encrypts in less time here: measured, which takes a few milliseconds.
    #[must_use]
    pub fn fastest() -> Self {
        let secret = Secret::new([0; 32]);
        let time = |kind: &Self| {
            let cipher = Cipher::new(*kind, Some(&secret), &Id::default());
            let mut block = vec![0; SAMPLE];
            let mut once = || {
                let start = Instant::now();
                cipher.seal(Part::Block(0), &mut block);
                start.elapsed()
            };
            // The shortest one: others may have been interrupted.
            (0..SAMPLES).map(|_| once()).min()
        };
        [Self::Aes256Gcm, Self::ChaCha20Poly1305].into_iter().min_by_key(time).unwrap_or(Self::Aes256Gcm)
    }

    pub(crate) const fn number(self) -> u32 {
        match self {
            Self::None => 0,
            Self::Aes256Gcm => 1,
            Self::ChaCha20Poly1305 => 2,
        }
    }

    pub(crate) fn of(number: u32) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|kind| kind.number() == number);
        found.ok_or(Error::BadHeader { field: "the cipher", value: number.into() })
    }

    /// Its name, for people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Aes256Gcm => "AES-256-GCM",
            Self::ChaCha20Poly1305 => "ChaCha20-Poly1305",
        }
    }
}

/// What is encrypted: each kind has nonces of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Block(u64),
    Manifest,
    Slot,
}

impl Part {
    fn nonce(self) -> [u8; 12] {
        let (kind, number) = match self {
            Self::Block(number) => (*b"blk\0", number),
            Self::Manifest => (*b"mani", 0),
            Self::Slot => (*b"slot", 0),
        };
        let mut nonce = [0; 12];
        nonce[..4].copy_from_slice(&kind);
        nonce[4..].copy_from_slice(&number.to_le_bytes());
        nonce
    }
}

/// A cipher with its key.
pub(crate) enum Cipher {
    None,
    Aes(Box<Aes256Gcm>),
    ChaCha(Box<ChaCha20Poly1305>),
}

impl Cipher {
    /// The cipher of an image. Without a secret, there is no encryption.
    pub(crate) fn new(kind: CipherKind, secret: Option<&Secret>, id: &Id) -> Self {
        let Some(secret) = secret else { return Self::None };
        let key = secret.derive(b"blocks and manifest", id);
        match kind {
            CipherKind::None => Self::None,
            CipherKind::Aes256Gcm => Self::Aes(Box::new(Aes256Gcm::new((&*key).into()))),
            CipherKind::ChaCha20Poly1305 => Self::chacha(&key),
        }
    }

    pub(crate) fn chacha(key: &[u8; 32]) -> Self {
        Self::ChaCha(Box::new(ChaCha20Poly1305::new(key.into())))
    }

    /// Encrypts bytes in their place.
    pub(crate) fn seal(&self, part: Part, bytes: &mut [u8]) -> [u8; TAG] {
        let nonce = part.nonce();
        // Only a message of more than 64 GiB is refused; a block has at most 1 MiB.
        let tag = match self {
            Self::None => return checksum(part, bytes),
            Self::Aes(cipher) => {
                cipher.encrypt_inout_detached((&nonce).into(), b"", InOutBuf::from(bytes)).map(Into::into)
            }
            Self::ChaCha(cipher) => {
                cipher.encrypt_inout_detached((&nonce).into(), b"", InOutBuf::from(bytes)).map(Into::into)
            }
        };
        tag.unwrap_or([0; TAG])
    }

    /// Decrypts bytes in their place, if they are what was encrypted.
    #[must_use]
    pub(crate) fn open(&self, part: Part, bytes: &mut [u8], tag: &[u8; TAG]) -> bool {
        let nonce = part.nonce();
        match self {
            Self::None => checksum(part, bytes) == *tag,
            Self::Aes(cipher) => {
                cipher.decrypt_inout_detached((&nonce).into(), b"", InOutBuf::from(bytes), tag.into()).is_ok()
            }
            Self::ChaCha(cipher) => {
                cipher.decrypt_inout_detached((&nonce).into(), b"", InOutBuf::from(bytes), tag.into()).is_ok()
            }
        }
    }
}

fn checksum(part: Part, bytes: &[u8]) -> [u8; TAG] {
    let seed = if let Part::Block(number) = part { number } else { u64::MAX };
    let mut tag = [0; TAG];
    tag[..8].copy_from_slice(&XxHash3_64::oneshot_with_seed(seed, bytes).to_le_bytes());
    tag
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fastest_cipher_encrypts() {
        assert_ne!(CipherKind::fastest(), CipherKind::None);
    }

    #[test]
    fn a_block_opens_only_as_what_it_was_sealed_as() {
        let secret = Secret::new([7; 32]);
        for kind in CipherKind::ALL {
            let cipher = Cipher::new(kind, Some(&secret), &[1; 16]);
            let mut bytes = *b"the memory of a kernel at rest";
            let plain = bytes;
            let tag = cipher.seal(Part::Block(3), &mut bytes);
            assert_eq!(bytes == plain, kind == CipherKind::None);
            let opens = |cipher: &Cipher, part, mut bytes: [u8; 30], tag| {
                cipher.open(part, &mut bytes, &tag) && bytes == plain
            };
            assert!(opens(&cipher, Part::Block(3), bytes, tag), "{kind:?}");
            assert!(!opens(&cipher, Part::Block(4), bytes, tag), "{kind:?}");
            let mut changed = bytes;
            changed[29] ^= 0x80;
            assert!(!opens(&cipher, Part::Block(3), changed, tag), "{kind:?}");
            if kind != CipherKind::None {
                for other in [
                    Cipher::new(kind, Some(&secret), &[2; 16]),
                    Cipher::new(kind, Some(&Secret::new([8; 32])), &[1; 16]),
                ] {
                    assert!(!opens(&other, Part::Block(3), bytes, tag), "{kind:?}");
                }
            }
        }
    }
}
