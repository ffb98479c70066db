//! Keys. Every hibernation has a random secret; the keys of its image are derived from it. A slot
//! holds the secret, encrypted by a key file or a passphrase.

use argon2::{Algorithm, Argon2, Params, Version};
use blake2::Blake2bMac;
use blake2::digest::consts::U32;
use blake2::digest::{FixedOutput, KeyInit, Update};
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, Zeroizing};

use crate::cipher::{Cipher, Part, TAG};
use crate::field::Reader;
use crate::{Error, Id, Result};

type Mac = Blake2bMac<U32>;

/// Least bytes of a key file.
const LEAST_KEY_FILE: usize = 16;
/// Most of a passphrase's costs: no image can make a machine compute for hours.
const MOST_MEMORY_KIB: u32 = 1 << 20;
const MOST_PASSES: u32 = 64;
const MOST_LANES: u32 = 16;

/// The secret of a hibernation, from which all keys of its image are derived.
pub struct Secret([u8; 32]);

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl Secret {
    /// A secret of random bytes.
    #[must_use]
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Its bytes, to be passed on to the kernel that writes the image.
    #[must_use]
    pub const fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// A key for one use in one image.
    pub(crate) fn derive(&self, purpose: &[u8], id: &Id) -> Zeroizing<[u8; 32]> {
        mac(&self.0, &[b"kjump hibernation file 1: ", purpose, id])
    }

    /// The authentication code of the header of an image.
    pub(crate) fn authenticate(&self, id: &Id, bytes: &[u8]) -> [u8; 32] {
        *mac(&self.derive(b"header", id), &[bytes])
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// Opens a slot.
#[derive(Clone, Copy)]
pub enum Key<'a> {
    /// The bytes of a key file.
    File(&'a [u8]),
    /// A passphrase.
    Passphrase(&'a [u8]),
}

/// The cost of trying a passphrase.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cost {
    /// Memory in KiB.
    pub memory_kib: u32,
    /// Passes over it.
    pub passes: u32,
    /// Independent lanes of it.
    pub lanes: u32,
}

impl Cost {
    /// 64 MiB, which a kernel that resumes another has to spare.
    pub const USUAL: Self = Self { memory_kib: 64 << 10, passes: 3, lanes: 1 };

    fn check(self) -> Result<Params> {
        let Self { memory_kib, passes, lanes } = self;
        let refused = Error::Cost { memory_kib, passes, lanes };
        if memory_kib > MOST_MEMORY_KIB || passes > MOST_PASSES || lanes > MOST_LANES {
            return Err(refused);
        }
        Params::new(memory_kib, passes, lanes, Some(32)).map_err(|_| refused)
    }
}

/// What opens a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SlotKind {
    /// A key file.
    KeyFile,
    /// A passphrase.
    Passphrase(Cost),
}

/// The secret of an image, encrypted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slot {
    /// What opens it.
    pub kind: SlotKind,
    salt: [u8; 16],
    wrapped: [u8; 32],
    tag: [u8; TAG],
}

impl Slot {
    /// Bytes of a slot in the header.
    #[cfg(test)]
    pub(crate) const SIZE: usize = 16 + 16 + 32 + TAG;

    /// Encrypts a secret. The salt is random.
    ///
    /// # Errors
    /// The key is too short, or the cost of the passphrase is beyond the limits.
    pub fn new(secret: &Secret, key: Key<'_>, cost: Cost, salt: [u8; 16]) -> Result<Self> {
        let kind = match key {
            Key::File(_) => SlotKind::KeyFile,
            Key::Passphrase(_) => SlotKind::Passphrase(cost),
        };
        let wrapper = wrapper(kind, key, &salt)?;
        let mut wrapped = secret.0;
        let tag = Cipher::chacha(&wrapper).seal(Part::Slot, &mut wrapped);
        Ok(Self { kind, salt, wrapped, tag })
    }

    /// The secret, if the key is right.
    ///
    /// # Errors
    /// The key is too short, or the cost of the passphrase is beyond the limits.
    pub fn open(&self, key: Key<'_>) -> Result<Option<Secret>> {
        match (self.kind, key) {
            (SlotKind::KeyFile, Key::File(_)) | (SlotKind::Passphrase(_), Key::Passphrase(_)) => {}
            _ => return Ok(None),
        }
        let wrapper = wrapper(self.kind, key, &self.salt)?;
        let mut secret = Secret(self.wrapped);
        let opened = Cipher::chacha(&wrapper).open(Part::Slot, &mut secret.0, &self.tag);
        Ok(opened.then_some(secret))
    }

    pub(crate) fn put(&self, bytes: &mut Vec<u8>) {
        let (kind, cost) = match self.kind {
            SlotKind::KeyFile => (1_u32, Cost { memory_kib: 0, passes: 0, lanes: 0 }),
            SlotKind::Passphrase(cost) => (2, cost),
        };
        for number in [kind, cost.memory_kib, cost.passes, cost.lanes] {
            bytes.extend(number.to_le_bytes());
        }
        bytes.extend(self.salt);
        bytes.extend(self.wrapped);
        bytes.extend(self.tag);
    }

