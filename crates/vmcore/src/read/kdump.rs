//! The kdump-compressed format, versions 1 to 6, as diskdump's descendants write it.
//!
//! ```text
//! block 0     header            utsname, time, status, block size, number of bitmap blocks, highest frame
//! block 1..   sub-header        phys_base, part of a split set, where the notes are; then the notes
//!             first bitmap      frames that are memory
//!             second bitmap     frames that are in the dump
//!             page descriptors  24 bytes for each frame in the dump, in order
//!             page data         anywhere behind
//! ```
//!
//! `bitmap_blocks` counts both bitmaps together. All numbers are little-endian here, as on x86.

use std::sync::{Mutex, PoisonError};

use phys::{PAGE_SIZE, Pfn};

use crate::codec::{Codec, Decoder};
use crate::error::DecodeError;
use crate::format::field::{u32_at, u64_at};
use crate::format::manifest::{Damage, MOST_MANIFEST, Manifest, Sums};
use crate::frames::{CHUNK_FRAMES, Chunk, Ranks};
use crate::read::image::Body;
use crate::source::{read_exact, read_vec};
use crate::{Error, FrameSet, PhysRead, ReadAt, Result};

/// The first bytes of a dump.
pub(crate) const MAGIC: [u8; 8] = *b"KDUMP   ";
/// The version that is written.
pub(crate) const VERSION: u32 = 6;
/// The only page size of x86, which is the block size too.
pub(crate) const BLOCK: usize = 4096;
/// Bytes of a page descriptor: offset (8), size (4), flags (4), page flags (8).
pub(crate) const DESCRIPTOR: usize = 24;
/// Set in the status word of a dump that was cut short (makedumpfile's `DUMP_DH_COMPRESSED_INCOMPLETE`).
pub(crate) const INCOMPLETE: u32 = 8;
/// Bytes of `struct utsname`: six strings of 65 bytes.
pub(crate) const UTSNAME: usize = 390;

/// Where the fields of the 64-bit header are.
pub(crate) mod header {
    pub(crate) const VERSION: usize = 8;
    pub(crate) const UTSNAME: usize = 12;
    pub(crate) const SECONDS: usize = 408;
    pub(crate) const STATUS: usize = 424;
    pub(crate) const BLOCK_SIZE: usize = 428;
    pub(crate) const SUB_HEADER_BLOCKS: usize = 432;
    pub(crate) const BITMAP_BLOCKS: usize = 436;
    pub(crate) const MAX_MAPNR: usize = 440;
    pub(crate) const CPUS: usize = 460;
    /// Behind all that the format has there: [`MANIFEST_MAGIC`], then place and size of kjump's manifest.
    ///
    /// [`MANIFEST_MAGIC`]: super::MANIFEST_MAGIC
    pub(crate) const MANIFEST: usize = 1024;
}

/// Where the fields of the 64-bit sub-header are, from its block on.
pub(crate) mod sub_header {
    pub(crate) const PHYS_BASE: usize = 0;
    pub(crate) const DUMP_LEVEL: usize = 8;
    pub(crate) const SPLIT: usize = 12;
    pub(crate) const START_PFN: usize = 16;
    pub(crate) const END_PFN: usize = 24;
    pub(crate) const VMCOREINFO: usize = 32;
    pub(crate) const NOTES: usize = 48;
    pub(crate) const START_PFN_64: usize = 80;
    pub(crate) const END_PFN_64: usize = 88;
    pub(crate) const MAX_MAPNR_64: usize = 96;
    /// Bytes of it all; the notes follow.
    pub(crate) const SIZE: usize = 104;
}

/// Stands before the place of a manifest.
pub(crate) const MANIFEST_MAGIC: [u8; 8] = *b"kjump  1";

/// More bytes of notes than this are a damaged file.
const MOST_NOTES: u64 = 64 << 20;

/// What the header says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The version of the format.
    pub version: u32,
    /// The kernel's `struct utsname`.
    pub utsname: Vec<u8>,
    /// Seconds since 1970 when the kernel crashed, or when the dump was made; 0 if nobody knows.
    pub seconds: u64,
    /// Codecs used, and whether the dump is incomplete; informative.
    pub status: u32,
    /// The dump level it was made with.
    pub level: u32,
    /// The kernel's `phys_base`.
    pub phys_base: u64,
    /// The number behind the highest frame.
    pub max_mapnr: u64,
    /// The frames of this file if it is one of a split set.
    pub part: Option<(u64, u64)>,
    /// The number of CPUs.
    pub cpus: u32,
    /// Where kjump's manifest is, and how many bytes it has.
    manifest: Option<(u64, u64)>,
    sub_blocks: u64,
    bitmap_blocks: u64,
}

