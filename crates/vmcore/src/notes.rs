//! ELF notes: who wrote it, a type, and bytes. Layout: System V ABI, chapter 5 "Note Section"; names and contents are
//! padded to 4 bytes in core files.

use crate::field::u32_at;

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

/// How many CPUs left their registers.
#[must_use]
pub fn cpus(bytes: &[u8]) -> u32 {
    let count = iter(bytes).filter(|note| note.name == b"CORE" && note.kind == PRSTATUS).count();
    u32::try_from(count).unwrap_or(u32::MAX)
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

    #[test]
    fn a_note_cut_short_ends_the_list() {
        let bytes = note(b"CORE\0", 1, &[7; 8]);
        assert_eq!(iter(&bytes[..bytes.len() - 1]).count(), 0);
        let endless = [0xff; 64];
        assert_eq!(iter(&endless).count(), 0);
    }
}
