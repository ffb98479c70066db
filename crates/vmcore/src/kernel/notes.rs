//! ELF notes, each a name, a kind and contents.

use std::borrow::Cow;

use abi::elf::note::{ALIGN, CONTENT_SIZE, CORE, HEADER_SIZE, KIND, NAME_SIZE, PRSTATUS, VMCOREINFO};
use phys::PhysRange;

use crate::format::field::{get, put};
use crate::{PhysRead, Vmcoreinfo};

/// Each note starts at a multiple of this.
pub(crate) const ALIGNMENT: usize = ALIGN;

/// One note. Offsets are within the notes it was found in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note<'a> {
    /// The name of the kind's owner, without the final zero.
    pub name: &'a [u8],
    /// The kind, as numbered by the owner.
    pub kind: u32,
    /// Where the contents start, in bytes.
    pub offset: usize,
    /// The contents.
    pub contents: &'a [u8],
}

/// All notes up to the first that is truncated.
pub fn iter(bytes: &[u8]) -> impl Iterator<Item = Note<'_>> {
    let mut at = 0_usize;
    std::iter::from_fn(move || {
        let header = bytes.get(at..at.checked_add(HEADER_SIZE)?)?;
        let name_size = usize::try_from(get(header, NAME_SIZE)).ok()?;
        let size = usize::try_from(get(header, CONTENT_SIZE)).ok()?;
        let name_at = at + HEADER_SIZE;
        let offset = name_at.checked_add(name_size)?.checked_next_multiple_of(ALIGN)?;
        let name = bytes.get(name_at..name_at + name_size)?;
        let contents = bytes.get(offset..offset.checked_add(size)?)?;
        at = offset.checked_add(size)?.checked_next_multiple_of(ALIGN)?;
        let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
        Some(Note { name, kind: get(header, KIND), offset, contents })
    })
    // Zeros after the last note are padding.
    .filter(|note| !note.name.is_empty())
}

/// The note that describes the kernel.
#[must_use]
pub fn vmcoreinfo(bytes: &[u8]) -> Option<Note<'_>> {
    iter(bytes).find(|note| note.name == VMCOREINFO)
}

/// Finds notes that describe a kernel in memory: a kernel keeps its own at the start of a page
/// (`kernel/vmcore_info.c`, `vmcoreinfo_note`). There may be more than one: a kernel that can read
/// another one's memory has that one's note too. Pages that cannot be read are skipped; no page is
/// read twice.
pub fn vmcoreinfos_in(
    memory: &impl PhysRead,
    pages: impl IntoIterator<Item = PhysRange>,
) -> impl Iterator<Item = Vmcoreinfo> {
    let chunks = pages.into_iter().flat_map(|range| {
        let starts = (range.start().get()..range.end()).step_by(CHUNK);
        starts.map(move |start| (start, usize::try_from(range.end() - start).unwrap_or(CHUNK).min(CHUNK)))
    });
    let mut bytes = vec![0; CHUNK];
    let found = chunks.flat_map(move |(start, length)| {
        let chunk = bytes.get_mut(..length).unwrap_or_default();
        let is_read = memory.read_phys(start, chunk).is_ok();
        let pages = (start..).step_by(PAGE).zip(chunk.chunks(PAGE));
        let notes = pages.filter(|(_, page)| is_read && is_vmcoreinfo(page)).map(|(at, _)| at);
        notes.collect::<Vec<_>>()
    });
    found.filter_map(|at| vmcoreinfo_at(memory, at))
}

const PAGE: usize = 4096;
/// Bytes per read.
const CHUNK: usize = 256 * PAGE;
/// The text has at most one page, and the header precedes it.
const NOTE_SIZE: usize = 2 * PAGE;

/// Whether bytes start like the note: its header, its name, and the first key of the text.
fn is_vmcoreinfo(bytes: &[u8]) -> bool {
    const FIRST_KEY: &[u8] = b"OSRELEASE=";
    let Some(rest) = bytes.get(HEADER_SIZE..) else { return false };
    let text = (VMCOREINFO.len() + 1).next_multiple_of(ALIGN);
    get(bytes, NAME_SIZE) as usize == VMCOREINFO.len() + 1
        && get(bytes, KIND) == 0
        && rest.starts_with(VMCOREINFO)
        && rest.get(text..).is_some_and(|text| text.starts_with(FIRST_KEY))
}

