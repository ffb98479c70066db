//! The pass over all page structures, by many threads.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use phys::{PAGE_SIZE, Pfn};

use super::classify::{Exclusion, Need, Verdict};
use super::image::Image;
use super::mapped;
use super::{Level, PageLayout, Selection, VitalPages, WriteOrder};
use crate::format::field::u64_at;
use crate::frames::{CHUNK, Chunk};
use crate::kernel::learned::Learned;
use crate::kernel::paging::AddressSpace;
use crate::{CHUNK_FRAMES, Error, FrameSet, PhysRead, Result, Vmcoreinfo, threads};

/// Number of page structures per read.
const BATCH: usize = 1024;

pub(super) struct Survey<'a, M> {
    memory: &'a M,
    space: AddressSpace,
    layout: PageLayout,
    level: Level,
    order: WriteOrder,
    image: Image,
    /// The kernel's page tables, and what they map.
    mapped: FrameSet,
    /// The flag of pages that were allocated before they had a structure; 0 if unknown.
    early: u64,
}

/// The findings of one thread.
#[derive(Default)]
pub(super) struct Findings {
    pub(super) excluded: BTreeMap<Exclusion, u64>,
    pub(super) unknown: u64,
    pub(super) trouble: Option<Error>,
    /// Excluded pages beyond the chunk of their first one: those of 1 GiB.
    pub(super) beyond: Vec<(Exclusion, u64, u64)>,
    /// As in [`Selection::vital`].
    pub(super) vital: VitalPages,
    /// Up to this frame, pages belong to an earlier compound page, whose need is known.
    ordered_to: u64,
    /// The current run of frames with the same need.
    run: Option<(Need, u64, u64)>,
}

impl<'a, M: PhysRead> Survey<'a, M> {
    /// `keys` receives the keys that VMCOREINFO lacked.
    pub(super) fn new(
        memory: &'a M,
        info: Vmcoreinfo,
        (level, order): (Level, WriteOrder),
        end: u64,
        keys: &mut Vec<String>,
    ) -> Result<Self> {
        let space = AddressSpace::of_kernel(&info)?;
        let (image, mapped) = match order {
            WriteOrder::ByNeed => {
                let end = end.saturating_mul(PAGE_SIZE);
                let mapped = mapped::frames(memory, &space, end);
                (Image::new(memory, &space, &info, &mapped), mapped)
            }
            WriteOrder::ByAddress => Default::default(),
        };
        let layout = match PageLayout::new(&info, &space, memory) {
            Err(Error::NoKey { key }) => {
                let learned = Learned::new(memory, &space, info);
                let learned =
                    learned.map_err(|source| Error::NotLearned { key, source: Box::new(source) })?;
                let layout = PageLayout::new(&learned.info, &space, memory)?;
                *keys = learned.keys;
                layout
            }
            layout => layout?,
        };
        let mut survey = Self { memory, space, layout, level, order, image, mapped, early: 0 };
        survey.early = survey.early_flag();
        Ok(survey)
    }

    /// The flag that most pages of the kernel's code have (`PG_reserved`, whose number differs and
    /// is not in VMCOREINFO). Memory at the end of the code may have been freed.
    fn early_flag(&self) -> u64 {
        /// Flags are below the numbers of zone and node.
        const FLAGS: u32 = 24;
        const SAMPLES: usize = 64;
        let code = &self.image.code;
        let step = usize::try_from(code.count()).unwrap_or(usize::MAX) / SAMPLES + 1;
        let flags: Vec<u64> = code.iter().step_by(step).filter_map(|frame| self.flags_of(frame)).collect();
        let is_usual =
            |bit: &u32| flags.iter().filter(|flags| *flags >> bit & 1 == 1).count() * 4 > flags.len() * 3;
        let mut usual = (0..FLAGS).filter(is_usual);
        match (usual.next(), usual.next()) {
            (Some(bit), None) => 1 << bit,
            _ => 0,
        }
    }

    fn flags_of(&self, frame: Pfn) -> Option<u64> {
        let at = self.layout.structure_of(frame.number(), &self.space, self.memory).ok()??;
        let mut structure = vec![0; self.layout.size];
        self.space.read(self.memory, at, &mut structure).ok()?;
        Some(u64_at(&structure, self.layout.flags))
    }

    pub(super) fn exclude(&self, selection: &mut Selection, threads: usize) {
        let findings = self.findings(&mut selection.kept, threads);
        findings.into_iter().for_each(|findings| selection.add(findings));
        let vital = &mut selection.vital;
        let Image { data, code, called, tables } = &self.image;
        for set in [&mut vital.own, &mut vital.early] {
            *set = set.without(&vital.structures).without(code).without(tables);
        }
        vital.mapped = self.mapped.without(&vital.structures).without(code).without(tables);
        vital.data.unite(data.clone());
        vital.code.unite(code.clone());
        vital.called.unite(called.clone());
        vital.tables.unite(tables.clone());
    }

