//! The description of the running kernel's memory for a peer's `/proc/vmcore`. It is in the last
//! pages of the window, which are not RAM for the peer.
//!
//! ```text
//! +0          VMCOREINFO note, padded with zeros to whole pages
//! next page   mailbox, if there is one
//! next page   elfcorehdr
//! ```
//!
//! The CPU's note stays in the running kernel's memory, where tools that know the kernel look for
//! it.

use std::borrow::Cow;

use abi::device::SlotRun;
use phys::{PAGE_SIZE, PhysRange};

use crate::elfcorehdr::{self, Change, MOST_HEADERS, NoteAt, RestingMemory, header_count};
use crate::{Error, Machine, Part, Segment};

/// Lets a peer see the running kernel's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct View {
    /// Bytes of the note in which the running kernel describes itself (VMCOREINFO); 0 if there is
    /// none.
    pub vmcoreinfo: u64,
    /// Bytes in which the running kernel leaves messages for the peer, a multiple of the page
    /// size; 0 for none. They end where the elfcorehdr starts, whose address the peer is given.
    pub mailbox: u64,
}

/// The place of the description. Its bytes are made when the peer is loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ViewPlace {
    pages: PhysRange,
    vmcoreinfo: u64,
    mailbox: u64,
}

/// Bytes of the empty note header that ends the notes.
const END_NOTE: u64 = 12;
/// Notes: VMCOREINFO and the CPU's.
const NOTES: usize = 2;
/// Memory ranges reserved in the elfcorehdr: one for this many pages of the window, and some more.
/// The more fragmented memory is, the more ranges hold the pages that are moved out of the window.
const PAGES_PER_RANGE: u64 = 16;
const MORE_RANGES: u64 = 512;

impl ViewPlace {
    /// At the end of a window.
    pub(crate) fn new(view: View, window: PhysRange) -> Result<Self, Error> {
        let ranges = window.pages() / PAGES_PER_RANGE + MORE_RANGES;
        let ranges = usize::try_from(ranges).unwrap_or(MOST_HEADERS).min(MOST_HEADERS - NOTES);
        let size = notes_size(view.vmcoreinfo)
            .saturating_add(view.mailbox)
            .saturating_add(elfcorehdr::size(NOTES, ranges).next_multiple_of(PAGE_SIZE));
        let place = |size| PhysRange::from_bytes(window.end().checked_sub(size)?, size).ok();
        let inside = place(size).filter(|pages| pages.start() > window.start());
        match inside {
            Some(pages) => Ok(Self { pages, vmcoreinfo: view.vmcoreinfo, mailbox: view.mailbox }),
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

    /// The pages that are not RAM for the peer.
    pub(crate) const fn pages(&self) -> PhysRange {
        self.pages
    }

    /// The memory reserved for the VMCOREINFO note, if there is one.
    #[must_use]
    pub const fn vmcoreinfo(&self) -> Option<NoteAt> {
        match self.vmcoreinfo {
            0 => None,
            size => Some(NoteAt { address: self.pages.start().get(), size: note_room(size) }),
        }
    }

    /// Address of the elfcorehdr.
    #[must_use]
    pub fn header(&self) -> u64 {
        self.pages.start().get() + notes_size(self.vmcoreinfo) + self.mailbox
    }

    /// Address of the mailbox, if there is one.
    #[must_use]
    pub fn mailbox(&self) -> Option<u64> {
        (self.mailbox > 0).then(|| self.header() - self.mailbox)
    }

    /// The peer's command-line parameter.
    pub(crate) fn parameter(&self) -> String {
        format!("elfcorehdr={:#x}", self.header())
    }

    /// The elfcorehdr for an image with these slots.
    ///
    /// Memory that the image displaces is in the sources of its slots while the peer runs;
    /// destinations that are their own source did not belong to the running kernel. Sources are
    /// described where they are, so that a tool that restores this memory has both sides of each
    /// exchange.
    ///
    /// # Errors
    /// [`Error::TooManyHeaders`] if the reserved memory is too small for all ranges.
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

    /// Its segment. The bytes are written when the peer is loaded.
    pub(crate) const fn segment(&self) -> Segment<'static> {
        let (name, bytes) = ("view of the running kernel", Cow::Borrowed([].as_slice()));
        Segment { name, range: self.pages, bytes }
    }

    pub(crate) fn parts(&self) -> Vec<Part> {
        let header =
            Part { name: "elfcorehdr", address: self.header(), size: self.pages.end() - self.header() };
        let vmcoreinfo =
            self.vmcoreinfo().map(|note| Part { name: "VMCOREINFO", address: note.address, size: note.size });
        let mailbox = self.mailbox().map(|address| Part { name: "mailbox", address, size: self.mailbox });
        vmcoreinfo.into_iter().chain(mailbox).chain([header]).collect()
    }
}

/// The address of a note while the peer runs, if it is contiguous.
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

/// Bytes of the pages for the note.
const fn notes_size(vmcoreinfo: u64) -> u64 {
    match vmcoreinfo {
        0 => 0,
        size => note_room(size).saturating_add(PAGE_SIZE - 1) / PAGE_SIZE * PAGE_SIZE,
    }
}
