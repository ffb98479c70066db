use std::ops::Range;
use std::sync::Mutex;
use std::sync::PoisonError;

use phys::{PAGE_SIZE, Pfn};

use super::pages::{self, UNIT, Unit};
use super::{Progress, Settings, Written, crew, put};
use crate::codec::Codec;
use crate::format::field::Fields;
use crate::read::elf::{
    HEADER_SIZE, INCOMPLETE, LOAD, MACHINE_X86_64, MAGIC, NOTE, PROGRAM_HEADER_SIZE, TYPE_CORE,
};
use crate::read::kdump::BLOCK;
use crate::{FrameSet, Image, Result, WriteAt};

/// The number of program headers is a 16-bit number, of which the highest value has another meaning, and one header is
/// for the notes.
const MOST_LOADS: usize = 0xfffe - 1;

/// Fewer pages in a row are no reason for a load header of their own, though they need not be kept: they stay, as with
/// makedumpfile. Readers look for a page from header to header.
const LEAST_GAP: u64 = 256;

/// Where pages start within blocks of the file, in bytes: not at their start. Of pages that lie there in small loads,
/// makedumpfile up to 1.7.9 forgets that it has unmapped them, and dies (`mappage_elf` in makedumpfile.c, `cache_alloc` in
/// cache.c). It maps no others.
const ASKEW: u64 = 64;

/// Frames of which the file has the first, and how many.
struct Load {
    frames: Range<u64>,
    filled: u64,
    offset: u64,
}

/// Writes the kept pages of an image as an ELF vmcore.
///
/// Where pages are not kept, a load header has more memory than bytes. But pages that need not be kept stay as long as they are
/// fewer than 256 in a row, if the image has all of them; those of zeros among them are holes in the file. If there would be
/// too many load headers, more pages stay, and those that the image does not have become zeros.
///
/// # Errors
/// The destination cannot be written. Pages that cannot be read are no error: they read as zeros, [`Written::missing`]
/// counts them, and the file says that it is incomplete.
pub fn write_elf(
    image: &Image<'_>,
    kept: &FrameSet,
    settings: &Settings,
    out: &impl WriteAt,
    progress: &Progress,
) -> Result<Written> {
    let (full, zero_pages) = without_zeros(image, kept, settings, progress)?;
    let (loads, data) = layout(image, &full);
    let full = with_gaps(image, &loads).without(&kept.without(&full));
    let length = loads.last().map_or(data, |load| load.offset + load.filled * PAGE_SIZE);
    if !out.is_stream() {
        put(out, 0, &headers(image, &loads, true))?;
    }
    let hand = || (vec![0; UNIT * BLOCK], Written::default());
    let work = |hand: &mut (Vec<u8>, Written), unit: &Unit| copy(image, unit, &loads, hand, out);
    let hands = crew::share(std::slice::from_ref(&full), settings.threads, &Progress::default(), hand, work)?;
    let mut written = Written { zero_pages, length, ..Written::default() };
    hands.into_iter().for_each(|(_, part)| written.add(part));
    written.stored.insert(Codec::Raw, full.count() - written.missing);
    put(out, 0, &headers(image, &loads, written.missing > 0 || settings.incomplete))?;
    Ok(written)
}

