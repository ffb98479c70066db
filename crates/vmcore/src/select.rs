//! Which pages to keep.
//!
//! The kernel keeps a `struct page` for each page; [`PageLayout`] finds out from VMCOREINFO where its fields are, by which
//! keys are there and never by the kernel's version. One parallel pass over all of them clears the pages that the dump
//! level excludes. What VMCOREINFO lacks is taken from the kernel's types and symbols, if its memory has them. A page whose
//! structure cannot be found or read is kept, and counted.

mod classify;
mod image;
mod layout;
mod level;

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

pub use classify::Kind;
pub use layout::PageLayout;
pub use level::Level;

use classify::{Need, Verdict};

use phys::PAGE_SIZE;

use crate::frames::{CHUNK, Chunk};
use crate::kernel::learned::Learned;
use crate::kernel::paging::AddressSpace;
use crate::{CHUNK_FRAMES, Error, FrameSet, PhysRead, Result, Vmcoreinfo};

/// What was selected.
#[derive(Debug)]
pub struct Selection {
    /// The pages to keep.
    pub kept: FrameSet,
    /// How many pages were excluded as what.
    pub excluded: BTreeMap<Kind, u64>,
    /// How many pages were kept because nobody knows what they are.
    pub unknown: u64,
    /// Why pages could not be told apart, all of them or the first of those in `unknown`.
    pub trouble: Option<Error>,
    /// The keys that VMCOREINFO lacks, and that were taken from the kernel's BTF and kallsyms.
    pub learned: Vec<String>,
    /// The pages that readers need first, sooner ones in front. Empty where page structures were not understood.
    pub first: [FrameSet; Needed::COUNT],
}

/// Places in [`Selection::first`]. The sets may overlap: a page is what it is first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needed {
    /// The data of the kernel's image.
    Data,
    /// All else that is the kernel's own: page tables, stacks, memory of each CPU.
    Own,
    /// The code of the kernel's image, which tells crash where stacks are to be read from.
    Code,
    /// Objects of the kernel, tasks among them.
    Objects,
    /// Structures of pages.
    Structures,
}

impl Needed {
    /// How many there are.
    pub const COUNT: usize = 5;
}

/// Selects pages of an image. It never fails: what cannot be understood is kept, and [`Selection::trouble`] says why.
///
/// `threads` is the number of threads to use.
pub fn select(
    memory: &impl PhysRead,
    present: &FrameSet,
    info: Result<Vmcoreinfo>,
    level: Level,
    threads: usize,
) -> Selection {
    let mut selection = Selection {
        kept: present.clone(),
        excluded: BTreeMap::new(),
        unknown: 0,
        trouble: None,
        learned: Vec::new(),
        first: Default::default(),
    };
    match info.and_then(|info| Survey::new(memory, info, level, &mut selection.learned)) {
        Ok(survey) => survey.exclude(&mut selection, threads),
        Err(error) if level.needs_page_structures() => {
            selection.unknown = present.count();
            selection.trouble = Some(error);
        }
        // Nothing depends on them but the order of pages.
        Err(_) => {}
    }
    selection
}

/// Page structures are read in pieces of so many.
const BATCH: usize = 1024;

struct Survey<'a, M> {
    memory: &'a M,
    space: AddressSpace,
    layout: PageLayout,
    level: Level,
    /// The kernel's image: data and code.
    image: (FrameSet, FrameSet),
}

/// What a thread found out.
#[derive(Default)]
struct Findings {
    excluded: BTreeMap<Kind, u64>,
    unknown: u64,
    trouble: Option<Error>,
    /// Pages outside the chunk of their first one: those of 1 GiB.
    beyond: Vec<(Kind, u64, u64)>,
    /// As in [`Selection::first`].
    first: [FrameSet; Needed::COUNT],
    /// Pages that need not be looked at for the order: up to this frame they are as one before.
    ordered_to: u64,
    /// The run of frames that are needed at the same time, to be put down when it ends.
    run: Option<(Need, u64, u64)>,
}

