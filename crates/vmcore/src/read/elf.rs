//! ELF vmcores, 64- and 32-bit: load headers give physical memory, note headers the registers of
//! CPUs and VMCOREINFO.

use abi::Field;
use abi::elf::note::CORE;
use abi::elf::{self, CLASS_32, CLASS_64, Class, file_type, ident, program_type};
use phys::{ADDRESS_END, PAGE_SIZE, Pfn};

use super::body::{Body, MOST_NOTES};
use super::pieces::{Found, Piece, Pieces};
use crate::format::elf::{self as vmcore_elf, INCOMPLETE};
use crate::format::field::get;
use crate::kernel::notes;
use crate::source::{check_inside, read_exact, read_vec};
use crate::{Error, FrameSet, PhysRead, ReadAt, Result};

/// A file with more program headers is damaged.
const MOST_HEADERS: u64 = 1 << 22;
/// At most this many bytes of memory that is not in the file are recorded as memory: 64 TiB, which
/// takes some 20 MiB.
const MOST_HOLES: u64 = 1 << 46;

/// A load header. Sizes are in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Load {
    /// Offset of its bytes in the file.
    offset: u64,
    /// The virtual address it claims.
    virt: u64,
    /// The physical address of its first byte.
    phys: u64,
    /// Bytes in the file.
    file_size: u64,
    /// Bytes of memory.
    memory_size: u64,
}

/// An ELF vmcore.
pub(super) struct ElfCore<S> {
    source: S,
    /// Where in the file the bytes of memory are, by physical address.
    bytes: Pieces,
    /// The virtual address of memory, by physical address.
    virt: Pieces,
    notes: Vec<u8>,
    ram: FrameSet,
    present: FrameSet,
    /// Memory without data. Only while the headers are read.
    gaps: FrameSet,
    /// How many more bytes of memory without data are recorded.
    holes: u64,
    /// Bytes of all loads, which may be the same bytes.
    claimed: u64,
    /// Bytes of memory that would be after the end of the file.
    cut_off: u64,
    incomplete: bool,
    /// Whether it is of i386.
    is_narrow: bool,
}

impl<S: ReadAt> ElfCore<S> {
    /// Reads the headers and notes.
    ///
    /// # Errors
    /// The file cannot be read, is not a little-endian ELF core file, or claims to hold more than
    /// it does.
    pub(super) fn open(source: S) -> Result<Self> {
        let (narrow, wide) = (CLASS_32.file_header.size as u64, CLASS_64.file_header.size as u64);
        let header = read_vec(&source, "the ELF header", 0, narrow.max(source.length().min(wide)))?;
        check(&header)?;
        match get(&header, ident::CLASS) {
            ident::CLASS_32 => Self::read(source, &header, &CLASS_32),
            ident::CLASS_64 => Self::read(source, &header, &CLASS_64),
            value => Err(Error::Unsupported {
                field: "the ELF class",
                value: value.into(),
                wanted: "expected 1 (32-bit) or 2 (64-bit)",
            }),
        }
    }

    fn read<A: abi::Number>(source: S, header: &[u8], class: &Class<A>) -> Result<Self> {
        let table = HeaderTable::of(&source, header, class)?;
        let mut core = Self {
            source,
            bytes: Pieces::default(),
            virt: Pieces::default(),
            notes: Vec::new(),
            ram: FrameSet::new(),
            present: FrameSet::new(),
            gaps: FrameSet::new(),
            holes: MOST_HOLES,
            claimed: 0,
            cut_off: 0,
            incomplete: get(header, class.file_header.flags) & INCOMPLETE != 0,
            is_narrow: get(header, CLASS_64.file_header.machine) == elf::machine::I386,
        };
        // There may be millions: there is no room for a second copy of them.
        let mut bytes = Vec::with_capacity(table.count);
        let mut virt = Vec::with_capacity(table.count);
        let mut batch = Vec::new();
        for first in (0..table.count).step_by(BATCH) {
            table.read(&core.source, first, &mut batch)?;
            for header in batch.chunks_exact(class.program_header.size) {
                let load = load(header, class);
                match get(header, class.program_header.kind) {
                    program_type::LOAD => {
                        if let Some(load) = core.add_memory(load)? {
                            bytes.push(Piece { start: load.phys, size: load.file_size, at: load.offset });
                            virt.push(Piece { start: load.phys, size: load.memory_size, at: load.virt });
                        }
                    }
                    program_type::NOTE => core.add_notes(load)?,
                    _ => {}
                }
            }
        }
        core.ram = core.present.clone();
        core.ram.unite(std::mem::take(&mut core.gaps));
        if virt.is_empty() {
            return Err(Error::NoMemory);
        }
        if is_of_process(&virt, &core.notes) {
            return Err(Error::ProcessCore);
        }
        // The kernel's text may have a load of its own inside a larger one: its bytes count, but
        // the larger one's virtual address.
        for pieces in [&mut bytes, &mut virt] {
            if !pieces.is_sorted_by_key(|piece| piece.start) {
                pieces.sort_by_key(|piece| piece.start);
            }
        }
        virt.reverse();
        core.bytes = Pieces::of(bytes);
        core.virt = Pieces::of(virt);
        Ok(core)
    }

