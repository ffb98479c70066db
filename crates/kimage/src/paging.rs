//! Page tables for the code that runs while pages move: an identity map of memory, and single pages
//! at other addresses.
//!
//! The tables are support frames of an [`Image`], so that they are never destinations. Layout of
//! the entries: Intel SDM volume 3, 4.5 (tables 4-15 to 4-20).

use phys::{PAGE_SHIFT, PAGE_SIZE, Pfn, PhysAddr, PhysRange};

use crate::error::Error;
use crate::frames::{Frames, Zone, place};
use crate::image::Image;
use crate::segment::Segment;

const PRESENT: u64 = 1 << 0;
const WRITABLE: u64 = 1 << 1;
const ACCESSED: u64 = 1 << 5;
const DIRTY: u64 = 1 << 6;
/// In a level above the lowest: the entry maps a page instead of naming a table.
const LARGE: u64 = 1 << 7;
/// Bits 51 to 12.
const ADDRESS: u64 = (phys::ADDRESS_END - 1) & !(PAGE_SIZE - 1);

/// Accessed and dirty are set beforehand, so that the CPU never writes to the tables.
const TABLE: u64 = PRESENT | WRITABLE | ACCESSED;
const PAGE: u64 = PRESENT | WRITABLE | ACCESSED | DIRTY;

/// Address bits that one level resolves.
const LEVEL_BITS: u32 = 9;

/// The levels of tables that the CPU walks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Levels {
    /// 48-bit virtual addresses.
    Four,
    /// 57-bit virtual addresses (CR4.LA57).
    Five,
}

impl Levels {
    const fn count(self) -> u32 {
        match self {
            Self::Four => 4,
            Self::Five => 5,
        }
    }

    /// Whether all these bytes lie in one half of the canonical addresses.
    fn can_map(self, virt: u64, bytes: u64) -> bool {
        let half = 1 << (PAGE_SHIFT + LEVEL_BITS * self.count() - 1);
        let last = virt.checked_add(bytes.saturating_sub(1));
        last.is_some_and(|last| last < half || virt >= 0_u64.wrapping_sub(half))
    }
}

/// A tree of page tables under construction: supervisor, writable, executable.
#[derive(Clone, Copy, Debug)]
pub struct Tables {
    root: Pfn,
    levels: Levels,
    gigabyte_pages: bool,
    zone: Zone,
}

impl Tables {
    /// Takes all further tables from this zone.
    #[must_use]
    pub const fn then_from(self, zone: Zone) -> Self {
        Self { zone, ..self }
    }

    /// Takes an empty root table. All tables will come from `zone`; pages of 1 GiB are used if the
    /// CPU has them.
    ///
    /// # Errors
    /// [`Error::NoMemory`].
    pub fn new<F: Frames>(
        image: &mut Image<impl AsRef<[Segment]>, F>,
        levels: Levels,
        gigabyte_pages: bool,
        zone: Zone,
    ) -> Result<Self, Error> {
        let root = new_table(image, zone)?;
        Ok(Self { root, levels, gigabyte_pages, zone })
    }

    /// The frame for CR3.
    #[must_use]
    pub const fn root(&self) -> Pfn {
        self.root
    }

    /// Maps a physical range at its own address: not a byte more, with the largest pages that fit.
    /// Existing mappings to the same addresses stay.
    ///
    /// # Errors
    /// [`Error::NotCanonical`], [`Error::MappedElsewhere`], [`Error::NoMemory`]; part of the range
    /// may be mapped then.
    pub fn map_identity<F: Frames>(
        &self,
        image: &mut Image<impl AsRef<[Segment]>, F>,
        range: PhysRange,
    ) -> Result<(), Error> {
        self.map(image, range.start().get(), range)
    }

    /// Maps one page of 4 KiB at a virtual address.
    ///
    /// # Errors
    /// [`Error::UnalignedPage`], [`Error::NotCanonical`], [`Error::MappedElsewhere`],
    /// [`Error::NoMemory`].
    pub fn map_page<F: Frames>(
        &self,
        image: &mut Image<impl AsRef<[Segment]>, F>,
        virt: u64,
        frame: Pfn,
    ) -> Result<(), Error> {
        self.map(image, virt, PhysRange::single(frame))
    }

