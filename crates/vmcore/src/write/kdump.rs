use std::sync::atomic::{AtomicU64, Ordering};

use phys::Pfn;

use super::pace::{Pace, Price, Times};
use super::pages::{self, UNIT, Unit, Units};
use super::{Compression, Pages, Progress, Settings, Written, crew, put};
use crate::codec::{Codec, Effort, Encoder};
use crate::format::field::Fields;
use crate::format::manifest::{self, ENTRY, Manifest, add_block, descriptor_sum, zero_page_at};
use crate::frames::Ranks;
use crate::kernel::paging::AddressSpace;
use crate::read::kdump::{
    BLOCK, DESCRIPTOR, INCOMPLETE, MAGIC, MANIFEST_MAGIC, UTSNAME, VERSION, header, sub_header,
};
use crate::{Error, FrameSet, Image, Result, Vmcoreinfo, WriteAt, notes};

/// Where everything is that has a fixed place, in bytes of the file.
struct Layout {
    max_mapnr: u64,
    sub_blocks: u64,
    /// Blocks of one bitmap.
    bitmap_blocks: u64,
    bitmaps: u64,
    descriptors: u64,
    /// The table of checksums, and how many units of pages have their first entry there.
    table: u64,
    units: u64,
    /// A page of zeros that all such pages share.
    zero_page: u64,
    data: u64,
}

impl Layout {
    fn new(image: &Image<'_>, kept: &FrameSet, units: u64) -> Result<Self> {
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
        let table = descriptors + kept.count() * DESCRIPTOR as u64;
        let zero_page = zero_page_at(table, units);
        let data = zero_page + block;
        Ok(Self { max_mapnr, sub_blocks, bitmap_blocks, bitmaps, descriptors, table, units, zero_page, data })
    }
}

/// Writes the kept pages of an image as a kdump-compressed dump of version 6.
///
/// The dump says that it is incomplete until the last page is written, and for good if pages were missing, here or in the source.
///
/// # Errors
/// The destination cannot be written, or the image is too large for the format. Pages that cannot be read are no error:
/// [`Written::missing`] counts them.
pub fn write_kdump(
    image: &Image<'_>,
    pages: &Pages<'_>,
    settings: &Settings,
    out: &impl WriteAt,
    progress: &Progress,
) -> Result<Written> {
    let sets = pages.in_order();
    let layout = Layout::new(image, pages.kept, Units::count(&sets))?;
    let info = image.vmcoreinfo().unwrap_or_default();
    let head = Head { image, info: &info, layout: &layout, pages, settings };
    let header = head.header();
    // A stream that is cut short is known by that it has no end.
    if !out.is_stream() {
        put(out, 0, &header(INCOMPLETE, None))?;
    }
    put(out, BLOCK as u64, &head.sub_header())?;
    write_bitmaps(image, pages.bitmap(), &layout, out)?;
    put(out, layout.zero_page, &[0; BLOCK])?;
    let common = Common {
        kept: pages.kept,
        ranks: Ranks::of(pages.kept),
        layout: &layout,
        end: AtomicU64::new(layout.data),
        effort: match settings.compression {
            Compression::Alike(effort) => Following::One(effort),
            Compression::AsItPays(clock) => Following::Pace(Box::new(Pace::new(clock))),
        },
        out,
    };
    let hand = || Hand::new(settings, common.effort.now());
    let work = |hand: &mut Hand, unit: &Unit| hand.work(image, unit, &common);
    let hands = crew::share(&sets, settings.threads, progress, hand, work)?;
    let (mut written, mut descriptors) = (Written::default(), 0_u64);
    for hand in hands {
        written.add(hand.written);
        descriptors = descriptors.wrapping_add(hand.descriptor_sum);
    }
    let data_end = common.end.into_inner();
    written.length = data_end;
    // A dump that somebody stopped has no end.
    if progress.is_stopped() {
        return Ok(written);
    }
    let status = if written.missing > 0 || settings.incomplete { INCOMPLETE } else { 0 };
    written.length = head.seal(status, &written, descriptors, data_end, out)?;
    Ok(written)
}

/// What all threads share.
struct Common<'a, W> {
    kept: &'a FrameSet,
    ranks: Ranks,
    layout: &'a Layout,
    /// Where the next data goes.
    end: AtomicU64,
    effort: Following,
    out: &'a W,
}

/// How all threads know how hard to compress.
enum Following {
    One(Effort),
    Pace(Box<Pace>),
}

impl Following {
    fn now(&self) -> Effort {
        match self {
            Self::One(effort) => *effort,
            Self::Pace(pace) => pace.effort(),
        }
    }
}

/// One page in so many is compressed to see what compressing takes.
const SAMPLED: usize = 8;

/// What one thread has for itself.
struct Hand {
    encoder: Encoder,
    most: usize,
    spare_zeros: bool,
    pages: Vec<u8>,
    data: Vec<u8>,
    descriptors: Vec<u8>,
    /// The checksum of all descriptors that it has written.
    descriptor_sum: u64,
    written: Written,
}

