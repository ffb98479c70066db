//! What a peer is told of the running kernel's memory, so that its `/proc/vmcore` has it: the last pages of its window,
//! which it does not take for RAM, since it reads them as another kernel's.
//!
//! ```text
//! +0      note about the CPU that goes to the peer, written at every call
//! +0x200  VMCOREINFO note, zeroes behind
//! page    elfcorehdr, as far as there are pieces of memory
//! ```

use abi::device::{Notes, SlotRun};
use phys::{PAGE_SIZE, PhysRange};

use crate::elfcorehdr::{self, Change, MOST_HEADERS, NoteAt, RestingMemory};
use crate::{Error, Part};

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
/// The two notes.
const NOTES: usize = 2;
/// One piece of memory for so many pages of the window, that many more. Where free memory is scattered, so are the pages
/// that wait outside of the window.
const PAGES_PER_PIECE: u64 = 16;
const MORE_PIECES: u64 = 512;

impl ViewPlace {
    /// At the end of a window.
    pub(super) fn new(view: View, window: PhysRange) -> Result<Self, Error> {
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
    pub(super) const fn pages(&self) -> PhysRange {
        self.pages
    }

    /// Room for the note about the CPU.
    #[must_use]
    pub const fn cpu_note(&self) -> NoteAt {
        NoteAt { address: self.pages.start().get(), size: Notes::ROOM }
    }

    /// Room for the VMCOREINFO note, if there is one.
    #[must_use]
    pub const fn vmcoreinfo(&self) -> Option<NoteAt> {
        let address = self.cpu_note().address + Notes::ROOM;
        match self.vmcoreinfo {
            0 => None,
            size => Some(NoteAt { address, size: vmcoreinfo_room(size) }),
        }
    }

    /// Where the elfcorehdr starts.
    #[must_use]
    pub fn header(&self) -> u64 {
        self.pages.start().get() + notes_size(self.vmcoreinfo)
    }

    /// What the peer's command line says of it.
    pub(super) fn words(&self) -> String {
        format!(" elfcorehdr={:#x}", self.header())
    }

    /// The elfcorehdr for an image whose pages wait there, of a kernel with this RAM, mapped from `direct_map` on.
    ///
    /// What the image displaced is where its pages waited, and what the image has for itself was nobody's. The pages
    /// where those wait are told as they are: whoever puts all of this memory back has both sides of each exchange.
    ///
    /// # Errors
    /// [`Error::TooManyHeaders`] if there is not room for all pieces of memory.
    pub fn elfcorehdr(
        &self,
        ram: &[PhysRange],
        slots: &[SlotRun],
        direct_map: Option<u64>,
    ) -> Result<Vec<u8>, Error> {
        let memory = RestingMemory::in_place(ram.iter().map(|range| range.start().get()..range.end()));
        let memory = memory.with(&slots.iter().map(change).collect::<Vec<_>>());
        let notes: Vec<_> = [Some(self.cpu_note()), self.vmcoreinfo()].into_iter().flatten().collect();
        let bytes = elfcorehdr::render(&notes, &memory, direct_map)?;
        let room = self.pages.end() - self.header();
        if bytes.len() as u64 <= room {
            return Ok(bytes);
        }
        let limit = usize::try_from(room - elfcorehdr::size(0, 0)).unwrap_or(usize::MAX)
            / abi::elf_core::program_header::SIZE;
        Err(Error::TooManyHeaders { count: notes.len() + memory.stretches().len(), limit })
    }

    pub(super) fn parts(&self) -> Vec<Part> {
        let note = |name, note: NoteAt| Part { name, address: note.address, size: note.size };
        let header =
            Part { name: "elfcorehdr", address: self.header(), size: self.pages.end() - self.header() };
        let vmcoreinfo = self.vmcoreinfo().map(|place| note("VMCOREINFO", place));
        [note("CPU's note", self.cpu_note()), header].into_iter().chain(vmcoreinfo).collect()
    }
}

fn change(run: &SlotRun) -> Change {
    let range = run.destination..run.destination.saturating_add(run.pages.saturating_mul(PAGE_SIZE));
    if run.source == run.destination { Change::gone(range) } else { Change::moved(range, run.source) }
}

const fn vmcoreinfo_room(size: u64) -> u64 {
    size.saturating_add(END_NOTE).saturating_add(3) / 4 * 4
}

const fn notes_size(vmcoreinfo: u64) -> u64 {
    let size = Notes::ROOM.saturating_add(vmcoreinfo_room(vmcoreinfo));
    size.saturating_add(PAGE_SIZE - 1) / PAGE_SIZE * PAGE_SIZE
}
