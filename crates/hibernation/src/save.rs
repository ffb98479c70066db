//! Writing an image.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::block::{BLOCK_PAGES, Codec, Engine, ROOM};
use crate::cipher::{Cipher, Part};
use crate::disk::{self, Aligned};
use crate::header::{Header, Place};
use crate::key::{Secret, Slot};
use crate::manifest::{Block, Manifest, PAYLOAD, runs_of};
use crate::state::{self, State, StateKind};
use crate::{CipherKind, Disk, Error, Facts, PAGE, Result};

/// How an image is written.
#[derive(Debug)]
pub struct Plan {
    /// How blocks are compressed.
    pub codec: Codec,
    /// How blocks are encrypted.
    pub cipher: CipherKind,
    /// The secret, unless blocks are not encrypted.
    pub secret: Option<Secret>,
    /// The key slots that hold the secret.
    pub slots: Vec<Slot>,
}

/// An image that is being written, by any number of threads.
pub struct Saving<'d, D> {
    disk: &'d D,
    state: State,
    plan: Plan,
    cipher: Cipher,
    /// Where the next block goes.
    place: AtomicU64,
    next: AtomicU64,
    done: Mutex<Done>,
}

#[derive(Default)]
struct Done {
    blocks: Vec<(u64, Block)>,
    zeros: Vec<u64>,
    stored: u64,
}

/// A finished image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Saved {
    /// Number of blocks.
    pub blocks: u64,
    /// Number of pages, those of zeros included.
    pub pages: u64,
    /// Number of pages of zeros.
    pub zero_pages: u64,
    /// Bytes of the blocks as stored.
    pub stored: u64,
    /// Bytes of the file that are used.
    pub end: u64,
}

impl<'d, D: Disk> Saving<'d, D> {
    /// Continues from the state *writing*, in which the file is already.
    ///
    /// # Errors
    /// The file is in another state, or too small.
    pub fn start(disk: &'d D, state: State, plan: Plan) -> Result<Self> {
        state::check_size(disk)?;
        if state.kind != StateKind::Writing {
            return Err(Error::Step { from: state.kind, to: StateKind::Complete });
        }
        let cipher = Cipher::new(plan.cipher, plan.secret.as_ref(), &state.id);
        Ok(Self {
            disk,
            state,
            plan,
            cipher,
            place: AtomicU64::new(PAYLOAD),
            next: AtomicU64::new(0),
            done: Mutex::default(),
        })
    }

    /// A writer of blocks, for one thread.
    pub fn writer(&self) -> BlockWriter<'_, 'd, D> {
        BlockWriter {
            saving: self,
            plain: Aligned::zeros(BLOCK_PAGES * PAGE),
            packed: Aligned::zeros(ROOM),
            engine: Engine::default(),
        }
    }

    /// Bytes written so far, for a display of progress.
    pub fn written(&self) -> u64 {
        self.place.load(Ordering::Relaxed) - PAYLOAD
    }

    /// A place for these bytes.
    fn reserve(&self, bytes: usize) -> Result<u64> {
        let room = (bytes as u64).next_multiple_of(PAGE as u64);
        let (offset, length) = (self.place.fetch_add(room, Ordering::Relaxed), self.disk.length());
        match offset.checked_add(room) {
            Some(end) if end <= length => Ok(offset),
            _ => Err(Error::Full { needed: offset.saturating_add(room), length }),
        }
    }

