//! ELF notes: who wrote it, a type, and bytes. Layout: System V ABI, chapter 5 "Note Section"; names and contents are
//! padded to 4 bytes in core files.

use phys::PhysRange;

use crate::format::field::u32_at;
use crate::{PhysRead, Vmcoreinfo};

/// The type of a note with the registers of a CPU (`NT_PRSTATUS`).
const PRSTATUS: u32 = 1;

/// The name of the note that describes the kernel.
const VMCOREINFO: &[u8] = b"VMCOREINFO";

/// One note. Offsets are within the notes it was found in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note<'a> {
    /// Who defined it, without the final zero.
    pub name: &'a [u8],
    /// What its owner calls it.
    pub kind: u32,
    /// Where its contents start, in bytes.
    pub offset: usize,
    /// Its contents.
    pub contents: &'a [u8],
}

/// All notes; ends at the first that is cut short.
pub fn iter(bytes: &[u8]) -> impl Iterator<Item = Note<'_>> {
    let mut at = 0_usize;
    std::iter::from_fn(move || {
        let header = bytes.get(at..at.checked_add(12)?)?;
        let name_size = usize::try_from(u32_at(header, 0)).ok()?;
        let size = usize::try_from(u32_at(header, 4)).ok()?;
        let name_at = at + 12;
        let offset = name_at.checked_add(name_size)?.checked_next_multiple_of(4)?;
        let name = bytes.get(name_at..name_at + name_size)?;
        let contents = bytes.get(offset..offset.checked_add(size)?)?;
        at = offset.checked_add(size)?.checked_next_multiple_of(4)?;
        let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
        Some(Note { name, kind: u32_at(header, 8), offset, contents })
    })
    // Zeros behind the last note are padding.
    .filter(|note| !note.name.is_empty())
}

/// The note that describes the kernel.
#[must_use]
pub fn vmcoreinfo(bytes: &[u8]) -> Option<Note<'_>> {
    iter(bytes).find(|note| note.name == VMCOREINFO)
}

/// Finds notes that describe a kernel in its memory, where the kernel keeps its own at the start of a page
/// (`kernel/vmcore_info.c`, `vmcoreinfo_note`). There may be more than one: a kernel that another one shows its memory has
/// that one's note too. Pages that cannot be read are passed over; none is read twice.
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
/// Bytes read at once.
const CHUNK: usize = 256 * PAGE;
/// The kernel has one page for the text, and the header before it.
const NOTE_SIZE: usize = 2 * PAGE;

/// Whether bytes start as the note does: its header, its name, and the first of the text's keys.
fn is_vmcoreinfo(bytes: &[u8]) -> bool {
    /// With the zero behind it.
    const NAME_SIZE: u32 = 11;
    bytes.starts_with(&NAME_SIZE.to_le_bytes())
        && bytes.get(8..12) == Some(&[0; 4])
        && bytes.get(12..12 + VMCOREINFO.len()) == Some(VMCOREINFO)
        && bytes.get(24..34) == Some(b"OSRELEASE=")
}

fn vmcoreinfo_at(memory: &impl PhysRead, address: u64) -> Option<Vmcoreinfo> {
    let mut bytes = vec![0; NOTE_SIZE];
    memory.read_phys(address, &mut bytes).ok()?;
    Some(Vmcoreinfo::parse(vmcoreinfo(&bytes)?.contents))
}

/// How many CPUs left their registers.
#[must_use]
pub fn cpus(bytes: &[u8]) -> u32 {
    let count = iter(bytes).filter(|note| note.name == b"CORE" && note.kind == PRSTATUS).count();
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// All notes but the one that describes the kernel.
pub(crate) fn without_vmcoreinfo(bytes: &[u8]) -> Vec<u8> {
    let others = iter(bytes).filter(|note| note.name != VMCOREINFO);
    others.flat_map(|other| note(&[other.name, &[0]].concat(), other.kind, other.contents)).collect()
}

/// A note of VMCOREINFO's text.
#[must_use]
pub fn vmcoreinfo_note(text: &[u8]) -> Vec<u8> {
    note(b"VMCOREINFO\0", 0, text)
}

fn note(name: &[u8], kind: u32, contents: &[u8]) -> Vec<u8> {
    let size = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    let mut bytes: Vec<u8> =
        [size(name), size(contents), kind].iter().flat_map(|n| n.to_le_bytes()).collect();
    for part in [name, contents] {
        bytes.extend(part);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_are_found_behind_each_other() {
        let bytes = [note(b"CORE\0", 1, &[7; 5]), note(b"VMCOREINFO\0", 0, b"A=1\n")].concat();
        assert_eq!(cpus(&bytes), 1);
        let found = vmcoreinfo(&bytes).unwrap();
        assert_eq!(found.contents, b"A=1\n");
        assert_eq!(&bytes[found.offset..][..4], b"A=1\n");
    }

    struct Memory(Vec<u8>);

    impl PhysRead for Memory {
        fn read_phys(&self, address: u64, buffer: &mut [u8]) -> crate::Result<()> {
            let at = usize::try_from(address).unwrap();
            let bytes =
                self.0.get(at..at + buffer.len()).ok_or(crate::Error::Absent { pfn: address >> 12 })?;
            buffer.copy_from_slice(bytes);
            Ok(())
        }
    }

    #[test]
    fn the_note_is_found_where_a_page_starts_with_it() {
        let note = vmcoreinfo_note(b"OSRELEASE=6.1\nPAGESIZE=4096\n");
        let mut memory = Memory(vec![0; 16 * PAGE]);
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