    pub(crate) fn parse(reader: &mut Reader<'_>) -> Option<Result<Self>> {
        let kind = reader.u32()?;
        let cost = Cost { memory_kib: reader.u32()?, passes: reader.u32()?, lanes: reader.u32()? };
        let (salt, wrapped, tag) = (reader.array()?, reader.array()?, reader.array()?);
        let kind = match kind {
            1 => SlotKind::KeyFile,
            2 => match cost.check() {
                Ok(_) => SlotKind::Passphrase(cost),
                Err(error) => return Some(Err(error)),
            },
            other => {
                return Some(Err(Error::BadHeader { field: "the kind of a key slot", value: other.into() }));
            }
        };
        Some(Ok(Self { kind, salt, wrapped, tag }))
    }
}

/// The key that encrypts the secret.
fn wrapper(kind: SlotKind, key: Key<'_>, salt: &[u8; 16]) -> Result<Zeroizing<[u8; 32]>> {
    match (kind, key) {
        (SlotKind::Passphrase(cost), Key::Passphrase(text)) => {
            if text.is_empty() {
                return Err(Error::ShortKey { what: "the passphrase", length: 0, least: 1 });
            }
            let mut out = Zeroizing::new([0; 32]);
            let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, cost.check()?);
            let Cost { memory_kib, passes, lanes } = cost;
            argon.hash_password_into(text, salt, &mut *out).map_err(|_| Error::Cost {
                memory_kib,
                passes,
                lanes,
            })?;
            Ok(out)
        }
        (_, Key::File(bytes) | Key::Passphrase(bytes)) => {
            let (what, length, least) = ("the key file", bytes.len(), LEAST_KEY_FILE);
            if length < least {
                return Err(Error::ShortKey { what, length, least });
            }
            Ok(mac(&[0; 32], &[b"kjump hibernation file 1: key file", salt, bytes]))
        }
    }
}

/// BLAKE2b with a key of 64 bytes: these 32, then zeros.
fn mac(key: &[u8; 32], parts: &[&[u8]]) -> Zeroizing<[u8; 32]> {
    let mut block = Zeroizing::new([0; 64]);
    block[..32].copy_from_slice(key);
    let mut mac = <Mac as KeyInit>::new((&*block).into());
    for part in parts {
        mac.update(part);
    }
    Zeroizing::new(mac.finalize_fixed().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHEAP: Cost = Cost { memory_kib: 64, passes: 1, lanes: 1 };

    #[test]
    fn a_slot_opens_by_its_key_only() {
        let secret = Secret::new([7; 32]);
        let file = Slot::new(&secret, Key::File(b"0123456789abcdef"), CHEAP, [1; 16]).unwrap();
        let phrase = Slot::new(&secret, Key::Passphrase(b"open sesame"), CHEAP, [1; 16]).unwrap();
        let opened = |slot: &Slot, key| slot.open(key).unwrap().map(|secret| *secret.bytes());
        assert_eq!(opened(&file, Key::File(b"0123456789abcdef")), Some([7; 32]));
        assert_eq!(opened(&phrase, Key::Passphrase(b"open sesame")), Some([7; 32]));
        assert_eq!(opened(&file, Key::File(b"0123456789abcdeg")), None);
        assert_eq!(opened(&file, Key::Passphrase(b"0123456789abcdef")), None);
        assert_eq!(opened(&phrase, Key::Passphrase(b"open sesame ")), None);
        assert_eq!(opened(&phrase, Key::File(b"open sesame.....")), None);
        for slot in [file, phrase] {
            let mut bytes = Vec::new();
            slot.put(&mut bytes);
            assert_eq!(bytes.len(), Slot::SIZE);
            assert_eq!(Slot::parse(&mut Reader(&bytes)).unwrap().unwrap(), slot);
        }
    }

    #[test]
    fn short_keys_and_absurd_costs_are_refused() {
        let secret = Secret::new([7; 32]);
        let new = |key, cost| Slot::new(&secret, key, cost, [1; 16]).unwrap_err().to_string();
        assert_eq!(new(Key::File(b"short"), CHEAP), "the key file has 5 bytes; at least 16 are needed");
        assert!(new(Key::Passphrase(b""), CHEAP).contains("at least 1"));
        let absurd = Cost { memory_kib: u32::MAX, ..CHEAP };
        assert!(new(Key::Passphrase(b"x"), absurd).contains("4294967295 KiB"));
    }

    #[test]
    fn a_secret_is_not_printed() {
        assert_eq!(format!("{:?}", Secret::new([1; 32])), "Secret(..)");
    }
}