impl Hand {
    fn new(settings: &Settings, effort: Effort) -> Self {
        let mut encoder = Encoder::new(effort);
        let most = encoder.most(BLOCK);
        Self {
            encoder,
            most,
            spare_zeros: settings.level.zero_pages(),
            pages: vec![0; UNIT * BLOCK],
            data: vec![0; (UNIT - 1) * BLOCK + most],
            descriptors: Vec::with_capacity(UNIT * DESCRIPTOR),
            descriptor_sum: 0,
            written: Written::default(),
        }
    }

    fn work(&mut self, image: &Image<'_>, unit: &Unit, common: &Common<'_, impl WriteAt>) -> Result<()> {
        let Following::Pace(pace) = &common.effort else {
            let missing = self.read(image, unit);
            let size = self.compress(unit, &missing, common.layout);
            return self.write(unit, size, common);
        };
        let mut start = pace.now();
        let missing = self.read(image, unit);
        let reading = pace.lap(&mut start);
        self.try_others(pace, unit);
        self.encoder.set_effort(pace.effort());
        start = pace.now();
        let size = self.compress(unit, &missing, common.layout);
        let compressing = pace.lap(&mut start);
        self.write(unit, size, common)?;
        pace.remember(size as u64, Times { reading, compressing, writing: pace.lap(&mut start) });
        Ok(())
    }

    /// Compresses some of the pages as usual, harder and less hard, if it is time for that.
    fn try_others(&mut self, pace: &Pace, unit: &Unit) {
        let Some(trial) = pace.trial(unit.number) else { return };
        let mut is_undisturbed = true;
        let prices = trial.efforts().map(|effort| {
            let price = self.price(pace, effort?, unit.pages.len());
            is_undisturbed &= price.is_some();
            price
        });
        if is_undisturbed {
            pace.judge(trial, prices);
        }
    }

    /// What some of the first so many pages cost by this effort; they are not kept. A page that took longer than all others
    /// together was interrupted, and nothing is known then.
    fn price(&mut self, pace: &Pace, effort: Effort, count: usize) -> Option<Price> {
        self.encoder.set_effort(effort);
        let (mut start, mut longest, mut price) = (pace.now(), 0, Price::default());
        for page in self.pages[..count * BLOCK].chunks_exact(BLOCK).step_by(SAMPLED) {
            if !(self.spare_zeros && pages::is_zero(page)) {
                price.size += self.encoder.encode(page, &mut self.data).1 as u64;
            }
            let took = pace.lap(&mut start);
            longest = longest.max(took);
            price.compressing += took;
        }
        (longest <= price.compressing - longest).then_some(price)
    }

    fn write(&mut self, unit: &Unit, size: usize, common: &Common<'_, impl WriteAt>) -> Result<()> {
        let data = common.end.fetch_add(size as u64, Ordering::Relaxed);
        self.place(data);
        let data_here = &self.data[..size];
        if size > 0 {
            put(common.out, data, data_here)?;
        }
        let entry = manifest::entry(data, data_here, unit.pages.len());
        put(common.out, common.layout.table + unit.number * ENTRY as u64, &entry)?;
        self.describe(unit, common)
    }

    /// Writes descriptors, run by run of those that are neighbours in the file.
    fn describe(&mut self, unit: &Unit, common: &Common<'_, impl WriteAt>) -> Result<()> {
        let mut done = 0;
        while let Some(number) = unit.pages.get(done) {
            let rank = |index: usize| common.ranks.rank(common.kept, Pfn::new(*unit.pages.get(index)?)?);
            let first = rank(done).ok_or(Error::Absent { pfn: *number })?;
            let count = run(&unit.pages[done..], |index| rank(done + index), first);
            let descriptors = &self.descriptors[done * DESCRIPTOR..(done + count) * DESCRIPTOR];
            self.descriptor_sum = self.descriptor_sum.wrapping_add(descriptor_sum(first, descriptors));
            put(common.out, common.layout.descriptors + first * DESCRIPTOR as u64, descriptors)?;
            done += count;
        }
        Ok(())
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
            let offset = crate::format::field::u64_at(descriptor, 0);
            if offset & RELATIVE != 0 {
                descriptor[..8].copy_from_slice(&((offset & !RELATIVE) + data).to_le_bytes());
            }
        }
    }
}

/// How many pages, from the first on, have descriptors in a row. Neighbours in memory do, since both are kept.
fn run(pages: &[u64], rank: impl Fn(usize) -> Option<u64>, first: u64) -> usize {
    let mut count = 1;
    while let Some(page) = pages.get(count) {
        let follows = *page == pages[count - 1] + 1 || rank(count) == Some(first + count as u64);
        if !follows {
            break;
        }
        count += 1;
    }
    count
}

