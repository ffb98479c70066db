//! Kdump-compressed dumps.

use std::sync::{Mutex, PoisonError};

use phys::{PAGE_SIZE, Pfn};
use twox_hash::XxHash3_64;

use super::body::{Body, MOST_ERASED, MOST_NOTES};
use super::checksums::Sums;
use super::header::{KdumpHeader, NotesPlace};
use crate::codec::{Codec, Decoder};
use crate::error::DecodeError;
use crate::format::field::get;
use crate::format::kdump::{BLOCK, descriptor};
use crate::format::manifest::{Damage, MOST_MANIFEST, Manifest};
use crate::frames::{CHUNK_FRAMES, Chunk, Ranks};
use crate::kernel::notes;
use crate::source::{read_exact, read_vec};
use crate::{Error, FrameSet, PhysRead, ReadAt, Result};

/// A kdump-compressed dump.
pub(super) struct Kdump<S> {
    source: S,
    header: KdumpHeader,
    notes: Vec<u8>,
    erased: Vec<u8>,
    ram: FrameSet,
    present: FrameSet,
    bitmaps_sum: u64,
    /// Each page's position among the descriptors.
    ranks: Ranks,
    descriptors_at: u64,
    /// Decoders that no thread is using.
    decoders: Mutex<Vec<Decoder>>,
}

/// One page as it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stored {
    /// Offset in the file; 0 if the page is missing.
    offset: u64,
    /// Size in bytes.
    size: u32,
    /// The codec's number.
    flags: u32,
}

impl<S: ReadAt> Kdump<S> {
    /// Reads everything but the pages.
    ///
    /// # Errors
    /// The file cannot be read, is something else, or claims to hold more than it does.
    pub(super) fn open(source: S) -> Result<Self> {
        let header = KdumpHeader::read(&source)?;
        let bitmap_at = (1 + header.sub_blocks) * BLOCK as u64;
        let bitmaps = header.bitmap_blocks * BLOCK as u64;
        // Without a first bitmap, the frames of the second are all that is known to be memory.
        let one = header.max_mapnr.div_ceil(8);
        let halves = bitmaps >= 2 * one;
        let second = if halves { bitmaps / 2 } else { 0 };
        let present = read_bitmap(&source, bitmap_at + second, one, header.max_mapnr)?;
        let ram =
            if halves { read_bitmap(&source, bitmap_at, one, header.max_mapnr)? } else { present.clone() };
        if ram.next(0).is_none() {
            return Err(Error::NoMemory);
        }
        let bitmaps_sum = sum(&present, sum(&ram, 0));
        let present = match header.part {
            Some((from, to)) => present.between(from, to),
            None => present,
        };
        let notes = read_notes(&source, header.notes)?;
        let erased = read_erased(&source, header.erased);
        let descriptors_at = bitmap_at + bitmaps;
        let dump = Self {
            ranks: Ranks::of(&present),
            source,
            header,
            notes,
            erased,
            ram,
            present,
            bitmaps_sum,
            descriptors_at,
            decoders: Mutex::default(),
        };
        dump.check_descriptors()?;
        Ok(dump)
    }

    /// Bytes of all descriptors.
    fn descriptors_size(&self) -> u64 {
        self.present.count().saturating_mul(descriptor::SIZE as u64)
    }

    fn check_descriptors(&self) -> Result<()> {
        let (offset, length) = (self.descriptors_at, self.source.length());
        let size = self.descriptors_size();
        match offset.checked_add(size) {
            Some(end) if end <= length => Ok(()),
            _ => Err(Error::OutOfFile { what: "the page descriptors", offset, size, length }),
        }
    }

    fn stored(&self, page: Pfn) -> Result<Stored> {
        let rank = self.ranks.rank(&self.present, page).ok_or(Error::Absent { pfn: page.number() })?;
        let mut bytes = [0; descriptor::SIZE];
        let at = self.descriptors_at + rank * descriptor::SIZE as u64;
        read_exact(&self.source, "a page descriptor", at, &mut bytes)?;
        Ok(Stored {
            offset: get(&bytes, descriptor::OFFSET),
            size: get(&bytes, descriptor::DATA_SIZE),
            flags: get(&bytes, descriptor::FLAGS),
        })
    }

    fn read_page(&self, decoder: &mut Decoder, page: Pfn, buffer: &mut [u8]) -> Result<()> {
        let stored = self.stored(page)?;
        let pfn = page.number();
        if stored.offset == 0 {
            return Err(Error::Missing { pfn });
        }
        let size = usize::try_from(stored.size).unwrap_or(usize::MAX);
        if size > BLOCK {
            return Err(Error::Page { pfn, reason: DecodeError::TooLong { size: stored.size, most: BLOCK } });
        }
        let mut bytes = [0; BLOCK];
        read_exact(&self.source, "a page", stored.offset, &mut bytes[..size])?;
        Codec::from_flags(stored.flags)
            .and_then(|codec| decoder.decode(codec, &bytes[..size], buffer))
            .map_err(|reason| Error::Page { pfn, reason })
    }