impl Header {
    /// Whether the dump was cut short, or pages were missing in its source.
    #[must_use]
    pub fn is_incomplete(&self) -> bool {
        self.status & INCOMPLETE != 0
    }
}

/// A kdump-compressed dump.
pub(crate) struct Kdump<S> {
    source: S,
    header: Header,
    notes: Vec<u8>,
    ram: FrameSet,
    present: FrameSet,
    /// The numbers of descriptors.
    ranks: Ranks,
    descriptors_at: u64,
    /// Those that no thread is using.
    decoders: Mutex<Vec<Decoder>>,
}

/// One page as it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stored {
    /// Where, in bytes of the file; 0 if the page is missing.
    offset: u64,
    /// How many bytes.
    size: u32,
    /// The codec's number.
    flags: u32,
}

impl<S: ReadAt> Kdump<S> {
    /// Reads everything but the pages.
    ///
    /// # Errors
    /// The file cannot be read, is something else, or says it has what it has not.
    pub(crate) fn open(source: S) -> Result<Self> {
        let block = read_vec(&source, "the dump header", 0, BLOCK as u64)?;
        let (header, layout) = parse_header(&source, &block)?;
        let bitmap_at = (1 + header.sub_blocks) * BLOCK as u64;
        let bitmaps = header.bitmap_blocks * BLOCK as u64;
        // Without a first bitmap every frame of the second is memory, which is all that can be known.
        let one = header.max_mapnr.div_ceil(8);
        let halves = bitmaps >= 2 * one;
        let second = if halves { bitmaps / 2 } else { 0 };
        let present = read_bitmap(&source, bitmap_at + second, one, header.max_mapnr)?;
        let ram =
            if halves { read_bitmap(&source, bitmap_at, one, header.max_mapnr)? } else { present.clone() };
        let present = match header.part {
            Some((from, to)) => within(&present, from, to),
            None => present,
        };
        let notes = read_notes(&source, &layout)?;
        let descriptors_at = bitmap_at + bitmaps;
        let dump = Self {
            ranks: Ranks::of(&present),
            source,
            header,
            notes,
            ram,
            present,
            descriptors_at,
            decoders: Mutex::default(),
        };
        dump.check_descriptors()?;
        Ok(dump)
    }

