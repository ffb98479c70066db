//! One thread that compresses and writes units of pages.

use std::sync::atomic::{AtomicU64, Ordering};

use phys::Pfn;

use super::layout::DumpLayout;
use crate::codec::{Codec, Effort, Encoder};
use crate::format::field;
use crate::format::kdump::{BLOCK, descriptor};
use crate::format::manifest::{self, descriptor_sum, entry_layout};
use crate::frames::Ranks;
use crate::write::pace::{Pace, Price, Times};
use crate::write::pages::{self, UNIT, Unit};
use crate::write::{Settings, Written, put};
use crate::{DumpSource, Error, FrameSet, Result, WriteAt};

/// The state that all threads share.
pub(super) struct Shared<'a, W> {
    pub(super) kept: &'a FrameSet,
    pub(super) ranks: Ranks,
    pub(super) layout: &'a DumpLayout,
    /// Offset of the next data.
    pub(super) end: AtomicU64,
    pub(super) effort: Following,
    pub(super) out: &'a W,
}

/// The effort of all threads.
pub(super) enum Following {
    One(Effort),
    Pace(Box<Pace>),
}

impl Following {
    pub(super) fn now(&self) -> Effort {
        match self {
            Self::One(effort) => *effort,
            Self::Pace(pace) => pace.effort(),
        }
    }
}

/// One page in this many is compressed in a trial.
const SAMPLED: usize = 8;

/// The state of one thread.
pub(super) struct Worker {
    encoder: Encoder,
    most: usize,
    spare_zeros: bool,
    pages: Vec<u8>,
    data: Vec<u8>,
    descriptors: Vec<u8>,
    /// The checksum of all descriptors it has written.
    pub(super) descriptor_sum: u64,
    pub(super) written: Written,
}

impl Worker {
    pub(super) fn new(settings: &Settings, effort: Effort) -> Self {
        let mut encoder = Encoder::new(effort);
        let most = encoder.most(BLOCK);
        let (pages, mut data) = (vec![0; UNIT * BLOCK], vec![0; (UNIT - 1) * BLOCK + most]);
        // Codecs allocate their tables on first use, when other threads may have taken the memory.
        encoder.encode(&pages[..BLOCK], &mut data);
        Self {
            encoder,
            most,
            spare_zeros: settings.level.zero_pages(),
            pages,
            data,
            descriptors: Vec::with_capacity(UNIT * descriptor::SIZE),
            descriptor_sum: 0,
            written: Written::default(),
        }
    }

    pub(super) fn work(
        &mut self,
        image: &dyn DumpSource,
        unit: &Unit,
        shared: &Shared<'_, impl WriteAt>,
    ) -> Result<()> {
        let Following::Pace(pace) = &shared.effort else {
            let missing = self.read(image, unit);
            let size = self.compress(unit, &missing, shared.layout);
            return self.write(unit, size, shared);
        };
        let mut start = pace.now();
        let missing = self.read(image, unit);
        let reading = pace.lap(&mut start);
        self.try_others(pace, unit);
        self.encoder.set_effort(pace.effort());
        start = pace.now();
        let size = self.compress(unit, &missing, shared.layout);
        let compressing = pace.lap(&mut start);
        self.write(unit, size, shared)?;
        pace.remember(size as u64, Times { reading, compressing, writing: pace.lap(&mut start) });
        Ok(())
    }

    /// If a trial is due, compresses some of the pages by the current effort and its neighbours.
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

    /// Measures this effort on some of the first `count` pages and discards the result. `None` if
    /// one page took longer than all others together: the thread was interrupted.
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

    fn write(&mut self, unit: &Unit, size: usize, shared: &Shared<'_, impl WriteAt>) -> Result<()> {
        let data = shared.end.fetch_add(size as u64, Ordering::Relaxed);
        self.place(data);
        let data_here = &self.data[..size];
        if size > 0 {
            put(shared.out, data, data_here)?;
        }
        let entry = manifest::entry(data, data_here, unit.pages.len());
        put(shared.out, shared.layout.table + unit.number * entry_layout::SIZE as u64, &entry)?;
        self.describe(unit, shared)
    }

    /// Writes the descriptors, in runs that are contiguous in the file.
    fn describe(&mut self, unit: &Unit, shared: &Shared<'_, impl WriteAt>) -> Result<()> {
        let mut done = 0;
        while let Some(number) = unit.pages.get(done) {
            let rank = |index: usize| shared.ranks.rank(shared.kept, Pfn::new(*unit.pages.get(index)?)?);
            let first = rank(done).ok_or(Error::Absent { pfn: *number })?;
            let count = run(&unit.pages[done..], |index| rank(done + index), first);
            let descriptors = &self.descriptors[done * descriptor::SIZE..(done + count) * descriptor::SIZE];
            self.descriptor_sum = self.descriptor_sum.wrapping_add(descriptor_sum(first, descriptors));
            put(shared.out, shared.layout.descriptors + first * descriptor::SIZE as u64, descriptors)?;
            done += count;
        }
        Ok(())
    }

    /// Reads the unit; returns the indices of pages that could not be read.
    fn read(&mut self, image: &dyn DumpSource, unit: &Unit) -> Vec<usize> {
        let mut missing = Vec::new();
        pages::read(image, &unit.pages, &mut self.pages, |index, error| {
            missing.push(index);
            self.written.trouble.get_or_insert_with(|| error.whole());
        });
        self.written.missing += missing.len() as u64;
        missing
    }

    /// Makes data and descriptors, whose offsets are marked as [`RELATIVE`]; returns the size of
    /// the data.
    fn compress(&mut self, unit: &Unit, missing: &[usize], layout: &DumpLayout) -> usize {
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
            let mut descriptor = [0; descriptor::SIZE];
            field::put(&mut descriptor, descriptor::OFFSET, offset);
            field::put(&mut descriptor, descriptor::DATA_SIZE, u32::try_from(length).unwrap_or(0));
            field::put(&mut descriptor, descriptor::FLAGS, codec.flag());
            self.descriptors.extend(descriptor);
        }
        size
    }

    /// Turns offsets within the unit's data into offsets in the file.
    fn place(&mut self, data: u64) {
        for descriptor in self.descriptors.chunks_exact_mut(descriptor::SIZE) {
            let offset = field::get(descriptor, descriptor::OFFSET);
            if offset & RELATIVE != 0 {
                field::put(descriptor, descriptor::OFFSET, (offset & !RELATIVE) + data);
            }
        }
    }
}

/// The number of pages, from the first, whose descriptors are contiguous. Those of consecutive
/// pages are, since both are kept.
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

/// Marks an offset that is relative to the start of the unit's data. No file is that long.
const RELATIVE: u64 = 1 << 63;