/// Marks an offset that counts from the start of the unit's data. No file is so long.
const RELATIVE: u64 = 1 << 63;

/// What stands before the descriptors.
struct Head<'a> {
    image: &'a Image<'a>,
    info: &'a Vmcoreinfo,
    layout: &'a Layout,
    pages: &'a Pages<'a>,
    settings: &'a Settings,
}

impl Head<'_> {
    /// The header block, for a given status, and place and size of the manifest.
    fn header(&self) -> impl Fn(u32, Option<(u64, u64)>) -> Vec<u8> + use<> {
        let (image, layout) = (self.image, self.layout);
        let mut fields = Fields::zeroed(BLOCK);
        fields.put(0, &MAGIC);
        fields.put_u32(header::VERSION, VERSION);
        fields.put(header::UTSNAME, &utsname(image, self.info));
        let time = self.info.text("CRASHTIME").and_then(|seconds| seconds.parse().ok());
        fields.put_u64(header::SECONDS, time.or(image.header().map(|header| header.seconds)).unwrap_or(0));
        fields.put_u32(header::BLOCK_SIZE, u32::try_from(BLOCK).unwrap_or(0));
        fields.put_u32(header::SUB_HEADER_BLOCKS, saturated(layout.sub_blocks));
        fields.put_u32(header::BITMAP_BLOCKS, saturated(2 * layout.bitmap_blocks));
        fields.put_u32(header::MAX_MAPNR, saturated(layout.max_mapnr));
        // Readers want at least one CPU.
        fields.put_u32(header::CPUS, notes::cpus(image.notes()).max(1));
        let codec = self.settings.compression.codec().flag();
        move |status, manifest| {
            let mut block = Fields(fields.0.clone());
            block.put_u32(header::STATUS, status | codec);
            if let Some((offset, size)) = manifest {
                block.put(header::MANIFEST, &MANIFEST_MAGIC);
                block.put_u64(header::MANIFEST + 8, offset);
                block.put_u64(header::MANIFEST + 16, size);
            }
            block.0
        }
    }

    /// The sub-header and the notes behind it.
    fn sub_header(&self) -> Vec<u8> {
        let (image, layout) = (self.image, self.layout);
        let all = image.notes();
        let at = (BLOCK + sub_header::SIZE) as u64;
        let mut fields = Fields::zeroed(usize::try_from(layout.sub_blocks).unwrap_or(0) * BLOCK);
        let phys_base = self.info.number("phys_base").ok().map(i64::cast_unsigned);
        let phys_base = phys_base.or(image.header().map(|header| header.phys_base)).unwrap_or(0);
        fields.put_u64(sub_header::PHYS_BASE, phys_base);
        fields.put_u32(sub_header::DUMP_LEVEL, self.settings.level.number().into());
        if let Some((from, to, _)) = self.pages.part {
            fields.put_u32(sub_header::SPLIT, 1);
            for (at, frame) in [
                (sub_header::START_PFN, from),
                (sub_header::END_PFN, to),
                (sub_header::START_PFN_64, from),
                (sub_header::END_PFN_64, to),
            ] {
                fields.put_u64(at, frame);
            }
        }
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

    /// Writes the manifest and the final header; answers with the length of the file.
    fn seal(
        &self,
        status: u32,
        written: &Written,
        descriptors: u64,
        end: u64,
        out: &impl WriteAt,
    ) -> Result<u64> {
        let layout = self.layout;
        let mut statistics = self.pages.statistics.clone();
        statistics.insert("zero_pages".to_owned(), written.zero_pages);
        statistics.insert("missing_pages".to_owned(), written.missing);
        for (codec, count) in &written.stored {
            statistics.insert(format!("stored_{}", codec.name()), *count);
        }
        let mut manifest =
            Manifest { table: layout.table, entries: layout.units, descriptors, head: 0, statistics };
        // The length of the text does not depend on the checksum, but the header does on the length.
        let header = self.header()(status, Some((end, manifest.text().len() as u64)));
        manifest.head = self.head_sum(&header);
        let text = manifest.text();
        put(out, end, text.as_bytes())?;
        put(out, 0, &header)?;
        Ok(end + text.len() as u64)
    }

    /// The checksum of all blocks before the descriptors.
    fn head_sum(&self, header: &[u8]) -> u64 {
        let mut seed = add_block(0, header);
        for block in self.sub_header().chunks(BLOCK) {
            seed = add_block(seed, block);
        }
        for set in [self.image.ram(), self.pages.bitmap()] {
            let mut chunks = set.chunks().peekable();
            for number in 0..self.layout.bitmap_blocks {
                // Most of a large memory's blocks have no frame.
                seed = match chunks.next_if(|(found, _)| *found == number) {
                    Some((_, chunk)) => add_block(seed, &chunk.to_bytes()),
                    None => add_block(seed, &[0; BLOCK]),
                };
            }
        }
        add_block(seed, &[0; BLOCK])
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
