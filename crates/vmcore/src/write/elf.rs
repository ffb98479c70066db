use std::borrow::Cow;
use std::ops::Range;
use std::sync::Mutex;
use std::sync::PoisonError;

use abi::elf::{self, FileHeader, ProgramHeader, SectionHeader, file_type, machine, program_type};
use phys::PAGE_SIZE;

use super::pages::{self, UNIT, Unit};
use super::{Progress, Settings, Written, crew, put};
use crate::codec::Codec;
use crate::format::elf::INCOMPLETE;
use crate::format::field::put as put_field;
use crate::format::field::put_bytes;
use crate::format::kdump::BLOCK;
use crate::kernel::notes;
use crate::{DumpSource, Error, FrameSet, Result, WriteAt};

const HEADER: FileHeader<u64> = elf::CLASS_64.file_header;
const PROGRAM: ProgramHeader<u64> = elf::CLASS_64.program_header;
const SECTION: SectionHeader<u64> = elf::CLASS_64.section_header;

/// The number of program headers has 16 bits, the highest value has another meaning, and one header
/// is for the notes.
const MOST_LOADS: usize = 0xfffe - 1;

/// Gaps of fewer excluded pages do not split a load: the pages stay in the file, as with
/// makedumpfile. Readers search load headers one by one.
const LEAST_GAP: u64 = 256;

/// Offset of pages within blocks of the file, in bytes, so that they are not aligned to blocks.
/// makedumpfile up to 1.7.9 maps aligned pages, forgets that it has unmapped those of small loads,
/// and crashes (`mappage_elf` in makedumpfile.c, `cache_alloc` in cache.c).
const ASKEW: u64 = 64;

/// A load: its frames, of which the file has the first `filled`.
struct Load {
    frames: Range<u64>,
    filled: u64,
    offset: u64,
}

/// Writes the kept pages of an image as an ELF vmcore.
///
/// Where pages are excluded, a load header has more memory than bytes. But excluded pages stay in
/// the file if they are fewer than 256 in a row and the image has all of them; pages of zeros among
/// them are holes in the file. If there were too many load headers, more excluded pages stay. Pages
/// that the image does not have are never in the file: if they need too many headers, the number of
/// headers is in a section header, as the format provides.
///
/// # Errors
/// The destination cannot be written. Pages that cannot be read are not an error: they read as
/// zeros, [`Written::missing`] counts them, and the file is marked as incomplete.
pub fn write_elf(
    image: &dyn DumpSource,
    kept: &FrameSet,
    settings: &Settings,
    out: &impl WriteAt,
    progress: &Progress,
) -> Result<Written> {
    let (full, zero_pages) = without_zeros(image, kept, settings, progress)?;
    let notes = notes::with_erased(image.notes(), image.erased());
    let (loads, data) = layout(image, &full, notes.len());
    let filled = with_gaps(image, &loads);
    // Pages of zeros are holes in a file, but readers of streams do not know holes.
    let full = if out.is_stream() { filled } else { filled.without(&kept.without(&full)) };
    let length = loads.last().map_or(data, |load| load.offset + load.filled * PAGE_SIZE);
    let [marked, header] = [true, settings.incomplete].map(|incomplete| file_header(loads.len(), incomplete));
    out.announce(&marked).map_err(|source| Error::Write { offset: 0, size: marked.len(), source })?;
    if !out.is_stream() {
        put(out, 0, &marked)?;
    }
    put(out, HEADER.size as u64, &other_headers(image, &loads, notes.len()))?;
    put(out, notes_at(loads.len()) as u64, &notes)?;
    let state = || (vec![0; UNIT * BLOCK], Written::default());
    let work = |state: &mut (Vec<u8>, Written), unit: &Unit| copy(image, unit, &loads, state, out);
    let states =
        crew::share(std::slice::from_ref(&full), settings.threads, &Progress::default(), state, work)?;
    let mut written = Written { zero_pages, length, ..Written::default() };
    states.into_iter().for_each(|(_, part)| written.add(part));
    written.stored.insert(Codec::Raw, full.count() - written.missing);
    put(out, 0, if written.missing > 0 { &marked } else { &header })?;
    Ok(written)
}