/// The places of pages must be known first, so pages of zeros are looked for beforehand.
fn without_zeros(
    image: &Image<'_>,
    kept: &FrameSet,
    settings: &Settings,
    progress: &Progress,
) -> Result<(FrameSet, u64)> {
    if !settings.level.zero_pages() {
        return Ok((kept.clone(), 0));
    }
    let full = Mutex::new(kept.clone());
    let work = |buffer: &mut Vec<u8>, unit: &Unit| {
        // What cannot be read is found out when it is to be written.
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
fn with_gaps(image: &Image<'_>, loads: &[Load]) -> FrameSet {
    let mut filled = FrameSet::new();
    for load in loads {
        filled.insert(load.frames.start, load.frames.start + load.filled);
    }
    filled.within(image.present())
}

/// The loads, and where the first one's bytes are.
fn layout(image: &Image<'_>, full: &FrameSet) -> (Vec<Load>, u64) {
    let (mut gap, mut there) = (LEAST_GAP, Some(image.present()));
    let mut loads = cut(image.ram(), full, gap, there);
    while loads.len() > MOST_LOADS {
        gap *= 2;
        there = None;
        loads = cut(image.ram(), full, gap, there);
    }
    let head = HEADER_SIZE + (1 + loads.len()) * PROGRAM_HEADER_SIZE + image.notes().len();
    let data = (head as u64).next_multiple_of(PAGE_SIZE) + ASKEW;
    let mut offset = data;
    for load in &mut loads {
        load.offset = offset;
        offset += load.filled * PAGE_SIZE;
    }
    (loads, data)
}

/// Cuts memory into loads, each of pages that are kept and, behind them, pages that are not. Gaps of fewer pages than
/// `gap` are no reason to cut if all of them are `there`, which is of no matter if it is not given.
fn cut(ram: &FrameSet, full: &FrameSet, gap: u64, there: Option<&FrameSet>) -> Vec<Load> {
    let is_there =
        |frame: u64| there.is_none_or(|there| Pfn::new(frame).is_some_and(|frame| there.contains(frame)));
    let mut kept = full.runs().peekable();
    let mut loads: Vec<Load> = Vec::new();
    for memory in ram.runs() {
        let mut last = Load { frames: memory.start..memory.end, filled: 0, offset: 0 };
        while let Some(run) = kept.next_if(|run| run.start < memory.end) {
            let end = last.frames.start + last.filled;
            let is_short = run.start - end < gap && (end..run.start).all(is_there);
            // Memory before the first kept page is a load without bytes, unless there is none.
            if !is_short && run.start > last.frames.start {
                last.frames.end = run.start;
                loads.push(std::mem::replace(
                    &mut last,
                    Load { frames: run.start..memory.end, filled: 0, offset: 0 },
                ));
            }
            last.filled = run.end - last.frames.start;
        }
        loads.push(last);
    }
    loads
}

fn copy(
    image: &Image<'_>,
    unit: &Unit,
    loads: &[Load],
    (buffer, written): &mut (Vec<u8>, Written),
    out: &impl WriteAt,
) -> Result<()> {
    pages::read(image, &unit.pages, buffer, |_, error| {
        written.missing += 1;
        written.trouble.get_or_insert_with(|| error.to_string());
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

fn headers(image: &Image<'_>, loads: &[Load], incomplete: bool) -> Vec<u8> {
    let count = 1 + loads.len();
    let notes_at = HEADER_SIZE + count * PROGRAM_HEADER_SIZE;
    let mut file = Fields::zeroed(HEADER_SIZE);
    file.put(0, &MAGIC);
    // 64-bit, little-endian, version 1.
    file.put(4, &[2, 1, 1]);
    file.put(16, &TYPE_CORE.to_le_bytes());
    file.put(18, &MACHINE_X86_64.to_le_bytes());
    file.put_u32(20, 1);
    file.put_u64(32, HEADER_SIZE as u64);
    file.put_u32(48, if incomplete { INCOMPLETE } else { 0 });
    file.put(52, &short(HEADER_SIZE));
    file.put(54, &short(PROGRAM_HEADER_SIZE));
    file.put(56, &short(count));
    let notes = image.notes();
    let mut all = file.0;
    all.extend(program_header(NOTE, notes_at as u64, 0, 0, notes.len() as u64, notes.len() as u64));
    for load in loads {
        let (start, memory) = (load.frames.start * PAGE_SIZE, load.frames.end - load.frames.start);
        let virt = image.virtual_address(start).unwrap_or(start);
        let (filesz, memsz) = (load.filled * PAGE_SIZE, memory * PAGE_SIZE);
        all.extend(program_header(LOAD, load.offset, virt, start, filesz, memsz));
    }
    all.extend(notes);
    all
}

/// A size or number of the ELF header; [`MOST_LOADS`] keeps them in range.
fn short(number: usize) -> [u8; 2] {
    u16::try_from(number).unwrap_or(u16::MAX).to_le_bytes()
}

fn program_header(kind: u32, offset: u64, virt: u64, phys: u64, filesz: u64, memsz: u64) -> Vec<u8> {
    let mut fields = Fields::zeroed(PROGRAM_HEADER_SIZE);
    fields.put_u32(0, kind);
    for (at, value) in [(8, offset), (16, virt), (24, phys), (32, filesz), (40, memsz)] {
        fields.put_u64(at, value);
    }
    fields.0
}