    /// Maps a physical range at a virtual address, with the largest pages that fit. Existing
    /// mappings to the same addresses stay.
    ///
    /// # Errors
    /// As for [`Tables::map_page`]; part of the range may be mapped then.
    pub fn map<F: Frames>(
        &self,
        image: &mut Image<impl AsRef<[Segment]>, F>,
        virt: u64,
        range: PhysRange,
    ) -> Result<(), Error> {
        let bytes = range.bytes();
        if !virt.is_multiple_of(PAGE_SIZE) {
            return Err(Error::UnalignedPage { virt });
        }
        if !self.levels.can_map(virt, bytes) {
            return Err(Error::NotCanonical { virt, bytes, levels: self.levels.count() });
        }
        let mut done = 0;
        while done < bytes {
            // Neither sum overflows: both ranges were checked.
            let piece = Piece { virt: virt + done, phys: range.start().get() + done, bytes: bytes - done };
            done += self.map_some(image, piece)?;
        }
        Ok(())
    }

    /// The physical address that a virtual address is mapped to, found as the CPU finds it.
    #[must_use]
    pub fn translate(&self, frames: &mut impl Frames, virt: u64) -> Option<PhysAddr> {
        if !self.levels.can_map(virt, 1) {
            return None;
        }
        let (mut table, mut level) = (self.root, self.levels.count());
        loop {
            level -= 1;
            let entry = frames.words(table)[index(virt, level)];
            if entry & PRESENT == 0 {
                return None;
            }
            if is_page(entry, level) {
                let within = span(level) - 1;
                return PhysAddr::new((entry & ADDRESS & !within) | (virt & within));
            }
            table = Pfn::starting_at(entry & ADDRESS)?;
        }
    }

    /// Maps the largest page at the start of the piece that fits, and returns the distance in bytes
    /// to the next one. An existing table stays, and gets the page.
    fn map_some<F: Frames>(
        &self,
        image: &mut Image<impl AsRef<[Segment]>, F>,
        piece: Piece,
    ) -> Result<u64, Error> {
        let (mut table, mut level) = (self.root, self.levels.count());
        loop {
            level -= 1;
            let place = index(piece.virt, level);
            let entry = image.frames_mut().words(table)[place];
            if entry & PRESENT == 0 && self.fits(piece, level) {
                let large = if level > 0 { LARGE } else { 0 };
                image.frames_mut().words(table)[place] = piece.phys | PAGE | large;
                return Ok(span(level));
            }
            if entry & PRESENT != 0 && is_page(entry, level) {
                return piece.beyond(entry, level);
            }
            table = match Pfn::starting_at(entry & ADDRESS) {
                Some(next) if entry & PRESENT != 0 => next,
                _ => {
                    let next = new_table(image, self.zone)?;
                    image.frames_mut().words(table)[place] = next.address().get() | TABLE;
                    next
                }
            };
        }
    }

    /// Whether a page of this level may be mapped at the start of the piece.
    fn fits(&self, piece: Piece, level: u32) -> bool {
        let exists = level <= 1 || (level == 2 && self.gigabyte_pages);
        exists && (piece.virt | piece.phys).is_multiple_of(span(level)) && piece.bytes >= span(level)
    }
}

/// The rest of a range to map.
#[derive(Clone, Copy)]
struct Piece {
    virt: u64,
    phys: u64,
    bytes: u64,
}

impl Piece {
    /// The bytes of the piece that an existing page covers, if it maps them as wanted.
    fn beyond(self, entry: u64, level: u32) -> Result<u64, Error> {
        let within = self.virt & (span(level) - 1);
        let phys = (entry & ADDRESS & !(span(level) - 1)) | within;
        if phys == self.phys {
            Ok(span(level) - within)
        } else {
            Err(Error::MappedElsewhere { virt: self.virt, phys, wanted: self.phys })
        }
    }
}

fn new_table<F: Frames>(image: &mut Image<impl AsRef<[Segment]>, F>, zone: Zone) -> Result<Pfn, Error> {
    let table = image.support(0, zone)?;
    image.frames_mut().words(table).fill(0);
    Ok(table)
}

/// Whether a present entry maps a page; the lowest level is 0.
#[inline]
const fn is_page(entry: u64, level: u32) -> bool {
    level == 0 || entry & LARGE != 0
}

/// Bytes that an entry of this level covers.
#[inline]
const fn span(level: u32) -> u64 {
    1 << (PAGE_SHIFT + LEVEL_BITS * level)
}

/// The place of an address in a table of this level.
#[inline]
const fn index(virt: u64, level: u32) -> usize {
    place(virt >> (PAGE_SHIFT + LEVEL_BITS * level))
}
