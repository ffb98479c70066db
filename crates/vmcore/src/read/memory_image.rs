//! A memory image of any format, page by page.

use phys::{Pfn, PhysRange};

use super::body::Body;
use super::elf::ElfCore;
use super::flattened::Flattened;
use super::header::KdumpHeader;
use super::kdump::Kdump;
use super::raw::RawMemory;
use super::set::Set;
use crate::format::flattened;
use crate::format::kdump::{self, utsname};
use crate::format::manifest::{Damage, Manifest};
use crate::kernel::notes;
use crate::kernel::paging::AddressSpace;
use crate::source::read_vec;
use crate::{DumpSource, Error, FrameSet, Origin, PhysRead, ReadAt, Result, Vmcoreinfo};

/// The formats that can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImageFormat {
    /// An ELF core file.
    Elf,
    /// A kdump-compressed dump.
    Kdump,
    /// A flattened stream.
    Flattened,
    /// Nothing but pages.
    Raw,
}

impl ImageFormat {
    /// Recognises a file by its first bytes. Raw memory may start with any.
    #[must_use]
    pub fn of(start: &[u8]) -> Option<Self> {
        if start.starts_with(&abi::elf::MAGIC) {
            Some(Self::Elf)
        } else if start.starts_with(&kdump::MAGIC) {
            Some(Self::Kdump)
        } else if start.starts_with(&flattened::MAGIC) {
            Some(Self::Flattened)
        } else {
            None
        }
    }
}

/// A memory image. It can be read from many threads at once.
pub struct MemoryImage<'a> {
    body: Box<dyn Body + Send + 'a>,
    format: ImageFormat,
    flattened: bool,
    /// Whether the image came as a flattened stream that ends too early.
    is_cut_off: bool,
    /// Facts about the kernel in place of the image's own.
    facts: Option<Vmcoreinfo>,
    /// The image's notes, with a VMCOREINFO that it lacks.
    notes: Option<Vec<u8>>,
}