    /// Bytes of all descriptors.
    fn descriptors_size(&self) -> u64 {
        self.present.count().saturating_mul(DESCRIPTOR as u64)
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
        let mut bytes = [0; DESCRIPTOR];
        let at = self.descriptors_at + rank * DESCRIPTOR as u64;
        read_exact(&self.source, "a page descriptor", at, &mut bytes)?;
        Ok(Stored { offset: u64_at(&bytes, 0), size: u32_at(&bytes, 8), flags: u32_at(&bytes, 12) })
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

    fn header(&self) -> Option<&Header> {
        Some(&self.header)
    }

    fn manifest(&self) -> Option<Manifest> {
        let (offset, size) = self.header.manifest?;
        // A manifest is a few lines.
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

fn manifest_place(block: &[u8]) -> Option<(u64, u64)> {
    let place = block.get(header::MANIFEST..)?;
    place.starts_with(&MANIFEST_MAGIC).then(|| (u64_at(place, 8), u64_at(place, 16)))
}

/// Where the notes are, in bytes.
struct Notes {
    offset: u64,
    size: u64,
    is_vmcoreinfo: bool,
}

fn parse_header<S: ReadAt>(source: &S, block: &[u8]) -> Result<(Header, Notes)> {
    if !block.starts_with(&MAGIC) {
        return Err(Error::Unrecognised { start: block[..8].to_vec() });
    }
    // Only with the wider time stamp is the block size where the 64-bit header has it.
    let shift = if u64::from(u32_at(block, header::BLOCK_SIZE)) == PAGE_SIZE { 0 } else { SHIFT_32 };
    let word = |at: usize| u32_at(block, at - shift);
    let unsupported = |field, value, wanted| Err(Error::Unsupported { field, value, wanted });
    if u64::from(word(header::BLOCK_SIZE)) != PAGE_SIZE {
        return unsupported(
            "the block size",
            u32_at(block, header::BLOCK_SIZE).into(),
            "x86 has pages of 4096",
        );
    }
    let version = u32_at(block, header::VERSION);
    if version == 0 || version > VERSION {
        return unsupported("the version of the dump format", version.into(), "1 to 6 are read");
    }
    let sub =
        read_vec(source, "the sub-header", BLOCK as u64, (sub_header::SIZE as u64).min(source.length()))?;
    let mut head = Header {
        version,
        utsname: block[header::UTSNAME..header::UTSNAME + UTSNAME].to_vec(),
        seconds: if shift == 0 { u64_at(block, header::SECONDS) } else { u32_at(block, 404).into() },
        status: word(header::STATUS),
        level: 0,
        phys_base: 0,
        max_mapnr: word(header::MAX_MAPNR).into(),
        part: None,
        cpus: word(header::CPUS),
        manifest: manifest_place(block),
        sub_blocks: word(header::SUB_HEADER_BLOCKS).into(),
        bitmap_blocks: word(header::BITMAP_BLOCKS).into(),
    };
    let notes =
        if shift == 0 { wide_sub_header(&mut head, &sub) } else { narrow_sub_header(&mut head, &sub) };
    if head.max_mapnr > phys::FRAME_END {
        return Err(Error::TooLarge { what: "max_mapnr", value: head.max_mapnr, most: phys::FRAME_END });
    }
    Ok((head, notes))
}

/// The 32-bit header has a time stamp of 8 bytes at 404, and then the fields that the 64-bit one has 12 bytes later.
const SHIFT_32: usize = 12;

fn wide_sub_header(head: &mut Header, sub: &[u8]) -> Notes {
    let since = |version, at| if head.version >= version { u64_at(sub, at) } else { 0 };
    let split = head.version >= 2 && u32_at(sub, sub_header::SPLIT) != 0;
    let part = if head.version >= 6 {
        (u64_at(sub, sub_header::START_PFN_64), u64_at(sub, sub_header::END_PFN_64))
    } else {
        (u64_at(sub, sub_header::START_PFN), u64_at(sub, sub_header::END_PFN))
    };
    let notes = notes_at(
        (since(4, sub_header::NOTES), since(4, sub_header::NOTES + 8)),
        (since(3, sub_header::VMCOREINFO), since(3, sub_header::VMCOREINFO + 8)),
    );
    if head.version >= 6 {
        head.max_mapnr = u64_at(sub, sub_header::MAX_MAPNR_64);
    }
    head.phys_base = u64_at(sub, sub_header::PHYS_BASE);
    head.level = u32_at(sub, sub_header::DUMP_LEVEL);
    head.part = split.then_some(part);
    notes
}

/// The sub-header of i386, whose 64-bit numbers are aligned to 4 bytes: phys_base 0, dump_level 4, split 8,
/// start_pfn 12, end_pfn 16, offset_vmcoreinfo 20, size_vmcoreinfo 28, offset_note 32, size_note 40,
/// offset_eraseinfo 44, size_eraseinfo 52, start_pfn_64 56, end_pfn_64 64, max_mapnr_64 72.
fn narrow_sub_header(head: &mut Header, sub: &[u8]) -> Notes {
    let notes = notes_at(
        if head.version >= 4 { (u64_at(sub, 32), u32_at(sub, 40).into()) } else { (0, 0) },
        if head.version >= 3 { (u64_at(sub, 20), u32_at(sub, 28).into()) } else { (0, 0) },
    );
    let part = (u64::from(u32_at(sub, 12)), u64::from(u32_at(sub, 16)));
    head.phys_base = u32_at(sub, 0).into();
    head.level = u32_at(sub, 4);
    head.part = (head.version >= 2 && u32_at(sub, 8) != 0).then_some(part);
    notes
}

/// Offset and size of the notes, or of VMCOREINFO alone before there were notes.
fn notes_at(notes: (u64, u64), vmcoreinfo: (u64, u64)) -> Notes {
    let is_vmcoreinfo = notes.1 == 0;
    let (offset, size) = if is_vmcoreinfo { vmcoreinfo } else { notes };
    Notes { offset, size, is_vmcoreinfo }
}

fn read_notes<S: ReadAt>(source: &S, notes: &Notes) -> Result<Vec<u8>> {
    if notes.size > MOST_NOTES {
        return Err(Error::TooLarge { what: "the size of the notes", value: notes.size, most: MOST_NOTES });
    }
    let bytes = read_vec(source, "the notes", notes.offset, notes.size)?;
    Ok(if notes.is_vmcoreinfo && !bytes.is_empty() { crate::notes::vmcoreinfo_note(&bytes) } else { bytes })
}

/// Memory is used only for chunks that have a frame.
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

fn within(set: &FrameSet, from: u64, to: u64) -> FrameSet {
    let mut part = set.clone();
    part.remove(0, from.min(set.end()));
    part.remove(to, set.end().max(to));
    part
}