impl<'a, M: PhysRead> Survey<'a, M> {
    /// Tells which keys had to be learned.
    fn new(memory: &'a M, info: Vmcoreinfo, level: Level, keys: &mut Vec<String>) -> Result<Self> {
        let space = AddressSpace::of_kernel(&info)?;
        let image = image::frames(memory, &space, &info);
        let layout = match PageLayout::new(&info, &space, memory) {
            Err(Error::NoKey { key }) => {
                let learned = Learned::new(memory, &space, info);
                let learned = learned.map_err(|why| Error::Untold { key, why: Box::new(why) })?;
                let layout = PageLayout::new(&learned.info, &space, memory)?;
                *keys = learned.keys;
                layout
            }
            layout => layout?,
        };
        Ok(Self { memory, space, layout, level, image })
    }

    fn exclude(&self, selection: &mut Selection, threads: usize) {
        let findings = self.findings(&mut selection.kept, threads);
        findings.into_iter().for_each(|findings| selection.take(findings));
        let first = &mut selection.first;
        let (data, code) = &self.image;
        first[Needed::Own as usize] =
            first[Needed::Own as usize].without(&first[Needed::Structures as usize]).without(code);
        first[Needed::Data as usize].unite(data.clone());
        first[Needed::Code as usize].unite(code.clone());
    }

    fn findings(&self, kept: &mut FrameSet, threads: usize) -> Vec<Findings> {
        let chunks = Mutex::new(kept.chunks_mut());
        let next = || chunks.lock().unwrap_or_else(PoisonError::into_inner).next();
        let work = || {
            let mut findings = Findings::default();
            let mut structures = Vec::new();
            while let Some((number, chunk)) = next() {
                self.exclude_in(number, chunk, &mut structures, &mut findings);
            }
            findings.end_run();
            findings
        };
        std::thread::scope(|scope| {
            let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
            let own = work();
            let joined = others.into_iter().map(|thread| match thread.join() {
                Ok(findings) => findings,
                Err(panic) => std::panic::resume_unwind(panic),
            });
            std::iter::once(own).chain(joined).collect()
        })
    }

    /// All frames of a chunk, in pieces that share a section of the memory model.
    fn exclude_in(&self, number: u64, chunk: &mut Chunk, structures: &mut Vec<u8>, findings: &mut Findings) {
        let mut from = 0;
        while let Some(start) = chunk.next(from) {
            // Heads of compound pages stand at even places, so a batch never ends between a head and its first tail.
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
    }

    /// Answers with whether the frames have structures at all: firmware's memory has none.
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
        // The batch's structures fill whole pages, which lie in one piece unless they are the first of a machine.
        let place = self.space.translate(self.memory, address)?;
        let bytes = place.left.min(structures.len() as u64);
        findings.first[Needed::Structures as usize]
            .insert(place.phys / PAGE_SIZE, (place.phys + bytes).div_ceil(PAGE_SIZE));
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
                } else if pfn >= findings.ordered_to {
                    let (need, order) = self.layout.need(page, tail, pfn);
                    findings.order(need, pfn, pfn + (1 << order));
                }
            }
            index += count;
        }
    }
}

impl Findings {
    /// Clears so many frames, from one whose place in the chunk is given.
    fn exclude(&mut self, kind: Kind, pfn: u64, count: usize, at: usize, chunk: &mut Chunk) {
        let inside = count.min(CHUNK - at);
        *self.excluded.entry(kind).or_default() += chunk.change(at, at + inside, false);
        if inside < count {
            self.beyond.push((kind, pfn + inside as u64, pfn + count as u64));
        }
    }
}

impl Findings {
    /// Notes when frames are needed.
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
            Some((Need::First, from, to)) => self.first[Needed::Own as usize].insert(from, to),
            Some((Need::Second, from, to)) => self.first[Needed::Objects as usize].insert(from, to),
            Some((Need::Last, ..)) | None => {}
        }
    }
}

impl Selection {
    fn take(&mut self, findings: Findings) {
        for (kind, count) in findings.excluded {
            *self.excluded.entry(kind).or_default() += count;
        }
        for (kind, from, to) in findings.beyond {
            let removed = self.kept.remove(from, to);
            *self.excluded.entry(kind).or_default() += removed;
        }
        self.first.iter_mut().zip(findings.first).for_each(|(all, found)| all.unite(found));
        self.unknown += findings.unknown;
        if let Some(trouble) = findings.trouble {
            self.trouble.get_or_insert(trouble);
        }
    }
}