    fn add_notes(&mut self, notes: Load) -> Result<()> {
        // Headers may refer to the same bytes, but not to more of them than the file has.
        let most = MOST_NOTES.min(self.source.stored());
        let value = (self.notes.len() as u64).saturating_add(notes.file_size);
        if value > most {
            return Err(Error::TooLarge { what: "the size of all notes", value, most });
        }
        // Nothing is allocated for notes beyond the end, and no more than necessary for the others.
        check_inside(&self.source, "the notes", notes.offset, notes.file_size)?;
        let (old, size) = (self.notes.len(), usize::try_from(notes.file_size).unwrap_or(0));
        self.notes.reserve_exact(size);
        self.notes.resize(old + size, 0);
        read_exact(&self.source, "the notes", notes.offset, &mut self.notes[old..])
    }

    /// The load as far as it is memory and in the file. `/proc/kcore` has mappings that are not
    /// memory at address -1.
    fn add_memory(&mut self, load: Load) -> Result<Option<Load>> {
        if load.phys == u64::MAX || load.memory_size == 0 {
            return Ok(None);
        }
        if load.phys >= ADDRESS_END || load.memory_size > ADDRESS_END - load.phys {
            return Err(Error::TooLarge {
                what: "the end of a load header",
                value: load.phys.saturating_add(load.memory_size),
                most: ADDRESS_END,
            });
        }
        let there = self.source.length().saturating_sub(load.offset);
        let claimed = load.file_size.min(load.memory_size);
        let load = Load { file_size: claimed.min(there), ..load };
        self.cut_off = self.cut_off.saturating_add(claimed - load.file_size);
        self.claimed = self.claimed.saturating_add(load.file_size);
        let most = self.source.stored().saturating_add(MOST_HOLES);
        if self.claimed > most {
            let what = "the size of all load headers";
            return Err(Error::TooLarge { what, value: self.claimed, most });
        }
        insert_bytes(&mut self.present, load.phys, load.file_size);
        // Memory without data costs a file nothing but a header, so the effort for it is limited.
        let hole = (load.memory_size - load.file_size).min(self.holes);
        self.holes -= hole;
        insert_bytes(&mut self.gaps, load.phys + load.file_size, hole);
        Ok(Some(load))
    }

    /// Fills the part of a page that is not in the file with zeros; returns how many bytes that is.
    fn fill_gap(&self, at: u64, gap: u64, buffer: &mut [u8]) -> Result<usize> {
        let absent = Error::Absent { pfn: at / PAGE_SIZE };
        let Some(page) = Pfn::new(at / PAGE_SIZE) else { return Err(absent) };
        // `present` and the pieces are made of the same headers, but zeros are never a guess.
        let has_bytes = match self.bytes.find(at - at % PAGE_SIZE) {
            Found::At(..) => true,
            Found::Gap(gap) => gap < PAGE_SIZE,
        };
        if !has_bytes || !self.present.contains(page) {
            return Err(absent);
        }
        let count = gap.min(page.address().get() + PAGE_SIZE - at);
        let count = usize::try_from(count).unwrap_or(buffer.len()).min(buffer.len());
        buffer[..count].fill(0);
        Ok(count)
    }
}

impl<S: ReadAt> Body for ElfCore<S> {
    /// Pages of which the file has at least a byte.
    fn present(&self) -> &FrameSet {
        &self.present
    }

    fn ram(&self) -> &FrameSet {
        &self.ram
    }

    fn notes(&self) -> &[u8] {
        &self.notes
    }

    fn cut_off(&self) -> u64 {
        self.cut_off.div_ceil(PAGE_SIZE)
    }

    fn is_incomplete(&self) -> bool {
        self.incomplete
    }