/// Finds the pages of zeros: the places of pages must be known before the first is written.
fn without_zeros(
    image: &dyn DumpSource,
    kept: &FrameSet,
    settings: &Settings,
    progress: &Progress,
) -> Result<(FrameSet, u64)> {
    if !settings.level.zero_pages() {
        return Ok((kept.clone(), 0));
    }
    let full = Mutex::new(kept.clone());
    let work = |buffer: &mut Vec<u8>, unit: &Unit| {
        // Unreadable pages are counted when they are written.
        let mut unread = Vec::new();
        pages::read(image, &unit.pages, buffer, |index, _| unread.push(index));
        let zeros: Vec<u64> = (0..unit.pages.len())
            .filter(|index| {
                !unread.contains(index) && pages::is_zero(&buffer[index * BLOCK..(index + 1) * BLOCK])
            })
            .map(|index| unit.pages[index])
            .collect();
        let mut full = full.lock().unwrap_or_else(PoisonError::into_inner);
        zeros.into_iter().for_each(|page| {
            full.remove(page, page + 1);
        });
        Ok(())
    };
    crew::share(std::slice::from_ref(kept), settings.threads, progress, || vec![0; UNIT * BLOCK], work)?;
    let full = full.into_inner().unwrap_or_else(PoisonError::into_inner);
    let zero_pages = kept.count() - full.count();
    Ok((full, zero_pages))
}

/// All pages that the loads have bytes for.
fn with_gaps(image: &dyn DumpSource, loads: &[Load]) -> FrameSet {
    let mut filled = FrameSet::new();
    for load in loads {
        filled.insert(load.frames.start, load.frames.start + load.filled);
    }
    filled.within(image.present())
}

/// The loads, and the offset of the first one's bytes.
fn layout(image: &dyn DumpSource, full: &FrameSet, notes: usize) -> (Vec<Load>, u64) {
    let memory = Memory::of(image);
    let count = |gap| {
        let mut count = 0_usize;
        memory.cut(full, gap, |_| count += 1);
        count
    };
    // Older readers do not know the extended number of headers, and all of them search headers one
    // by one: there are more only if pages that the image does not have are between the others.
    let fewest = count(u64::MAX);
    let most = if fewest > MOST_LOADS { 2 * fewest } else { MOST_LOADS };
    let mut gap = LEAST_GAP;
    let mut number = count(gap);
    while number > most {
        gap = gap.saturating_mul(2);
        number = count(gap);
    }
    let mut loads = Vec::with_capacity(number);
    memory.cut(full, gap, |load| loads.push(load));
    let head = notes_at(loads.len()) + notes;
    let data = (head as u64).next_multiple_of(PAGE_SIZE) + ASKEW;
    let mut offset = data;
    for load in &mut loads {
        load.offset = offset;
        offset += load.filled * PAGE_SIZE;
    }
    (loads, data)
}

/// The most loads that an ELF file of some of the image's pages may have.
#[must_use]
pub fn most_loads(image: &dyn DumpSource) -> u64 {
    let fewest = Memory::of(image).most_runs();
    let most = if fewest > MOST_LOADS as u64 { 2 * fewest } else { MOST_LOADS as u64 };
    most.min(fewest + image.present().count() / LEAST_GAP)
}

/// The memory of an image. Its sets may be as large as the image is: there is no room for others.
struct Memory<'a> {
    all: Cow<'a, FrameSet>,
    present: &'a FrameSet,
}

impl<'a> Memory<'a> {
    fn of(image: &'a dyn DumpSource) -> Self {
        let (mut all, present) = (Cow::Borrowed(image.ram()), image.present());
        // A damaged dump may have pages that are not memory.
        if present.without(&all).next(0).is_some() {
            all.to_mut().unite(present.clone());
        }
        Self { all, present }
    }

    /// Runs of memory, and runs of missing pages in them.
    fn most_runs(&self) -> u64 {
        let mut present = self.present.runs().peekable();
        let mut count = 0;
        for memory in self.all.runs() {
            let mut at = memory.start;
            count += 1;
            while let Some(run) = present.next_if(|run| run.start < memory.end) {
                count += u64::from(run.start > at);
                at = run.end;
            }
            count += u64::from(at < memory.end);
        }
        count
    }

    /// Cuts memory into loads, each of kept pages followed by excluded ones. A gap of fewer pages
    /// than `gap` does not split a load if the image has all of its pages.
    fn cut(&self, full: &FrameSet, gap: u64, mut put: impl FnMut(Load)) {
        let mut present = self.present.runs().peekable();
        // To be called for one gap after the other.
        let mut is_there = |pages: Range<u64>| {
            while present.next_if(|run| run.end <= pages.start).is_some() {}
            let is_in = |run: &Range<u64>| run.start <= pages.start && pages.end <= run.end;
            pages.is_empty() || present.peek().is_some_and(is_in)
        };
        let mut kept = full.runs().peekable();
        for memory in self.all.runs() {
            let load = |start| Load { frames: start..memory.end, filled: 0, offset: 0 };
            let mut last = load(memory.start);
            while let Some(run) = kept.next_if(|run| run.start < memory.end) {
                let end = last.frames.start + last.filled;
                let is_short = run.start - end < gap && is_there(end..run.start);
                // Memory before the first kept page, if any, is a load without bytes.
                if !is_short && run.start > last.frames.start {
                    last.frames.end = run.start;
                    put(std::mem::replace(&mut last, load(run.start)));
                }
                last.filled = run.end - last.frames.start;
            }
            put(last);
        }
    }
}