fn vmcoreinfo_at(memory: &impl PhysRead, address: u64) -> Option<Vmcoreinfo> {
    let mut bytes = vec![0; NOTE_SIZE];
    memory.read_phys(address, &mut bytes).ok()?;
    Some(Vmcoreinfo::parse(vmcoreinfo(&bytes)?.contents))
}

/// The name of makedumpfile's note of erased data.
const ERASED: &[u8] = b"ERASEINFO";

/// The commands by which data was erased, one a line.
#[must_use]
pub fn erased(bytes: &[u8]) -> &[u8] {
    let contents = iter(bytes).find(|note| note.name == ERASED).map_or(&[][..], |note| note.contents);
    let end = contents.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    contents.get(..end).unwrap_or_default()
}

/// The notes with these commands, in place of those that they have.
pub(crate) fn with_erased<'a>(bytes: &'a [u8], commands: &[u8]) -> Cow<'a, [u8]> {
    if erased(bytes) == commands {
        return Cow::Borrowed(bytes);
    }
    let others = iter(bytes).filter(|note| note.name != ERASED);
    let mut all: Vec<u8> =
        others.flat_map(|one| note(&[one.name, b"\0"].concat(), one.kind, one.contents)).collect();
    all.extend(note(&[ERASED, b"\0"].concat(), 0, commands));
    Cow::Owned(all)
}

/// Number of CPUs whose registers were saved.
#[must_use]
pub fn cpus(bytes: &[u8]) -> u32 {
    let count = iter(bytes).filter(|note| note.name == CORE && note.kind == PRSTATUS).count();
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// A note with VMCOREINFO's text.
#[must_use]
pub fn vmcoreinfo_note(text: &[u8]) -> Vec<u8> {
    note(b"VMCOREINFO\0", 0, text)
}

fn note(name: &[u8], kind: u32, contents: &[u8]) -> Vec<u8> {
    let size = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    let mut bytes = vec![0; HEADER_SIZE];
    put(&mut bytes, NAME_SIZE, size(name));
    put(&mut bytes, CONTENT_SIZE, size(contents));
    put(&mut bytes, KIND, kind);
    for part in [name, contents] {
        bytes.extend(part);
        bytes.resize(bytes.len().next_multiple_of(ALIGN), 0);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_memory::TestMemory;

    #[test]
    fn consecutive_notes_are_found() {
        let bytes = [note(b"CORE\0", 1, &[7; 5]), note(b"VMCOREINFO\0", 0, b"A=1\n")].concat();
        assert_eq!(cpus(&bytes), 1);
        let found = vmcoreinfo(&bytes).unwrap();
        assert_eq!(found.contents, b"A=1\n");
        assert_eq!(&bytes[found.offset..][..4], b"A=1\n");
    }

    #[test]
    fn the_note_is_found_where_a_page_starts_with_it() {
        let note = vmcoreinfo_note(b"OSRELEASE=6.1\nPAGESIZE=4096\n");
        let mut memory = TestMemory(vec![0; 16 * PAGE]);
        memory.0[2 * PAGE + 8..][..note.len()].copy_from_slice(&note);
        memory.0[5 * PAGE..][..12].copy_from_slice(&note[..12]);
        let all = PhysRange::from_bytes(0, 16 * PAGE as u64).unwrap();
        assert_eq!(vmcoreinfos_in(&memory, [all]).count(), 0);
        for at in [9, 12] {
            memory.0[at * PAGE..][..note.len()].copy_from_slice(&note);
        }
        let found: Vec<_> = vmcoreinfos_in(&memory, [all]).collect();
        assert_eq!(found.len(), 2, "another kernel's may be there too");
        assert_eq!(found[0].text("PAGESIZE"), Some("4096"));
    }

    #[test]
    fn a_note_cut_short_ends_the_list() {
        let bytes = note(b"CORE\0", 1, &[7; 8]);
        assert_eq!(iter(&bytes[..bytes.len() - 1]).count(), 0);
        let endless = [0xff; 64];
        assert_eq!(iter(&endless).count(), 0);
    }
}