    fn machine(&self) -> &'static str {
        if self.is_narrow { "i386" } else { "x86_64" }
    }

    fn memory(&self) -> u64 {
        let sets = self.ram.memory() + self.present.memory();
        sets + self.notes.len() as u64 + self.bytes.memory() + self.virt.memory()
    }

    /// A load may start within a page: then the rest of the page has addresses too.
    fn virtual_address(&self, phys: u64) -> Option<u64> {
        match self.virt.find(phys) {
            Found::At(virt, _) => Some(virt),
            Found::Gap(gap) if gap < PAGE_SIZE - phys % PAGE_SIZE => match self.virt.find(phys + gap) {
                Found::At(virt, _) => Some(virt.wrapping_sub(gap)),
                Found::Gap(_) => None,
            },
            Found::Gap(_) => None,
        }
    }
}

impl<S: ReadAt> PhysRead for ElfCore<S> {
    /// Where the file has only a part of a page, the rest reads as zeros.
    fn read_phys(&self, address: u64, buffer: &mut [u8]) -> Result<()> {
        let mut done = 0;
        while done < buffer.len() {
            let at = address.saturating_add(done as u64);
            let left = &mut buffer[done..];
            done += match self.bytes.find(at) {
                Found::At(offset, size) => {
                    let count = usize::try_from(size).unwrap_or(left.len()).min(left.len());
                    read_exact(&self.source, "memory", offset, &mut left[..count])?;
                    count
                }
                Found::Gap(gap) => self.fill_gap(at, gap, left)?,
            };
        }
        Ok(())
    }
}

/// Whether a core file is that of a process, which has no physical addresses: its notes show it, or
/// all of several loads are at address 0.
fn is_of_process(loads: &[Piece], notes: &[u8]) -> bool {
    let has_note = notes::iter(notes)
        .any(|note| note.name == CORE && matches!(note.kind, vmcore_elf::NT_AUXV | vmcore_elf::NT_FILE));
    has_note || loads.len() > 1 && loads.iter().all(|load| load.start == 0)
}

fn insert_bytes(set: &mut FrameSet, address: u64, size: u64) {
    if size > 0 {
        set.insert(address / PAGE_SIZE, (address + size).div_ceil(PAGE_SIZE));
    }
}

fn check(header: &[u8]) -> Result<()> {
    if !header.starts_with(&elf::MAGIC) {
        return Err(Error::Unrecognised { start: header[..8].to_vec() });
    }
    let unsupported = |field, value, wanted| Err(Error::Unsupported { field, value, wanted });
    let machine = get(header, CLASS_64.file_header.machine);
    match (get(header, ident::DATA), get(header, CLASS_64.file_header.kind)) {
        (ident::LITTLE_ENDIAN, file_type::CORE) if vmcore_elf::is_supported(machine) => Ok(()),
        (ident::LITTLE_ENDIAN, file_type::CORE) => {
            Err(Error::ForeignMachine { machine: vmcore_elf::machine_name(machine) })
        }
        (ident::LITTLE_ENDIAN, kind) => unsupported("the ELF type", kind.into(), "expected a core file, 4"),
        (data, _) => unsupported("the ELF data encoding", data.into(), "only little-endian, 1, is supported"),
    }
}

/// Program headers to read at a time.
const BATCH: usize = 1024;

/// The table of program headers.
struct HeaderTable {
    at: u64,
    count: usize,
    /// Bytes of each.
    size: usize,
}

impl HeaderTable {
    fn of<A: abi::Number>(source: &impl ReadAt, header: &[u8], class: &Class<A>) -> Result<Self> {
        let layout = &class.file_header;
        let mut count = u64::from(get(header, layout.program_header_count));
        if count == elf::MANY_PROGRAM_HEADERS.into() {
            let at = get(header, layout.section_headers).into();
            let section = read_vec(source, "the first section header", at, class.section_header.size as u64)?;
            count = get(&section, class.section_header.info).into();
        }
        if count > MOST_HEADERS {
            let what = "the number of program headers";
            return Err(Error::TooLarge { what, value: count, most: MOST_HEADERS });
        }
        let (at, size) = (get(header, layout.program_headers).into(), class.program_header.size);
        check_inside(source, "the program headers", at, count * size as u64)?;
        Ok(Self { at, count: usize::try_from(count).unwrap_or(0), size })
    }

    /// Reads a batch of headers.
    fn read(&self, source: &impl ReadAt, first: usize, batch: &mut Vec<u8>) -> Result<()> {
        batch.resize((self.count - first).min(BATCH) * self.size, 0);
        read_exact(source, "the program headers", self.at + (first * self.size) as u64, batch)
    }
}

fn load<A: abi::Number>(header: &[u8], class: &Class<A>) -> Load {
    let number = |field: Field<A>| get(header, field).into();
    let layout = &class.program_header;
    Load {
        offset: number(layout.offset),
        virt: number(layout.virt),
        phys: number(layout.phys),
        file_size: number(layout.file_size),
        memory_size: number(layout.memory_size),
    }
}

#[cfg(test)]
mod tests;
