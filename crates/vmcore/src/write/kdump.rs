use std::sync::atomic::{AtomicU64, Ordering};

use super::pages::{self, UNIT, Unit};
use super::{Progress, Settings, Written, crew, put};
use crate::codec::{Codec, Encoder};
use crate::field::Fields;
use crate::kdump::{BLOCK, DESCRIPTOR, INCOMPLETE, MAGIC, UTSNAME, VERSION, header, sub_header};
use crate::paging::AddressSpace;
use crate::{Error, FrameSet, Image, Result, Vmcoreinfo, WriteAt, notes};

/// Where everything is that has a fixed place, in bytes of the file.
struct Layout {
    max_mapnr: u64,
    sub_blocks: u64,
    /// Blocks of one bitmap.
    bitmap_blocks: u64,
    bitmaps: u64,
    descriptors: u64,
    /// A page of zeros that all such pages share.
    zero_page: u64,
    data: u64,
}

impl Layout {
    fn new(image: &Image<'_>, kept: &FrameSet) -> Result<Self> {
        let block = BLOCK as u64;
        let max_mapnr = image.ram().end().max(kept.end());
        let sub_blocks = (sub_header::SIZE as u64 + image.notes().len() as u64).div_ceil(block);
        let bitmap_blocks = max_mapnr.div_ceil(8).div_ceil(block);
        // Both together are a 32-bit number in the header.
        let most = u64::from(u32::MAX) / 2;
        if bitmap_blocks > most {
            return Err(Error::TooLarge {
                what: "the size of a bitmap in blocks",
                value: bitmap_blocks,
                most,
            });
        }
        let bitmaps = (1 + sub_blocks) * block;
        let descriptors = bitmaps + 2 * bitmap_blocks * block;
        let zero_page = (descriptors + kept.count() * DESCRIPTOR as u64).next_multiple_of(block);
        let data = zero_page + block;
        Ok(Self { max_mapnr, sub_blocks, bitmap_blocks, bitmaps, descriptors, zero_page, data })
    }
}

/// Writes the kept pages of an image as a kdump-compressed dump of version 6.
///
/// The dump says that it is incomplete until the last page is written, and for good if pages were missing.
///
/// # Errors
/// The destination cannot be written, or the image is too large for the format. Pages that cannot be read are no error:
/// [`Written::missing`] counts them.
pub fn write_kdump(
    image: &Image<'_>,
    kept: &FrameSet,
    settings: &Settings,
    out: &impl WriteAt,
    progress: &Progress,
) -> Result<Written> {
    let layout = Layout::new(image, kept)?;
    let info = image.vmcoreinfo().unwrap_or_default();
    let header = header(image, &info, &layout, settings);
    put(out, 0, &header(INCOMPLETE))?;
    put(out, BLOCK as u64, &sub_header(image, &info, &layout, settings))?;
    write_bitmaps(image, kept, &layout, out)?;
    put(out, layout.zero_page, &[0; BLOCK])?;
    let end = AtomicU64::new(layout.data);
    let hand = || Hand::new(settings);
    let work = |hand: &mut Hand, unit: &Unit| hand.work(image, unit, &layout, &end, out);
    let hands = crew::share(kept, settings.threads, progress, hand, work)?;
    let mut written = Written::default();
    hands.into_iter().for_each(|hand| written.add(hand.written));
    written.length = end.into_inner();
    if written.missing == 0 && !progress.is_stopped() {
        put(out, 0, &header(0))?;
    }
    Ok(written)
}

/// What one thread has for itself.
struct Hand {
    encoder: Encoder,
    most: usize,
    spare_zeros: bool,
    pages: Vec<u8>,
    data: Vec<u8>,
    descriptors: Vec<u8>,
    written: Written,
}

impl Hand {
    fn new(settings: &Settings) -> Self {
        let mut encoder = Encoder::new(settings.effort);
        let most = encoder.most(BLOCK);
        Self {
            encoder,
            most,
            spare_zeros: settings.level.zero_pages(),
            pages: vec![0; UNIT * BLOCK],
            data: vec![0; (UNIT - 1) * BLOCK + most],
            descriptors: Vec::with_capacity(UNIT * DESCRIPTOR),
            written: Written::default(),
        }
    }

    fn work(
        &mut self,
        image: &Image<'_>,
        unit: &Unit,
        layout: &Layout,
        end: &AtomicU64,
        out: &impl WriteAt,
    ) -> Result<()> {
        let missing = self.read(image, unit);
        let size = self.compress(unit, &missing, layout);
        let data = end.fetch_add(size as u64, Ordering::Relaxed);
        self.place(data);
        put(out, data, &self.data[..size])?;
        put(out, layout.descriptors + unit.rank * DESCRIPTOR as u64, &self.descriptors)
    }

    /// Answers with the indices of the pages that could not be read.
    fn read(&mut self, image: &Image<'_>, unit: &Unit) -> Vec<usize> {
        let mut missing = Vec::new();
        pages::read(image, &unit.pages, &mut self.pages, |index, error| {
            missing.push(index);
            self.written.trouble.get_or_insert_with(|| error.to_string());
        });
        self.written.missing += missing.len() as u64;
        missing
    }

