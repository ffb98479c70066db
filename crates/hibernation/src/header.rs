//! The header of an image: everything about it but its pages.
//!
//! ```text
//! 0    magic "kjumphdr", version, cipher, id
//! 32   manifest: offset, bytes, tag
//! 64   blocks, pages, pages of zeros, bytes stored
//! 96   number of key slots, bytes of facts, key slots, facts (JSON)
//! end  32 bytes: authentication code, or without encryption a digest, of all of this
//! ```

use blake2::digest::consts::U32;
use blake2::{Blake2b, Digest};

use crate::cipher::TAG;
use crate::disk::{self, Aligned};
use crate::field::Reader;
use crate::key::{Secret, Slot};
use crate::{CipherKind, Disk, Error, Facts, Id, PAGE, Result};

pub(crate) const OFFSET: u64 = PAGE as u64;
pub(crate) const SIZE: usize = 16 << 10;
const MAGIC: [u8; 8] = *b"kjumphdr";
const VERSION: u32 = 1;
const CODE: usize = SIZE - 32;
/// Most key slots.
const MOST_SLOTS: u32 = 8;

/// The header of an image. Before its key is known, nothing proves that it is authentic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// How blocks are encrypted.
    pub cipher: CipherKind,
    /// The image's identifier.
    pub id: Id,
    /// Number of blocks.
    pub blocks: u64,
    /// Number of pages, those of zeros included.
    pub pages: u64,
    /// Number of pages of zeros, which are in no block.
    pub zero_pages: u64,
    /// Bytes of all blocks as stored.
    pub stored: u64,
    /// The key slots.
    pub slots: Vec<Slot>,
    /// The kernel and its machine.
    pub facts: Facts,
    pub(crate) manifest: Place,
}

/// Where the manifest is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) offset: u64,
    pub(crate) bytes: u64,
    pub(crate) tag: [u8; TAG],
}

/// Overwrites the header, and with it the encrypted secret. Nothing can be read without it.
///
/// # Errors
/// The disk fails.
pub fn erase_keys(disk: &impl Disk) -> Result<()> {
    disk::write(disk, "the header", OFFSET, &Aligned::zeros(SIZE))?;
    disk::sync(disk, "the header")
}

impl Header {
    /// Writes the header.
    pub(crate) fn write(&self, disk: &impl Disk, secret: Option<&Secret>) -> Result<()> {
        let mut page = Aligned::zeros(SIZE);
        page[..].copy_from_slice(&self.bytes(secret)?);
        disk::write(disk, "the header", OFFSET, &page)
    }

    fn bytes(&self, secret: Option<&Secret>) -> Result<Vec<u8>> {
        // Only a number that is no finite float can fail, and there is none.
        let facts = serde_json::to_vec(&self.facts).unwrap_or_default();
        let mut bytes = MAGIC.to_vec();
        bytes.extend(VERSION.to_le_bytes());
        bytes.extend(self.cipher.number().to_le_bytes());
        bytes.extend(self.id);
        bytes.extend(self.manifest.offset.to_le_bytes());
        bytes.extend(self.manifest.bytes.to_le_bytes());
        bytes.extend(self.manifest.tag);
        for number in [self.blocks, self.pages, self.zero_pages, self.stored] {
            bytes.extend(number.to_le_bytes());
        }
        for number in [self.slots.len(), facts.len()] {
            bytes.extend(u32::try_from(number).unwrap_or(u32::MAX).to_le_bytes());
        }
        for slot in &self.slots {
            slot.put(&mut bytes);
        }
        let room = CODE - bytes.len().min(CODE);
        if facts.len() > room || self.slots.len() > MOST_SLOTS as usize {
            return Err(Error::NoRoomInHeader { what: "facts", size: facts.len(), room });
        }
        bytes.extend(facts);
        bytes.resize(CODE, 0);
        let code = self.code(&bytes, secret);
        bytes.extend(code);
        Ok(bytes)
    }

    fn code(&self, bytes: &[u8], secret: Option<&Secret>) -> [u8; 32] {
        match (self.cipher, secret) {
            (CipherKind::Aes256Gcm | CipherKind::ChaCha20Poly1305, Some(secret)) => {
                secret.authenticate(&self.id, bytes)
            }
            _ => Blake2b::<U32>::digest(bytes).into(),
        }
    }

