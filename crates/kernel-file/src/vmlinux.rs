//! The kernel inside a bzImage: an ELF file, and after it the places where the kernel's own
//! virtual addresses stand (`arch/x86/tools/relocs.c`). When a bzImage is started, it unpacks the
//! file, moves its segments to their places, and adds a random offset to these addresses
//! (`arch/x86/boot/compressed/misc.c`). Here the same is done in advance.
//!
//! ```text
//! ELF file | 0 | places of 64 bits | 0 | of 32 bits, to subtract from | 0 | of 32 bits
//! ```
//!
//! Since Linux 6.15 there is nothing to subtract from, and that part is missing.

use abi::elf::CLASS_64;

use crate::bytes::{number, part};
use crate::{BzImage, Compression, Error, Mode, elf};

/// A kernel as it is in memory when it is entered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unpacked {
    /// Its first bytes in memory, the rest of which is zero.
    pub bytes: Vec<u8>,
    /// Bytes of memory that it takes.
    pub memory: u64,
    /// The physical address that it is linked to.
    pub linked_at: u64,
    /// Offset of the 64-bit entry point.
    pub entry: u64,
    /// Whether it can be moved to other virtual addresses.
    pub is_relocatable: bool,
    /// The words after the ELF file, in their order.
    relocations: Vec<u32>,
}

/// The virtual address of physical address 0 (`__START_KERNEL_map`), the lower half.
const MAP: u32 = 0x8000_0000;
/// Most bytes of a kernel in memory: what `KERNEL_IMAGE_SIZE` leaves it.
pub const SPAN: u64 = 1 << 30;

const ELF_HEADER: &str = "the ELF header of the kernel in it";

impl<'a> BzImage<'a> {
    /// Decompresses the kernel and puts its segments in their places.
    ///
    /// # Errors
    /// Those of [`check_payload`](Self::check_payload) and of [`elf::parse`];
    /// [`Error::UnknownCompression`] for an unknown one, [`Error::Unsupported`] if the places of
    /// addresses are not as expected.
    pub fn unpack(&self) -> Result<Unpacked, Error> {
        let payload = self.payload.unwrap_or(&[]);
        let Some(compression) = Compression::recognise(payload) else {
            let name = payload.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
            return Err(Error::UnknownCompression { name });
        };
        Unpacked::parse(&self.decompressed(compression, payload)?)
    }
}

impl Unpacked {
    /// The parts of an unpacked payload.
    ///
    /// # Errors
    /// As [`BzImage::unpack`].
    pub fn parse(payload: &[u8]) -> Result<Self, Error> {
        let program = elf::parse(payload)?;
        if program.mode != Mode::Long {
            return Err(Error::Unsupported { field: "ELF class", value: 1, wanted: "expected 2 (64-bit)" });
        }
        let linked_at = program.segments.first().map_or(0, |segment| segment.address);
        let memory = program.segments.last().map_or(0, |last| last.end().saturating_sub(linked_at));
        let entry = program.entry.checked_sub(linked_at).filter(|&entry| entry < memory);
        let entry = entry.ok_or(Error::Unsupported {
            field: "the entry point",
            value: program.entry,
            wanted: "expected an address in the kernel",
        })?;
        if memory > SPAN {
            let wanted = "expected at most 0x40000000";
            return Err(Error::Unsupported { field: "the kernel's size in memory", value: memory, wanted });
        }
        let mut bytes = Vec::new();
        for segment in &program.segments {
            let offset = usize::try_from(segment.address - linked_at).unwrap_or(usize::MAX);
            if !segment.bytes.is_empty() {
                if offset > bytes.len().saturating_add(payload.len()) {
                    let wanted = "expected less than the kernel's size";
                    let value = segment.address;
                    return Err(Error::Unsupported { field: "a load header's address", value, wanted });
                }
                bytes.resize(offset, 0);
                bytes.extend_from_slice(&segment.bytes);
            }
        }
        let relocations = relocations(payload)?;
        let unpacked =
            Self { bytes, memory, linked_at, entry, is_relocatable: !relocations.is_empty(), relocations };
        unpacked.check()?;
        Ok(unpacked)
    }