    /// Ends the image: everything else is on the disk before the state says so.
    ///
    /// # Errors
    /// There is no room for the manifest or the facts, or the disk fails.
    pub fn finish(self, facts: Facts) -> Result<Saved> {
        let mut done = std::mem::take(&mut *self.done.lock().unwrap_or_else(PoisonError::into_inner));
        // The number of a block is its place in the manifest.
        done.blocks.sort_unstable_by_key(|(number, _)| *number);
        done.zeros.sort_unstable();
        let zero_pages = done.zeros.len() as u64;
        let blocks: Vec<_> = done.blocks.into_iter().map(|(_, block)| block).collect();
        let manifest = Manifest { zeros: runs_of(done.zeros), blocks };
        let bytes = manifest.bytes();
        let mut sealed = Aligned::zeros(bytes.len().next_multiple_of(PAGE));
        sealed[..bytes.len()].copy_from_slice(&bytes);
        let tag = self.cipher.seal(Part::Manifest, &mut sealed[..bytes.len()]);
        let offset = self.reserve(bytes.len())?;
        disk::write(self.disk, "the manifest", offset, &sealed)?;
        let pages = zero_pages + manifest.blocks.iter().map(Block::pages).sum::<u64>();
        let header = Header {
            cipher: self.plan.cipher,
            id: self.state.id,
            blocks: manifest.blocks.len() as u64,
            pages,
            zero_pages,
            stored: done.stored,
            slots: self.plan.slots,
            facts,
            manifest: Place { offset, bytes: bytes.len() as u64, tag },
        };
        header.write(self.disk, self.plan.secret.as_ref())?;
        disk::sync(self.disk, "the image")?;
        self.state.change(self.disk, StateKind::Complete, "")?;
        let end = offset + sealed.len() as u64;
        Ok(Saved { blocks: header.blocks, pages, zero_pages, stored: header.stored, end })
    }
}

/// Writes blocks, in one thread.
pub struct BlockWriter<'s, 'd, D> {
    saving: &'s Saving<'d, D>,
    plain: Aligned,
    packed: Aligned,
    engine: Engine,
}

impl<D: Disk> BlockWriter<'_, '_, D> {
    /// Writes a block with the pages of these frames, at most [`BLOCK_PAGES`] and in rising order.
    /// `read` fills a buffer with consecutive pages from a frame on.
    ///
    /// # Errors
    /// There is no room, the disk fails, or `read` does.
    pub fn put<E: From<Error>>(
        &mut self,
        frames: &[u64],
        mut read: impl FnMut(u64, &mut [u8]) -> std::result::Result<(), E>,
    ) -> std::result::Result<(), E> {
        let frames = &frames[..frames.len().min(BLOCK_PAGES)];
        let (mut data, mut zeros) = (Vec::with_capacity(frames.len()), Vec::new());
        let mut used = 0;
        for run in runs_of(frames.iter().copied()) {
            let size = usize::try_from(run.count).unwrap_or(0) * PAGE;
            read(run.first, &mut self.plain[used..used + size])?;
            // Pages of zeros are left out, and those after them moved up.
            let start = used;
            for (frame, from) in (run.first..).zip((start..start + size).step_by(PAGE)) {
                if is_zero(&self.plain[from..from + PAGE]) {
                    zeros.push(frame);
                } else {
                    if from != used {
                        self.plain.copy_within(from..from + PAGE, used);
                    }
                    data.push(frame);
                    used += PAGE;
                }
            }
        }
        let block = if used == 0 { None } else { Some(self.block(data, used)?) };
        let mut done = self.saving.done.lock().unwrap_or_else(PoisonError::into_inner);
        done.zeros.extend(zeros);
        if let Some((number, block)) = block {
            done.stored += u64::from(block.stored);
            done.blocks.push((number, block));
        }
        Ok(())
    }

    fn block(&mut self, frames: Vec<u64>, used: usize) -> Result<(u64, Block)> {
        let saving = self.saving;
        let (length, codec) = self.engine.compress(saving.plan.codec, &self.plain[..used], &mut self.packed);
        let number = saving.next.fetch_add(1, Ordering::Relaxed);
        let tag = saving.cipher.seal(Part::Block(number), &mut self.packed[..length]);
        let room = length.next_multiple_of(PAGE);
        self.packed[length..room].fill(0);
        let offset = saving.reserve(length)?;
        disk::write(saving.disk, "a block", offset, &self.packed[..room])?;
        let stored = u32::try_from(length).unwrap_or(u32::MAX);
        Ok((number, Block { runs: runs_of(frames), offset, stored, codec, tag }))
    }
}

fn is_zero(page: &[u8]) -> bool {
    page.chunks(64).all(|part| part.iter().fold(0, |all, byte| all | byte) == 0)
}
