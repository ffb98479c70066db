//! What a peer is told of the running kernel's memory, so that its `/proc/vmcore` has it: the last pages of its window,
//! which it does not take for RAM, since it reads them as another kernel's.
//!
//! ```text
//! +0     VMCOREINFO note, zeroes behind
//! page   elfcorehdr, as far as there are pieces of memory
//! ```
//!
//! The CPU's note stays in the running kernel's own memory, where those look for it who know the kernel.

use std::borrow::Cow;

use abi::device::SlotRun;
use phys::{PAGE_SIZE, PhysRange};

use crate::elfcorehdr::{self, Change, MOST_HEADERS, NoteAt, RestingMemory, header_count};
use crate::{Error, Machine, Part, Segment};

/// That a peer is to see the running kernel's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct View {
    /// Bytes of the note in which the running kernel describes itself (VMCOREINFO); 0 if there is none.
    pub vmcoreinfo: u64,
}

/// Where it is told. The bytes are known when the peer is loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ViewPlace {
    pages: PhysRange,
    vmcoreinfo: u64,
}

/// A note's header without a name ends the notes.
const END_NOTE: u64 = 12;
/// VMCOREINFO's and the CPU's.
const NOTES: usize = 2;
/// One piece of memory for so many pages of the window, that many more. Where free memory is scattered, so are the pages
/// that wait outside of the window.
const PAGES_PER_PIECE: u64 = 16;
const MORE_PIECES: u64 = 512;

impl ViewPlace {
    /// At the end of a window.
    pub(crate) fn new(view: View, window: PhysRange) -> Result<Self, Error> {
        let pieces = window.pages() / PAGES_PER_PIECE + MORE_PIECES;
        let pieces = usize::try_from(pieces).unwrap_or(MOST_HEADERS).min(MOST_HEADERS - NOTES);
        let size = notes_size(view.vmcoreinfo)
            .saturating_add(elfcorehdr::size(NOTES, pieces).next_multiple_of(PAGE_SIZE));
        let place = |size| PhysRange::from_bytes(window.end().checked_sub(size)?, size).ok();
        let inside = place(size).filter(|pages| pages.start() > window.start());
        match inside {
            Some(pages) => Ok(Self { pages, vmcoreinfo: view.vmcoreinfo }),
            None => Err(Error::NoRoom {
                name: "elfcorehdr",
                size,
                align: PAGE_SIZE,
                lowest: window.start().get(),
                highest: window.end() - 1,
                largest: window.bytes(),
            }),
        }
    }

    /// What the peer does not take for RAM.
    pub(crate) const fn pages(&self) -> PhysRange {
        self.pages
    }

    /// Room for the VMCOREINFO note, if there is one.
    #[must_use]
    pub const fn vmcoreinfo(&self) -> Option<NoteAt> {
        match self.vmcoreinfo {
            0 => None,
            size => Some(NoteAt { address: self.pages.start().get(), size: note_room(size) }),
        }
    }

    /// Where the elfcorehdr starts.
    #[must_use]
    pub fn header(&self) -> u64 {
        self.pages.start().get() + notes_size(self.vmcoreinfo)
    }

    /// What the peer's command line says of it.
    pub(crate) fn parameter(&self) -> String {
        format!(" elfcorehdr={:#x}", self.header())
    }

    /// The elfcorehdr for an image whose pages wait there.
    ///
    /// What the image displaced is where its pages waited, and what the image has for itself was nobody's. The pages
    /// where those wait are told as they are: whoever puts all of this memory back has both sides of each exchange.
    ///
    /// # Errors
    /// [`Error::TooManyHeaders`] if there is not room for all pieces of memory.
    pub fn elfcorehdr(&self, machine: &Machine, slots: &[SlotRun]) -> Result<Vec<u8>, Error> {
        let memory =
            RestingMemory::in_place(machine.ram.iter().map(|range| range.start().get()..range.end()));
        let memory = memory.with(&slots.iter().map(change).collect::<Vec<_>>());
        let cpu = machine.cpu_notes.first().and_then(|note| moved(note, &memory));
        let notes: Vec<_> = [cpu, self.vmcoreinfo()].into_iter().flatten().collect();
        let bytes = elfcorehdr::render(&notes, &memory, &machine.virtual_map)?;
        let room = self.pages.end() - self.header();
        if bytes.len() as u64 <= room {
            return Ok(bytes);
        }
        let limit = usize::try_from(room - elfcorehdr::size(0, 0)).unwrap_or(usize::MAX)
            / abi::elf::CLASS_64.program_header.size;
        Err(Error::TooManyHeaders { count: notes.len() + header_count(&memory, &machine.virtual_map), limit })
    }

    /// Its segment; the bytes are written when the peer is loaded.
    pub(crate) const fn segment(&self) -> Segment<'static> {
        let (name, bytes) = ("view of the running kernel", Cow::Borrowed([].as_slice()));
        Segment { name, range: self.pages, bytes }
    }

    pub(crate) fn parts(&self) -> Vec<Part> {
        let header =
            Part { name: "elfcorehdr", address: self.header(), size: self.pages.end() - self.header() };
        let vmcoreinfo =
            self.vmcoreinfo().map(|note| Part { name: "VMCOREINFO", address: note.address, size: note.size });
        vmcoreinfo.into_iter().chain([header]).collect()
    }
}

/// Where a note is while the peer runs, if it is in one piece.
fn moved(note: &NoteAt, memory: &RestingMemory) -> Option<NoteAt> {
    let more = note.size.checked_sub(1)?;
    let (first, last) = (memory.find(note.address)?, memory.find(note.address.checked_add(more)?)?);
    (last.checked_sub(first) == Some(more)).then_some(NoteAt { address: first, size: note.size })
}

fn change(run: &SlotRun) -> Change {
    let range = run.destination..run.destination.saturating_add(run.pages.saturating_mul(PAGE_SIZE));
    if run.source == run.destination { Change::gone(range) } else { Change::moved(range, run.source) }
}

const fn note_room(size: u64) -> u64 {
    size.saturating_add(END_NOTE).saturating_add(3) / 4 * 4
}

/// Whole pages for the note.
const fn notes_size(vmcoreinfo: u64) -> u64 {
    match vmcoreinfo {
        0 => 0,
        size => note_room(size).saturating_add(PAGE_SIZE - 1) / PAGE_SIZE * PAGE_SIZE,
    }
}