fn copy(
    image: &dyn DumpSource,
    unit: &Unit,
    loads: &[Load],
    (buffer, written): &mut (Vec<u8>, Written),
    out: &impl WriteAt,
) -> Result<()> {
    pages::read(image, &unit.pages, buffer, |_, error| {
        written.missing += 1;
        written.trouble.get_or_insert_with(|| error.whole());
    });
    for (first, count) in pages::runs(&unit.pages) {
        let frame = unit.pages[first];
        let Some(load) = loads[..loads.partition_point(|load| load.frames.start <= frame)].last() else {
            continue;
        };
        let offset = load.offset + (frame - load.frames.start) * PAGE_SIZE;
        put(out, offset, &buffer[first * BLOCK..(first + count) * BLOCK])?;
    }
    Ok(())
}

fn file_header(loads: usize, incomplete: bool) -> Vec<u8> {
    let count = 1 + loads;
    let mut all = vec![0; HEADER.size];
    put_bytes(&mut all, 0, &elf::IDENT_64);
    put_field(&mut all, HEADER.kind, file_type::CORE);
    put_field(&mut all, HEADER.machine, machine::X86_64);
    put_field(&mut all, HEADER.version, elf::VERSION);
    put_field(&mut all, HEADER.program_headers, HEADER.size as u64);
    put_field(&mut all, HEADER.flags, if incomplete { INCOMPLETE } else { 0 });
    put_field(&mut all, HEADER.header_size, short(HEADER.size));
    put_field(&mut all, HEADER.program_header_size, short(PROGRAM.size));
    put_field(&mut all, HEADER.program_header_count, short(count));
    if is_extended(loads) {
        put_field(&mut all, HEADER.section_headers, (HEADER.size + count * PROGRAM.size) as u64);
        put_field(&mut all, HEADER.section_header_size, short(SECTION.size));
        put_field(&mut all, HEADER.section_header_count, 1);
    }
    all
}

/// The headers after the first; the notes, of this many bytes, follow.
fn other_headers(image: &dyn DumpSource, loads: &[Load], notes: usize) -> Vec<u8> {
    let size = notes as u64;
    let mut all = program_header(program_type::NOTE, notes_at(loads.len()) as u64, 0, 0, size, size);
    for load in loads {
        let (start, memory) = (load.frames.start * PAGE_SIZE, load.frames.end - load.frames.start);
        let virt = image.virtual_address(start).unwrap_or(start);
        let (filesz, memsz) = (load.filled * PAGE_SIZE, memory * PAGE_SIZE);
        all.extend(program_header(program_type::LOAD, load.offset, virt, start, filesz, memsz));
    }
    if is_extended(loads.len()) {
        let mut section = vec![0; SECTION.size];
        put_field(&mut section, SECTION.info, u32::try_from(1 + loads.len()).unwrap_or(u32::MAX));
        all.extend(section);
    }
    all
}

/// Whether the number of program headers is in a section header, because it exceeds 16 bits.
fn is_extended(loads: usize) -> bool {
    loads > MOST_LOADS
}

/// Offset of the notes: after the headers.
fn notes_at(loads: usize) -> usize {
    let section = if is_extended(loads) { SECTION.size } else { 0 };
    HEADER.size + (1 + loads) * PROGRAM.size + section
}

/// A size or number of the ELF header. A number of program headers that is too large becomes
/// [`elf::MANY_PROGRAM_HEADERS`].
fn short(number: usize) -> u16 {
    u16::try_from(number).unwrap_or(u16::MAX)
}

fn program_header(kind: u32, offset: u64, virt: u64, phys: u64, filesz: u64, memsz: u64) -> Vec<u8> {
    let mut header = vec![0; PROGRAM.size];
    put_field(&mut header, PROGRAM.kind, kind);
    let numbers = [
        (PROGRAM.offset, offset),
        (PROGRAM.virt, virt),
        (PROGRAM.phys, phys),
        (PROGRAM.file_size, filesz),
        (PROGRAM.memory_size, memsz),
    ];
    for (field, number) in numbers {
        put_field(&mut header, field, number);
    }
    header
}