impl<'a> MemoryImage<'a> {
    /// Recognises the format, and reads everything but the pages.
    ///
    /// # Errors
    /// The file cannot be read, is not a memory image, or claims to hold more than it does.
    pub fn open<S: ReadAt + Send + 'a>(source: S) -> Result<Self> {
        if format_of(&source)? == ImageFormat::Flattened {
            let length = source.length();
            let stream = Flattened::open(source)?;
            let is_cut_off = stream.is_cut_off();
            return match Self::open_plain(stream) {
                Ok(image) => Ok(Self { flattened: true, is_cut_off, ..image }),
                Err(error) if is_cut_off => Err(Error::CutOffEarly { length, source: Box::new(error) }),
                Err(error) => Err(error),
            };
        }
        Self::open_plain(source)
    }

    /// Opens the files of a split set as one image.
    ///
    /// # Errors
    /// A file cannot be read, or they do not belong together.
    pub fn open_set<S: ReadAt + Send + 'a>(sources: Vec<S>) -> Result<Self> {
        let parts = sources.into_iter().map(Self::open).collect::<Result<Vec<_>>>()?;
        let flattened = parts.iter().any(Self::is_flattened);
        let is_cut_off = parts.iter().any(|part| part.is_cut_off);
        let body = Set::new(parts.into_iter().map(|part| part.body).collect())?;
        Ok(Self {
            body: Box::new(body),
            format: ImageFormat::Kdump,
            flattened,
            is_cut_off,
            facts: None,
            notes: None,
        })
    }

    /// Opens a file that contains these ranges of memory one after the other, and nothing else.
    ///
    /// # Errors
    /// The ranges overlap, or the file has another length than all of them together.
    pub fn open_raw<S: ReadAt + Send + 'a>(source: S, ranges: &[PhysRange]) -> Result<Self> {
        Ok(Self {
            body: Box::new(RawMemory::open(source, ranges)?),
            format: ImageFormat::Raw,
            flattened: false,
            is_cut_off: false,
            facts: None,
            notes: None,
        })
    }

    /// A stream within a stream is refused, as it is not an ELF file.
    fn open_plain<S: ReadAt + Send + 'a>(source: S) -> Result<Self> {
        let format = format_of(&source)?;
        let body: Box<dyn Body + Send + 'a> = match format {
            ImageFormat::Kdump => Box::new(Kdump::open(source)?),
            ImageFormat::Elf | ImageFormat::Flattened | ImageFormat::Raw => Box::new(ElfCore::open(source)?),
        };
        let image = Self { body, format, flattened: false, is_cut_off: false, facts: None, notes: None };
        match image.vmcoreinfo().ok().and_then(|info| info.text("PAGESIZE")?.parse().ok()) {
            Some(value) if value != phys::PAGE_SIZE => {
                Err(Error::Unsupported { field: "the page size", value, wanted: "x86-64 has pages of 4096" })
            }
            _ => Ok(image),
        }
    }

    /// The name of the dumped machine's architecture, as `uname -m` prints it.
    #[must_use]
    pub fn machine(&self) -> String {
        let named = self.header().map(|header| utsname::string(&header.utsname, utsname::MACHINE));
        named.filter(|name| !name.is_empty()).unwrap_or_else(|| self.body.machine().to_owned())
    }

    /// The format; of a flattened stream, that of the file it describes.
    #[must_use]
    pub fn format(&self) -> ImageFormat {
        self.format
    }

    /// Whether the image came as a flattened stream.
    #[must_use]
    pub fn is_flattened(&self) -> bool {
        self.flattened
    }

    /// The pages that are in the image.
    #[must_use]
    pub fn present(&self) -> &FrameSet {
        self.body.present()
    }

    /// Bytes of memory that the open image takes: sets of frames, notes, places of pages. Pages are
    /// read when they are needed.
    #[must_use]
    pub fn memory(&self) -> u64 {
        self.body.memory() + self.notes.as_ref().map_or(0, |notes| notes.len() as u64)
    }

    /// The number of pages that headers describe and that would be after the end of the file. They
    /// count neither as present nor as unreadable. In /proc/kcore they are not memory.
    #[must_use]
    pub fn cut_off(&self) -> u64 {
        self.body.cut_off()
    }

    /// Whether the image is marked as incomplete: pages were missing when it was made, or it was
    /// never finished.
    #[must_use]
    pub fn is_incomplete(&self) -> bool {
        self.body.is_incomplete() || self.is_cut_off
    }

    /// Whether the image is a flattened stream that ends without its last record.
    #[must_use]
    pub fn is_stream_cut_off(&self) -> bool {
        self.is_cut_off
    }

    /// The pages that are memory of the dumped machine.
    #[must_use]
    pub fn ram(&self) -> &FrameSet {
        self.body.ram()
    }

    /// The ELF notes: registers of the CPUs, VMCOREINFO.
    #[must_use]
    pub fn notes(&self) -> &[u8] {
        self.notes.as_deref().unwrap_or_else(|| self.body.notes())
    }

    /// Uses these facts about the kernel in place of the image's own VMCOREINFO. Its notes are not
    /// changed, unless they have none.
    ///
    /// # Errors
    /// [`Error::OtherKernel`]: the image's own VMCOREINFO is that of another kernel.
    pub fn with_vmcoreinfo(self, facts: Vmcoreinfo) -> Result<Self> {
        let Ok(own) = self.vmcoreinfo() else {
            let mut notes = self.body.notes().to_vec();
            notes.resize(notes.len().next_multiple_of(notes::ALIGNMENT), 0);
            notes.extend(notes::vmcoreinfo_note(facts.to_text().as_bytes()));
            return Ok(Self { notes: Some(notes), facts: Some(facts), ..self });
        };
        for key in ["OSRELEASE", "BUILD-ID"] {
            if let (Some(given), Some(own)) = (facts.text(key), own.text(key))
                && given != own
            {
                let [given, own] = [given, own].map(str::to_owned);
                return Err(Error::OtherKernel { key, given, own });
            }
        }
        Ok(Self { facts: Some(facts.as_booted(&own)), ..self })
    }

    /// Searches memory for the VMCOREINFO of its kernel, which keeps a copy. `None` if there is
    /// none, or if there are several kernels, as of a guest.
    #[must_use]
    pub fn search_vmcoreinfo(&self) -> Option<Vmcoreinfo> {
        let pages = self
            .present()
            .runs()
            .filter_map(|run| PhysRange::new(Pfn::new(run.start)?, run.end - run.start).ok());
        let mut found: Option<Vmcoreinfo> = None;
        for info in notes::vmcoreinfos_in(self, pages).filter(|info| self.is_of_kernel(info)) {
            match &found {
                Some(other) if *other != info => return None,
                _ => found = Some(info),
            }
        }
        found
    }

    /// Whether these facts lead to a kernel of the same release.
    fn is_of_kernel(&self, info: &Vmcoreinfo) -> bool {
        let release = || -> Result<String> {
            let names = info.symbol("init_uts_ns")?.wrapping_add(info.offset("uts_namespace.name")? as u64);
            let mut bytes = vec![0; utsname::SIZE];
            AddressSpace::of_kernel(info)?.read(self, names, &mut bytes)?;
            Ok(utsname::string(&bytes, utsname::RELEASE))
        };
        release().is_ok_and(|release| info.text("OSRELEASE") == Some(release.as_str()))
    }

    /// The header of a kdump-compressed dump.
    #[must_use]
    pub fn header(&self) -> Option<&KdumpHeader> {
        self.body.header()
    }

    /// The manifest, if kjump wrote the dump.
    #[must_use]
    pub fn manifest(&self) -> Option<Manifest> {
        self.body.manifest()
    }

    /// Compares the file with its checksums and passes each damaged part to `report`. Returns
    /// whether the file has checksums.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn check_sums(&self, mut report: impl FnMut(Damage)) -> Result<bool> {
        match self.manifest() {
            Some(manifest) => self.body.check_sums(&manifest, &mut report)?,
            None if self.body.has_manifest() => report(Damage::Manifest),
            None => return Ok(false),
        }
        Ok(true)
    }

    /// The virtual address that the image itself gives to a physical one.
    #[must_use]
    pub fn virtual_address(&self, phys: u64) -> Option<u64> {
        self.body.virtual_address(phys)
    }

    /// The commands by which data was erased from the image, one a line; empty if none was.
    #[must_use]
    pub fn erased(&self) -> &[u8] {
        let own = self.body.erased();
        if own.is_empty() { notes::erased(self.notes()) } else { own }
    }

    /// The kernel's VMCOREINFO.
    ///
    /// # Errors
    /// [`Error::NoVmcoreinfo`].
    pub fn vmcoreinfo(&self) -> Result<Vmcoreinfo> {
        if let Some(facts) = &self.facts {
            return Ok(facts.clone());
        }
        let note = notes::vmcoreinfo(self.notes()).ok_or(Error::NoVmcoreinfo)?;
        Ok(Vmcoreinfo::parse(note.contents))
    }
}

impl PhysRead for MemoryImage<'_> {
    fn read_phys(&self, address: u64, buffer: &mut [u8]) -> Result<()> {
        self.body.read_phys(address, buffer)
    }
}

impl DumpSource for MemoryImage<'_> {
    fn present(&self) -> &FrameSet {
        self.body.present()
    }

    fn ram(&self) -> &FrameSet {
        self.body.ram()
    }

    fn notes(&self) -> &[u8] {
        self.notes()
    }

    fn vmcoreinfo(&self) -> Result<Vmcoreinfo> {
        self.vmcoreinfo()
    }

    fn virtual_address(&self, phys: u64) -> Option<u64> {
        self.body.virtual_address(phys)
    }

    fn erased(&self) -> &[u8] {
        self.erased()
    }

    fn origin(&self) -> Option<Origin<'_>> {
        self.header().map(|header| Origin {
            utsname: &header.utsname,
            seconds: header.seconds,
            phys_base: header.phys_base,
            level: header.level,
        })
    }
}

fn format_of<S: ReadAt>(source: &S) -> Result<ImageFormat> {
    let start = read_vec(source, "the first bytes", 0, source.length().min(16))?;
    ImageFormat::of(&start).ok_or(Error::Unrecognised { start })
}