    /// Makes data and descriptors, with offsets that start at [`RELATIVE`]; answers with the size of the data.
    fn compress(&mut self, unit: &Unit, missing: &[usize], layout: &Layout) -> usize {
        self.descriptors.clear();
        let mut size = 0;
        for index in 0..unit.pages.len() {
            let page = &self.pages[index * BLOCK..(index + 1) * BLOCK];
            let (offset, length, codec) = if missing.contains(&index) {
                (0, 0, Codec::Raw)
            } else if self.spare_zeros && pages::is_zero(page) {
                self.written.zero_pages += 1;
                (layout.zero_page, BLOCK, Codec::Raw)
            } else {
                let (codec, length) = self.encoder.encode(page, &mut self.data[size..size + self.most]);
                *self.written.stored.entry(codec).or_default() += 1;
                size += length;
                (RELATIVE | (size - length) as u64, length, codec)
            };
            self.descriptors.extend(offset.to_le_bytes());
            self.descriptors.extend(u32::try_from(length).unwrap_or(0).to_le_bytes());
            self.descriptors.extend(codec.flag().to_le_bytes());
            self.descriptors.extend([0; 8]);
        }
        size
    }

    /// Turns offsets within the unit's data into offsets in the file.
    fn place(&mut self, data: u64) {
        for descriptor in self.descriptors.chunks_exact_mut(DESCRIPTOR) {
            let offset = crate::field::u64_at(descriptor, 0);
            if offset & RELATIVE != 0 {
                descriptor[..8].copy_from_slice(&((offset & !RELATIVE) + data).to_le_bytes());
            }
        }
    }
}

/// Marks an offset that counts from the start of the unit's data. No file is so long.
const RELATIVE: u64 = 1 << 63;

/// The header block, for a given status.
fn header(
    image: &Image<'_>,
    info: &Vmcoreinfo,
    layout: &Layout,
    settings: &Settings,
) -> impl Fn(u32) -> Vec<u8> {
    let mut fields = Fields::zeroed(BLOCK);
    fields.put(0, &MAGIC);
    fields.put_u32(header::VERSION, VERSION);
    fields.put(header::UTSNAME, &utsname(image, info));
    let time = info.text("CRASHTIME").and_then(|seconds| seconds.parse().ok());
    fields.put_u64(header::SECONDS, time.or(image.header().map(|header| header.seconds)).unwrap_or(0));
    fields.put_u32(header::BLOCK_SIZE, u32::try_from(BLOCK).unwrap_or(0));
    fields.put_u32(header::SUB_HEADER_BLOCKS, saturated(layout.sub_blocks));
    fields.put_u32(header::BITMAP_BLOCKS, saturated(2 * layout.bitmap_blocks));
    fields.put_u32(header::MAX_MAPNR, saturated(layout.max_mapnr));
    // Readers want at least one CPU.
    fields.put_u32(header::CPUS, notes::cpus(image.notes()).max(1));
    let codec = settings.effort.codec.flag();
    move |status| {
        let mut block = Fields(fields.0.clone());
        block.put_u32(header::STATUS, status | codec);
        block.0
    }
}

fn saturated(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// The kernel's own `struct utsname` if it can be found, else what is known of it.
fn utsname(image: &Image<'_>, info: &Vmcoreinfo) -> Vec<u8> {
    let from_memory = || -> Result<Vec<u8>> {
        let address = info.symbol("init_uts_ns")?.wrapping_add(info.offset("uts_namespace.name")? as u64);
        let mut names = vec![0; UTSNAME];
        AddressSpace::of_kernel(info)?.read(image, address, &mut names)?;
        Ok(names)
    };
    let old = || image.header().map(|header| header.utsname.clone());
    from_memory()
        .ok()
        .filter(|names| names.starts_with(b"Linux\0"))
        .or_else(old)
        .unwrap_or_else(|| known_names(info))
}

fn known_names(info: &Vmcoreinfo) -> Vec<u8> {
    const NAME: usize = UTSNAME / 6;
    let mut names = Fields::zeroed(UTSNAME);
    names.put(0, b"Linux");
    let release = info.text("OSRELEASE").unwrap_or_default().as_bytes();
    names.put(2 * NAME, &release[..release.len().min(NAME - 1)]);
    names.put(4 * NAME, b"x86_64");
    names.0
}

/// The sub-header and the notes behind it.
fn sub_header(image: &Image<'_>, info: &Vmcoreinfo, layout: &Layout, settings: &Settings) -> Vec<u8> {
    let all = image.notes();
    let at = (BLOCK + sub_header::SIZE) as u64;
    let mut fields = Fields::zeroed(usize::try_from(layout.sub_blocks).unwrap_or(0) * BLOCK);
    let phys_base = info.number("phys_base").ok().map(i64::cast_unsigned);
    let phys_base = phys_base.or(image.header().map(|header| header.phys_base)).unwrap_or(0);
    fields.put_u64(sub_header::PHYS_BASE, phys_base);
    fields.put_u32(sub_header::DUMP_LEVEL, settings.level.number().into());
    if let Some(note) = notes::vmcoreinfo(all) {
        fields.put_u64(sub_header::VMCOREINFO, at + note.offset as u64);
        fields.put_u64(sub_header::VMCOREINFO + 8, note.contents.len() as u64);
    }
    fields.put_u64(sub_header::NOTES, at);
    fields.put_u64(sub_header::NOTES + 8, all.len() as u64);
    fields.put_u64(sub_header::MAX_MAPNR_64, layout.max_mapnr);
    fields.put(sub_header::SIZE, all);
    fields.0
}

/// Only blocks with a page are written; a chunk of frames is one block.
fn write_bitmaps(image: &Image<'_>, kept: &FrameSet, layout: &Layout, out: &impl WriteAt) -> Result<()> {
    let block = BLOCK as u64;
    for (number, chunk) in image.ram().chunks() {
        put(out, layout.bitmaps + number * block, &chunk.to_bytes())?;
    }
    for (number, chunk) in kept.chunks().filter(|(_, chunk)| !chunk.is_empty()) {
        put(out, layout.bitmaps + (layout.bitmap_blocks + number) * block, &chunk.to_bytes())?;
    }
    Ok(())
}