    /// Moves the kernel to virtual addresses that are higher by this number of bytes. The physical
    /// address does not matter.
    pub fn relocate(&mut self, by: u64) {
        let [wide, inverse, narrow] = self.groups();
        let places = |group: &[u32]| group.iter().map(|&word| self.place(word)).collect::<Vec<_>>();
        let (wide, inverse, narrow) = (places(wide), places(inverse), places(narrow));
        // The upper half of an address does not change: all are in the last 2 GiB.
        let low = u32::try_from(by & u64::from(u32::MAX)).unwrap_or(0);
        for at in narrow.into_iter().flatten() {
            change(&mut self.bytes, at, |old| u32::from_le_bytes(old).wrapping_add(low).to_le_bytes());
        }
        for at in inverse.into_iter().flatten() {
            change(&mut self.bytes, at, |old| u32::from_le_bytes(old).wrapping_sub(low).to_le_bytes());
        }
        for at in wide.into_iter().flatten() {
            change(&mut self.bytes, at, |old| u64::from_le_bytes(old).wrapping_add(by).to_le_bytes());
        }
    }

    /// The places of 64 bits, of 32 bits to subtract from, and of 32 bits.
    fn groups(&self) -> [&[u32]; 3] {
        let groups: Vec<&[u32]> = self.relocations.split(|&word| word == 0).collect();
        // Nothing comes before the first zero.
        match groups.as_slice() {
            [_, wide, inverse, narrow] => [wide, inverse, narrow],
            [_, wide, narrow] => [wide, &[], narrow],
            _ => [&[]; 3],
        }
    }

    /// The offset in memory of a place: the file has the lower half of its virtual address.
    fn place(&self, word: u32) -> Option<usize> {
        let physical = u64::from(word.checked_sub(MAP)?);
        usize::try_from(physical.checked_sub(self.linked_at)?).ok()
    }

    /// Every place is in the kernel's bytes.
    fn check(&self) -> Result<(), Error> {
        let [wide, inverse, narrow] = self.groups();
        let each = [(wide, 8), (inverse, 4), (narrow, 4)];
        let is_outside = |word: u32, size: usize| {
            let end = self.place(word).and_then(|at| at.checked_add(size));
            end.is_none_or(|end| end > self.bytes.len())
        };
        let outside = each
            .into_iter()
            .find_map(|(group, size)| group.iter().copied().find(|&word| is_outside(word, size)));
        match outside {
            None => Ok(()),
            Some(word) => Err(Error::Unsupported {
                field: "the place of an address",
                value: word.into(),
                wanted: "expected one in the kernel",
            }),
        }
    }
}

/// The words after the section headers, which are the last part of the ELF file.
fn relocations(payload: &[u8]) -> Result<Vec<u32>, Error> {
    let header = &CLASS_64.file_header;
    let count = u64::from(number(payload, header.section_header_count, ELF_HEADER)?);
    let size = u64::from(number(payload, header.section_header_size, ELF_HEADER)?);
    let start: u64 = number(payload, header.section_headers, ELF_HEADER)?;
    let table = part(payload, start, count * size, || "the table of section headers".into())?;
    if table.is_empty() {
        return Ok(Vec::new());
    }
    let end = start.saturating_add(count * size);
    let rest = usize::try_from(end).ok().and_then(|end| payload.get(end..)).unwrap_or(&[]);
    let (words, remainder) = rest.as_chunks::<4>();
    let words: Vec<u32> = words.iter().map(|&word| u32::from_le_bytes(word)).collect();
    let zeros = words.iter().filter(|&&word| word == 0).count();
    let unexpected =
        |field, value: usize, wanted| Err(Error::Unsupported { field, value: value as u64, wanted });
    match (words.first(), zeros, remainder.len()) {
        (None, _, 0) | (Some(0), 2 | 3, 0) => Ok(words),
        (_, _, 1..) => unexpected("the size of the relocations", rest.len(), "expected a multiple of 4"),
        _ => unexpected("the number of groups of relocations", zeros, "expected 2 or 3"),
    }
}

