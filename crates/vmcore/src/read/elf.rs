//! ELF vmcores, 64- and 32-bit: load headers give physical memory, note headers the CPUs and VMCOREINFO.
//!
//! Layouts: System V ABI, chapters 4 "ELF header" and 5 "Program header".

use phys::{ADDRESS_END, PAGE_SIZE};

use crate::format::field::{u8_at, u16_at, u32_at, u64_at};
use crate::read::image::Body;
use crate::source::{read_exact, read_vec};
use crate::{Error, FrameSet, PhysRead, ReadAt, Result};

/// The first bytes of every ELF file.
pub(crate) const MAGIC: [u8; 4] = *b"\x7fELF";

/// Bytes of a 64-bit ELF header.
pub(crate) const HEADER_SIZE: usize = 64;
/// Bytes of a 64-bit program header.
pub(crate) const PROGRAM_HEADER_SIZE: usize = 56;
/// The ELF type of a core file.
pub(crate) const TYPE_CORE: u16 = 4;
/// The ELF machine of x86-64.
pub(crate) const MACHINE_X86_64: u16 = 62;
/// The type of a program header with memory.
pub(crate) const LOAD: u32 = 1;
/// The type of a program header with notes.
pub(crate) const NOTE: u32 = 4;
/// In the flags of an ELF header: makedumpfile's mark of a dump that was cut short (`DUMP_ELF_INCOMPLETE`).
pub(crate) const INCOMPLETE: u32 = 1;
/// As the number of program headers: the true one is `sh_info` of the first section header.
pub(crate) const MANY_HEADERS: u16 = 0xffff;

/// More program headers than this are a damaged file.
const MOST_HEADERS: u64 = 1 << 22;
/// More bytes of notes than this are a damaged file: 8192 CPUs need 3 MiB.
const MOST_NOTES: u64 = 64 << 20;

/// One load header. All in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Load {
    /// Where its bytes are in the file.
    pub(crate) offset: u64,
    /// The virtual address it claims.
    pub(crate) virt: u64,
    /// The physical address of its first byte.
    pub(crate) phys: u64,
    /// How many bytes the file has.
    pub(crate) filesz: u64,
    /// How much memory it stands for.
    pub(crate) memsz: u64,
}

/// An ELF vmcore.
pub(crate) struct ElfCore<S> {
    source: S,
    loads: Vec<Load>,
    notes: Vec<u8>,
    ram: FrameSet,
    present: FrameSet,
    /// How much more memory without bytes is remembered.
    holes: u64,
    /// Bytes of memory that would be behind the end of the file.
    cut_off: u64,
    incomplete: bool,
}

/// Where the two classes of ELF differ.
struct Class {
    wide: bool,
    headers_at: usize,
    header_count: usize,
    sections_at: usize,
    header_size: usize,
    flags_at: usize,
}

const CLASS_64: Class =
    Class { wide: true, headers_at: 32, header_count: 56, sections_at: 40, header_size: 56, flags_at: 48 };
const CLASS_32: Class =
    Class { wide: false, headers_at: 28, header_count: 44, sections_at: 32, header_size: 32, flags_at: 36 };

impl<S: ReadAt> ElfCore<S> {
    /// Reads the headers and notes.
    ///
    /// # Errors
    /// The file cannot be read, is no little-endian ELF core file, or says it has what it has not.
    pub(crate) fn open(source: S) -> Result<Self> {
        let header = read_vec(&source, "the ELF header", 0, 52.max(source.length().min(64)))?;
        let class = class(&header)?;
        let headers = program_headers(&source, &header, class)?;
        let (ram, present) = (FrameSet::new(), FrameSet::new());
        let mut core = Self {
            source,
            loads: Vec::new(),
            notes: Vec::new(),
            ram,
            present,
            holes: MOST_HOLES,
            cut_off: 0,
            incomplete: u32_at(&header, class.flags_at) & INCOMPLETE != 0,
        };
        for header in headers.chunks_exact(class.header_size) {
            core.take(header, class)?;
        }
        core.loads.sort_by_key(|load| load.phys);
        Ok(core)
    }