    fn findings(&self, kept: &mut FrameSet, number: usize) -> Vec<Findings> {
        let chunks = Mutex::new(kept.chunks_mut());
        let next = || chunks.lock().unwrap_or_else(PoisonError::into_inner).next();
        let work = |mut findings: Findings| {
            let mut structures = Vec::new();
            while let Some((number, chunk)) = next() {
                self.exclude_in(number, chunk, &mut structures, &mut findings);
            }
            findings.end_run();
            findings
        };
        threads::run(number, Findings::default, work)
    }

    /// Classifies all frames of a chunk, in batches that share a section of the memory model.
    fn exclude_in(&self, number: u64, chunk: &mut Chunk, structures: &mut Vec<u8>, findings: &mut Findings) {
        chunk.expand();
        let mut from = 0;
        while let Some(start) = chunk.next(from) {
            // Heads of compound pages have even numbers, so a batch never ends between a head and
            // its first tail.
            let start = start - start % BATCH;
            let count = BATCH.min(CHUNK - start);
            let first = number * CHUNK_FRAMES + start as u64;
            match self.read_structures(first, count, structures, findings) {
                Ok(true) => self.exclude_batch(first, start, chunk, structures, findings),
                Ok(false) => {}
                Err(error) => {
                    findings.unknown +=
                        (start..start + count).filter(|frame| chunk.has(*frame)).count() as u64;
                    findings.trouble.get_or_insert(error);
                }
            }
            from = start + count;
        }
        chunk.shrink();
    }

    /// Returns whether the frames have structures: firmware's memory has none.
    fn read_structures(
        &self,
        first: u64,
        count: usize,
        structures: &mut Vec<u8>,
        findings: &mut Findings,
    ) -> Result<bool> {
        let Some(address) = self.layout.structure_of(first, &self.space, self.memory)? else {
            return Ok(false);
        };
        structures.resize(count * self.layout.size, 0);
        self.space.read(self.memory, address, structures)?;
        if self.order == WriteOrder::ByAddress {
            return Ok(true);
        }
        // The batch's structures fill whole pages, which are contiguous except at the start of
        // memory.
        let place = self.space.translate(self.memory, address)?;
        let bytes = place.left.min(structures.len() as u64);
        findings.vital.structures.insert(place.phys / PAGE_SIZE, (place.phys + bytes).div_ceil(PAGE_SIZE));
        Ok(true)
    }

    fn exclude_batch(
        &self,
        first: u64,
        start: usize,
        chunk: &mut Chunk,
        structures: &[u8],
        findings: &mut Findings,
    ) {
        let size = self.layout.size;
        let mut index = 0;
        while let Some(page) = structures.get(index * size..(index + 1) * size) {
            let tail = structures.get((index + 1) * size..(index + 2) * size);
            let pfn = first + index as u64;
            let mut count = 1;
            if chunk.has(start + index) {
                if let Verdict::Exclude(kind, order) = self.layout.judge(page, tail, pfn, self.level) {
                    count = 1 << order;
                    findings.exclude(kind, pfn, count, start + index, chunk);
                } else if self.order == WriteOrder::ByNeed && pfn >= findings.ordered_to {
                    let (need, order) = self.layout.need(page, tail, pfn, self.early);
                    findings.order(need, pfn, pfn + (1 << order));
                }
            }
            index += count;
        }
    }
}

impl Findings {
    /// Excludes `count` frames, from the one with this index in the chunk.
    fn exclude(&mut self, kind: Exclusion, pfn: u64, count: usize, at: usize, chunk: &mut Chunk) {
        let inside = count.min(CHUNK - at);
        *self.excluded.entry(kind).or_default() += chunk.change(at, at + inside, false);
        if inside < count {
            self.beyond.push((kind, pfn + inside as u64, pfn + count as u64));
        }
    }

    /// Records how soon frames are needed.
    fn order(&mut self, need: Need, from: u64, to: u64) {
        self.ordered_to = to;
        match &mut self.run {
            Some((same, _, end)) if *same == need && *end == from => *end = to,
            _ => {
                self.end_run();
                self.run = Some((need, from, to));
            }
        }
    }

    fn end_run(&mut self) {
        match self.run.take() {
            Some((Need::Early, from, to)) => self.vital.early.insert(from, to),
            Some((Need::Object, from, to)) => self.vital.objects.insert(from, to),
            Some((Need::Own, from, to)) => self.vital.own.insert(from, to),
            Some((Need::Last, ..)) | None => {}
        }
    }
}