    /// Reads the header, with its bytes for [`check`](Self::check).
    pub(crate) fn read(disk: &impl Disk) -> Result<(Self, Aligned)> {
        let mut bytes = Aligned::zeros(SIZE);
        disk::read(disk, "the header", OFFSET, &mut bytes)?;
        Ok((Self::parse(&bytes)?, bytes))
    }

    /// Checks that the header is what was written.
    pub(crate) fn check(&self, bytes: &[u8], secret: Option<&Secret>) -> Result<()> {
        let (head, code) = bytes.split_at(CODE);
        let expected = self.code(head, secret);
        // Every byte is compared, so that the time does not depend on where they differ.
        let differ = expected.iter().zip(code).fold(0, |all, (a, b)| all | (a ^ b));
        if differ == 0 { Ok(()) } else { Err(Error::Altered { what: "the header" }) }
    }

    fn parse(bytes: &[u8]) -> Result<Self> {
        let short = || Error::BadHeader { field: "its size", value: bytes.len() as u64 };
        let mut reader = Reader(bytes.get(..CODE).ok_or_else(short)?);
        let magic: [u8; 8] = reader.array().ok_or_else(short)?;
        if magic != MAGIC {
            return Err(Error::BadHeader { field: "its magic", value: u64::from_le_bytes(magic) });
        }
        let version = reader.u32().ok_or_else(short)?;
        if version != VERSION {
            return Err(Error::Version { what: "the header", version, wanted: VERSION });
        }
        let cipher = CipherKind::of(reader.u32().ok_or_else(short)?)?;
        let id = reader.array().ok_or_else(short)?;
        let mut number = || reader.u64().ok_or_else(short);
        let (offset, size) = (number()?, number()?);
        let tag = reader.array().ok_or_else(short)?;
        let manifest = Place { offset, bytes: size, tag };
        let mut number = || reader.u64().ok_or_else(short);
        let (blocks, pages, zero_pages, stored) = (number()?, number()?, number()?, number()?);
        let (slots, facts) = (reader.u32().ok_or_else(short)?, reader.u32().ok_or_else(short)?);
        if slots > MOST_SLOTS {
            return Err(Error::BadHeader { field: "the number of key slots", value: slots.into() });
        }
        let slots = (0..slots)
            .map(|_| Slot::parse(&mut reader).unwrap_or_else(|| Err(short())))
            .collect::<Result<Vec<_>>>()?;
        let value = facts.into();
        let facts = usize::try_from(facts).ok().and_then(|length| reader.bytes(length));
        let facts = facts.and_then(|text| serde_json::from_slice(text).ok());
        let facts = facts.ok_or(Error::BadHeader { field: "the size of its facts", value })?;
        Ok(Self { cipher, id, blocks, pages, zero_pages, stored, slots, facts, manifest })
    }

    /// The secret, by a key.
    pub(crate) fn unlock(&self, key: Option<crate::Key<'_>>) -> Result<Option<Secret>> {
        match (self.cipher, key) {
            (CipherKind::None, None) => Ok(None),
            (CipherKind::None, Some(_)) => Err(Error::NotEncrypted),
            (_, None) => Err(Error::NoKey),
            (_, Some(key)) => {
                for slot in &self.slots {
                    if let Some(secret) = slot.open(key)? {
                        return Ok(Some(secret));
                    }
                }
                Err(Error::WrongKey { slots: self.slots.len() })
            }
        }
    }
}

/// Where the manifest is, by the bytes of a header.
#[cfg(any(test, feature = "testing"))]
pub(crate) fn place_of(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut reader = Reader(bytes.get(32..48)?);
    Some((usize::try_from(reader.u64()?).ok()?, usize::try_from(reader.u64()?).ok()?))
}

/// Puts the manifest's tag into the bytes of a header.
#[cfg(any(test, feature = "testing"))]
pub(crate) fn put_tag(bytes: &mut [u8], tag: [u8; TAG]) {
    bytes[48..64].copy_from_slice(&tag);
}

/// Makes the digest of a header without encryption right.
#[cfg(any(test, feature = "testing"))]
pub(crate) fn reseal(bytes: &mut [u8]) {
    let (head, code) = bytes.split_at_mut(CODE);
    code.copy_from_slice(&Blake2b::<U32>::digest(head));
}
