//! Reading an image.

use crate::block::{BLOCK_PAGES, Engine};
use crate::cipher::{Cipher, Part};
use crate::disk::{self, Aligned};
use crate::header::Header;
use crate::manifest::{Block, Manifest, PAYLOAD, Run};
use crate::state::State;
use crate::{Disk, Error, Key, PAGE, Result};

/// Reads state and header, for display. Nothing proves that they are authentic.
///
/// # Errors
/// The disk fails, or they are damaged.
pub fn load_header(disk: &impl Disk) -> Result<(State, Option<Header>)> {
    let state = State::read(disk)?;
    if !state.kind.has_image() {
        return Ok((state, None));
    }
    let (header, _) = Header::read(disk)?;
    if header.id != state.id { Err(Error::OtherImage) } else { Ok((state, Some(header))) }
}

/// An image that can be resumed: complete, authentic as far as header and manifest go. Each block
/// is checked when it is read.
pub struct Image<'d, D> {
    disk: &'d D,
    state: State,
    header: Header,
    manifest: Manifest,
    cipher: Cipher,
}

impl<'d, D: Disk> Image<'d, D> {
    /// Opens an image with a key; without one, only an image that is not encrypted.
    ///
    /// # Errors
    /// The file has no complete image, the key is wrong, or anything was changed.
    pub fn open(disk: &'d D, key: Option<Key<'_>>) -> Result<Self> {
        let state = State::read(disk)?;
        if !state.kind.has_image() {
            return Err(Error::NotComplete { kind: state.kind, reason: state.reason });
        }
        let (header, bytes) = Header::read(disk)?;
        if header.id != state.id {
            return Err(Error::OtherImage);
        }
        let secret = header.unlock(key)?;
        header.check(&bytes, secret.as_ref())?;
        let cipher = Cipher::new(header.cipher, secret.as_ref(), &header.id);
        let manifest = read_manifest(disk, &header, &cipher)?;
        Ok(Self { disk, state, header, manifest, cipher })
    }

    /// The state in which it was found.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Its header.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Its blocks.
    pub fn blocks(&self) -> &[Block] {
        &self.manifest.blocks
    }

    /// The pages of zeros.
    pub fn zeros(&self) -> &[Run] {
        &self.manifest.zeros
    }

    /// All its pages: runs of rising frames, neighbours joined.
    #[must_use]
    pub fn runs(&self) -> Vec<Run> {
        let blocks = self.manifest.blocks.iter().flat_map(|block| &block.runs);
        let mut all: Vec<_> = blocks.chain(&self.manifest.zeros).copied().collect();
        all.sort_unstable_by_key(|run| run.first);
        let mut joined: Vec<Run> = Vec::new();
        for run in all {
            match joined.last_mut() {
                Some(last) if last.first + last.count == run.first => last.count += run.count,
                _ => joined.push(run),
            }
        }
        joined
    }

    /// A reader of blocks, for one thread.
    pub fn reader(&self) -> BlockReader<'_, 'd, D> {
        BlockReader {
            image: self,
            packed: Aligned::zeros(BLOCK_PAGES * PAGE),
            plain: Aligned::zeros(BLOCK_PAGES * PAGE),
            engine: Engine::default(),
        }
    }
}

fn read_manifest(disk: &impl Disk, header: &Header, cipher: &Cipher) -> Result<Manifest> {
    let (place, length) = (header.manifest, disk.length());
    let bad = |field, value| Error::BadHeader { field, value };
    let end = place.offset.checked_add(place.bytes.next_multiple_of(PAGE as u64));
    if place.offset < PAYLOAD || !place.offset.is_multiple_of(PAGE as u64) {
        return Err(bad("the manifest's offset", place.offset));
    }
    // At most what the file has, and at most what its pages need: 36 bytes for each.
    let most = header.pages.saturating_mul(40).saturating_add(64);
    if end.is_none_or(|end| end > length) || place.bytes > most || place.bytes < 8 {
        return Err(bad("the manifest's size", place.bytes));
    }
    let size = usize::try_from(place.bytes).map_err(|_| bad("the manifest's size", place.bytes))?;
    let mut bytes = Aligned::zeros(size.next_multiple_of(PAGE));
    disk::read(disk, "the manifest", place.offset, &mut bytes)?;
    let bytes = &mut bytes[..size];
    if !cipher.open(Part::Manifest, bytes, &place.tag) {
        return Err(Error::Altered { what: "the manifest" });
    }
    Manifest::parse(bytes, header, length)
}

/// Reads blocks, in one thread.
pub struct BlockReader<'i, 'd, D> {
    image: &'i Image<'d, D>,
    packed: Aligned,
    plain: Aligned,
    engine: Engine,
}

impl<'i, D: Disk> BlockReader<'i, '_, D> {
    /// The pages of a block, by its number, if it is what was written.
    ///
    /// # Errors
    /// The disk fails, or the block was changed.
    pub fn get(&mut self, number: usize) -> Result<(&'i Block, &[u8])> {
        let bad = Error::BadBlock { block: number as u64 };
        let Some(block) = self.image.manifest.blocks.get(number) else { return Err(bad) };
        let (Ok(stored), Ok(room), Ok(pages)) =
            (usize::try_from(block.stored), usize::try_from(block.room()), usize::try_from(block.pages()))
        else {
            return Err(bad);
        };
        disk::read(self.image.disk, "a block", block.offset, &mut self.packed[..room])?;
        let packed = &mut self.packed[..stored];
        if !self.image.cipher.open(Part::Block(number as u64), packed, &block.tag) {
            return Err(bad);
        }
        let plain = &mut self.plain[..pages * PAGE];
        if !self.engine.decompress(block.codec, packed, plain) {
            return Err(bad);
        }
        Ok((block, plain))
    }
}