fn change<const N: usize>(bytes: &mut [u8], at: usize, new: impl Fn([u8; N]) -> [u8; N]) {
    if let Some(place) = bytes.get_mut(at..).and_then(<[u8]>::first_chunk_mut) {
        *place = new(*place);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: u64 = 0x100_0000;
    const VIRTUAL: u64 = 0xffff_ffff_8100_0000;

    /// An ELF file with one load header of 0x40 bytes and a page of zeros, an empty section header,
    /// and these words after it.
    fn payload(words: &[u32]) -> Vec<u8> {
        let mut file = vec![0; 0x40 + 56];
        file[..7].copy_from_slice(&abi::elf::IDENT_64);
        let mut put = |at: usize, bytes: &[u8]| file[at..at + bytes.len()].copy_from_slice(bytes);
        put(0x10, &2_u16.to_le_bytes());
        put(0x12, &62_u16.to_le_bytes());
        put(0x18, &(BASE + 0x10).to_le_bytes());
        put(0x20, &0x40_u64.to_le_bytes());
        put(0x28, &0xb8_u64.to_le_bytes());
        put(0x36, &56_u16.to_le_bytes());
        put(0x38, &1_u16.to_le_bytes());
        put(0x3a, &64_u16.to_le_bytes());
        put(0x3c, &1_u16.to_le_bytes());
        put(0x40, &1_u32.to_le_bytes());
        for (at, value) in [(0x48, 0x78), (0x50, VIRTUAL), (0x58, BASE), (0x60, 0x40), (0x68, 0x1040)] {
            put(at, &u64::to_le_bytes(value));
        }
        file.extend((VIRTUAL + 8).to_le_bytes());
        file.extend(u32::try_from(VIRTUAL & 0xffff_ffff).unwrap().to_le_bytes());
        file.extend((-4_i32).to_le_bytes());
        file.resize(0xb8 + 64, 0);
        file.extend(words.iter().flat_map(|word| word.to_le_bytes()));
        file
    }

    #[test]
    fn addresses_are_moved_in_each_way() {
        let mut kernel =
            Unpacked::parse(&payload(&[0, 0x8100_0000, 0, 0x8100_000c, 0, 0x8100_0008])).unwrap();
        assert_eq!((kernel.linked_at, kernel.memory, kernel.entry), (BASE, 0x2000, 0x10));
        assert!(kernel.is_relocatable);
        kernel.relocate(0x20_0000);
        assert_eq!(kernel.bytes[..8], (VIRTUAL + 0x20_0008).to_le_bytes());
        assert_eq!(kernel.bytes[8..12], 0x8120_0000_u32.to_le_bytes());
        assert_eq!(kernel.bytes[12..16], (-0x20_0004_i32).to_le_bytes());
    }

    #[test]
    fn newer_kernels_have_nothing_to_subtract_from() {
        let mut kernel = Unpacked::parse(&payload(&[0, 0x8100_0000, 0, 0x8100_0008])).unwrap();
        kernel.relocate(0x20_0000);
        assert_eq!(kernel.bytes[..8], (VIRTUAL + 0x20_0008).to_le_bytes());
        assert_eq!(kernel.bytes[8..12], 0x8120_0000_u32.to_le_bytes());
        assert_eq!(kernel.bytes[12..16], (-4_i32).to_le_bytes());
        let fixed = Unpacked::parse(&payload(&[])).unwrap();
        assert!(!fixed.is_relocatable);
    }

    #[test]
    fn places_outside_of_the_kernel_are_refused() {
        for words in [
            vec![0, 0x8100_0039, 0, 0],
            vec![0, 0, 0, 0x8100_003d],
            vec![0, 0x80ff_ffff, 0],
            vec![0, 1, 0],
            vec![1, 0, 0],
            vec![0],
            vec![0; 4],
        ] {
            assert!(Unpacked::parse(&payload(&words)).is_err(), "{words:x?}");
        }
        let mut odd = payload(&[0, 0]);
        odd.push(0);
        assert!(Unpacked::parse(&odd).unwrap_err().to_string().contains("multiple of 4"));
        for end in 0..odd.len() - 13 {
            let _ = Unpacked::parse(&odd[..end]);
        }
    }
}