    fn read_pages(&self, decoder: &mut Decoder, address: u64, buffer: &mut [u8]) -> Result<()> {
        let mut done = 0;
        while done < buffer.len() {
            let at = address + done as u64;
            let page = Pfn::new(at / PAGE_SIZE).ok_or(Error::Absent { pfn: at / PAGE_SIZE })?;
            let inside = usize::try_from(at % PAGE_SIZE).unwrap_or(0);
            let count = (BLOCK - inside).min(buffer.len() - done);
            let part = &mut buffer[done..done + count];
            if count == BLOCK {
                self.read_page(decoder, page, part)?;
            } else {
                let mut whole = [0; BLOCK];
                self.read_page(decoder, page, &mut whole)?;
                part.copy_from_slice(&whole[inside..inside + count]);
            }
            done += count;
        }
        Ok(())
    }
}

impl<S: ReadAt> Body for Kdump<S> {
    fn present(&self) -> &FrameSet {
        &self.present
    }

    fn ram(&self) -> &FrameSet {
        &self.ram
    }

    fn notes(&self) -> &[u8] {
        &self.notes
    }

    fn erased(&self) -> &[u8] {
        &self.erased
    }

    fn memory(&self) -> u64 {
        let texts = self.notes.len() + self.erased.len();
        self.ram.memory() + self.present.memory() + self.ranks.memory() + texts as u64
    }

    /// A file of a split set alone is not all of the dump.
    fn is_incomplete(&self) -> bool {
        self.header.is_incomplete() || self.header.part.is_some()
    }

    fn bitmaps_sum(&self) -> u64 {
        self.bitmaps_sum
    }

    fn header(&self) -> Option<&KdumpHeader> {
        Some(&self.header)
    }

    fn manifest(&self) -> Option<Manifest> {
        let (offset, size) = self.header.manifest?;
        // A manifest has only a few lines.
        let text =
            (1..=MOST_MANIFEST).contains(&size).then(|| read_vec(&self.source, "the manifest", offset, size));
        Manifest::parse(&text?.ok()?)
    }

    fn has_manifest(&self) -> bool {
        self.header.manifest.is_some()
    }

    fn check_sums(&self, manifest: &Manifest, report: &mut dyn FnMut(Damage)) -> Result<()> {
        let sums = Sums {
            source: &self.source,
            manifest,
            descriptors_at: self.descriptors_at,
            descriptors_size: self.descriptors_size(),
        };
        sums.check(report)
    }
}

impl<S: ReadAt> PhysRead for Kdump<S> {
    fn read_phys(&self, address: u64, buffer: &mut [u8]) -> Result<()> {
        let idle = || self.decoders.lock().unwrap_or_else(PoisonError::into_inner);
        let mut decoder = idle().pop().unwrap_or_default();
        let result = self.read_pages(&mut decoder, address, buffer);
        idle().push(decoder);
        result
    }
}

fn read_notes<S: ReadAt>(source: &S, place: NotesPlace) -> Result<Vec<u8>> {
    if place.size > MOST_NOTES {
        return Err(Error::TooLarge { what: "the size of the notes", value: place.size, most: MOST_NOTES });
    }
    let bytes = read_vec(source, "the notes", place.offset, place.size)?;
    Ok(if place.is_vmcoreinfo && !bytes.is_empty() { notes::vmcoreinfo_note(&bytes) } else { bytes })
}

/// The commands that erased data. makedumpfile writes them last, so a dump that was cut short lacks
/// them; then there is a comment in place of them.
fn read_erased<S: ReadAt>(source: &S, (offset, size): (u64, u64)) -> Vec<u8> {
    if offset == 0 || size == 0 {
        return Vec::new();
    }
    let read = || read_vec(source, "the list of erased data", offset, size).ok();
    let bytes = (size <= MOST_ERASED).then(read).flatten();
    bytes.unwrap_or_else(|| b"# the list of erased data is damaged or cut off\n".to_vec())
}

/// A checksum of a set of frames, seeded with another one.
fn sum(set: &FrameSet, seed: u64) -> u64 {
    set.chunks().filter(|(_, chunk)| !chunk.is_empty()).fold(seed, |seed, (number, chunk)| {
        XxHash3_64::oneshot_with_seed(seed.wrapping_add(number), &chunk.to_bytes())
    })
}

/// Only chunks that have a frame take memory.
fn read_bitmap<S: ReadAt>(source: &S, at: u64, bytes: u64, frames: u64) -> Result<FrameSet> {
    const CHUNK_BYTES: u64 = CHUNK_FRAMES / 8;
    let length = source.length();
    if at.checked_add(bytes).is_none_or(|end| end > length) {
        return Err(Error::OutOfFile { what: "a bitmap", offset: at, size: bytes, length });
    }
    let mut set = FrameSet::new();
    for number in 0..bytes.div_ceil(CHUNK_BYTES) {
        let from = number * CHUNK_BYTES;
        let part = read_vec(source, "a bitmap", at + from, CHUNK_BYTES.min(bytes - from))?;
        set.put_chunk(number, Chunk::from_bytes(&part));
    }
    set.remove(frames, frames.next_multiple_of(CHUNK_FRAMES));
    Ok(set)
}