    fn take(&mut self, header: &[u8], class: &Class) -> Result<()> {
        let load = if class.wide { load_64(header) } else { load_32(header) };
        match u32_at(header, 0) {
            LOAD => self.take_load(load),
            NOTE if load.filesz > MOST_NOTES => {
                Err(Error::TooLarge { what: "the size of the notes", value: load.filesz, most: MOST_NOTES })
            }
            NOTE => {
                self.notes.extend(read_vec(&self.source, "the notes", load.offset, load.filesz)?);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Bytes behind the end of the file are not there; /proc/kcore has mappings that are no memory at address -1.
    fn take_load(&mut self, load: Load) -> Result<()> {
        if load.phys >= ADDRESS_END || load.memsz == 0 {
            return Ok(());
        }
        if load.memsz > ADDRESS_END - load.phys {
            return Err(Error::TooLarge {
                what: "the size of a load header",
                value: load.memsz,
                most: ADDRESS_END,
            });
        }
        let there = self.source.length().saturating_sub(load.offset);
        let claimed = load.filesz.min(load.memsz);
        let load = Load { filesz: claimed.min(there), ..load };
        self.cut_off = self.cut_off.saturating_add(claimed - load.filesz);
        insert_bytes(&mut self.present, load.phys, load.filesz);
        // Memory without bytes is claimed by headers alone, so what is spent on it has a bound.
        let hole = (load.memsz - load.filesz).min(self.holes);
        self.holes -= hole;
        insert_bytes(&mut self.ram, load.phys, load.filesz + hole);
        self.loads.push(load);
        Ok(())
    }

    /// The load that has the byte at this address, or the next one above: whichever reaches further.
    fn load_at(&self, address: u64) -> Option<Load> {
        let behind = self.loads.partition_point(|load| load.phys <= address);
        let has = |load: &&Load| address - load.phys < load.filesz;
        // The kernel's text may have a load of its own inside a larger one, hence the way back.
        self.loads[..behind].iter().rev().take(LOADS_OVER_EACH_OTHER).find(has).copied()
    }

    fn next_load(&self, address: u64) -> Option<u64> {
        let behind = self.loads.partition_point(|load| load.phys <= address);
        self.loads[behind..].iter().find(|load| load.filesz > 0).map(|load| load.phys)
    }
}

/// How many loads may start between an address and the load that has it.
const LOADS_OVER_EACH_OTHER: usize = 64;

/// So many bytes of memory that is not in the file are known as memory. To remember them takes 128 MiB.
const MOST_HOLES: u64 = 1 << 42;

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

    fn loads(&self) -> &[Load] {
        &self.loads
    }
}

impl<S: ReadAt> PhysRead for ElfCore<S> {
    /// Bytes of a page of which the file has only others read as zeros.
    fn read_phys(&self, address: u64, buffer: &mut [u8]) -> Result<()> {
        let mut done = 0;
        while done < buffer.len() {
            let at = address + done as u64;
            let left = buffer.len() - done;
            done += match self.load_at(at) {
                Some(load) => {
                    let inside = at - load.phys;
                    let count = left.min(usize::try_from(load.filesz - inside).unwrap_or(left));
                    read_exact(
                        &self.source,
                        "memory",
                        load.offset + inside,
                        &mut buffer[done..done + count],
                    )?;
                    count
                }
                None => self.fill_gap(at, &mut buffer[done..])?,
            };
        }
        Ok(())
    }
}

impl<S: ReadAt> ElfCore<S> {
    /// Zeros up to the next load or the end of the page.
    fn fill_gap(&self, at: u64, buffer: &mut [u8]) -> Result<usize> {
        let absent = Error::Absent { pfn: at / PAGE_SIZE };
        let Some(page) = phys::Pfn::new(at / PAGE_SIZE) else { return Err(absent) };
        if !self.present.contains(page) {
            return Err(absent);
        }
        let end = (page.address().get() + PAGE_SIZE).min(self.next_load(at).unwrap_or(u64::MAX));
        let count = usize::try_from(end - at).unwrap_or(buffer.len()).min(buffer.len());
        buffer[..count].fill(0);
        Ok(count)
    }
}

fn insert_bytes(set: &mut FrameSet, address: u64, size: u64) {
    if size > 0 {
        set.insert(address / PAGE_SIZE, (address + size).div_ceil(PAGE_SIZE));
    }
}

fn class(header: &[u8]) -> Result<&'static Class> {
    if !header.starts_with(&MAGIC) {
        return Err(Error::Unrecognised { start: header[..8].to_vec() });
    }
    let unsupported = |field, value, wanted| Err(Error::Unsupported { field, value, wanted });
    if u8_at(header, 5) != 1 {
        return unsupported("the ELF data encoding", u8_at(header, 5).into(), "little-endian, 1, is read");
    }
    if u16_at(header, 16) != TYPE_CORE {
        return unsupported("the ELF type", u16_at(header, 16).into(), "a vmcore is a core file, 4");
    }
    match u8_at(header, 4) {
        1 => Ok(&CLASS_32),
        2 => Ok(&CLASS_64),
        value => unsupported("the ELF class", value.into(), "1 (32-bit) and 2 (64-bit) exist"),
    }
}

fn program_headers<S: ReadAt>(source: &S, header: &[u8], class: &Class) -> Result<Vec<u8>> {
    let word = |at| if class.wide { u64_at(header, at) } else { u32_at(header, at).into() };
    let mut count = u64::from(u16_at(header, class.header_count));
    if count == MANY_HEADERS.into() {
        let info = if class.wide { 44 } else { 28 };
        let section = read_vec(source, "the first section header", word(class.sections_at), info as u64 + 4)?;
        count = u32_at(&section, info).into();
    }
    if count > MOST_HEADERS {
        return Err(Error::TooLarge {
            what: "the number of program headers",
            value: count,
            most: MOST_HEADERS,
        });
    }
    read_vec(source, "the program headers", word(class.headers_at), count * class.header_size as u64)
}

fn load_64(header: &[u8]) -> Load {
    let [offset, virt, phys, filesz, memsz] = [8, 16, 24, 32, 40].map(|at| u64_at(header, at));
    Load { offset, virt, phys, filesz, memsz }
}

fn load_32(header: &[u8]) -> Load {
    let [offset, virt, phys, filesz, memsz] = [4, 8, 12, 16, 20].map(|at| u64::from(u32_at(header, at)));
    Load { offset, virt, phys, filesz, memsz }
}
