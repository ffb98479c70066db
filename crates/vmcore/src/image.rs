//! A memory image of any format, page by page.

use crate::elf::{self, ElfCore};
use crate::flattened::{self, Flattened};
use crate::kdump::{self, Kdump};
use crate::notes;
use crate::source::read_vec;
use crate::{Error, FrameSet, Header, PhysRead, ReadAt, Result, Vmcoreinfo};

/// The formats that can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// An ELF core file.
    Elf,
    /// A kdump-compressed dump.
    Kdump,
    /// A flattened stream.
    Flattened,
}

impl Format {
    /// Recognises a file by its first bytes.
    #[must_use]
    pub fn of(start: &[u8]) -> Option<Self> {
        if start.starts_with(&elf::MAGIC) {
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

/// What the formats have in common.
pub(crate) trait Body: PhysRead {
    /// The pages that are in the image.
    fn present(&self) -> &FrameSet;
    /// The pages that are memory of the dumped machine.
    fn ram(&self) -> &FrameSet;
    /// The ELF notes.
    fn notes(&self) -> &[u8];
    /// The header of a kdump-compressed dump.
    fn header(&self) -> Option<&Header> {
        None
    }
    /// Loads with virtual addresses, of an ELF vmcore.
    fn loads(&self) -> &[elf::Load] {
        &[]
    }
}

/// A memory image. It can be read from many threads at once.
pub struct Image<'a> {
    body: Box<dyn Body + Send + 'a>,
    format: Format,
    flattened: bool,
}

impl<'a> Image<'a> {
    /// Recognises the format, and reads everything but the pages.
    ///
    /// # Errors
    /// The file cannot be read, is no memory image, or says it has what it has not.
    pub fn open<S: ReadAt + Send + 'a>(source: S) -> Result<Self> {
        if format_of(&source)? == Format::Flattened {
            let image = Self::open_plain(Flattened::open(source)?)?;
            return Ok(Self { flattened: true, ..image });
        }
        Self::open_plain(source)
    }

    /// A stream within a stream is nothing that anybody writes: it is no ELF file either, and refused as that.
    fn open_plain<S: ReadAt + Send + 'a>(source: S) -> Result<Self> {
        let format = format_of(&source)?;
        let body: Box<dyn Body + Send + 'a> = match format {
            Format::Kdump => Box::new(Kdump::open(source)?),
            Format::Elf | Format::Flattened => Box::new(ElfCore::open(source)?),
        };
        Ok(Self { body, format, flattened: false })
    }

    /// The format; of a flattened stream, that of the file it describes.
    #[must_use]
    pub fn format(&self) -> Format {
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

    /// The pages that are memory of the dumped machine.
    #[must_use]
    pub fn ram(&self) -> &FrameSet {
        self.body.ram()
    }

    /// The ELF notes: registers of the CPUs, VMCOREINFO.
    #[must_use]
    pub fn notes(&self) -> &[u8] {
        self.body.notes()
    }

    /// The header of a kdump-compressed dump.
    #[must_use]
    pub fn header(&self) -> Option<&Header> {
        self.body.header()
    }

    /// The virtual address that the image itself gives to a physical one.
    #[must_use]
    pub fn virtual_address(&self, phys: u64) -> Option<u64> {
        let has = |load: &&elf::Load| phys.checked_sub(load.phys).is_some_and(|inside| inside < load.memsz);
        self.body.loads().iter().find(has).map(|load| load.virt.wrapping_add(phys - load.phys))
    }

    /// What the kernel says about itself.
    ///
    /// # Errors
    /// [`Error::NoVmcoreinfo`].
    pub fn vmcoreinfo(&self) -> Result<Vmcoreinfo> {
        let note = notes::vmcoreinfo(self.notes()).ok_or(Error::NoVmcoreinfo)?;
        Ok(Vmcoreinfo::parse(note.contents))
    }
}

impl PhysRead for Image<'_> {
    fn read_phys(&self, address: u64, buffer: &mut [u8]) -> Result<()> {
        self.body.read_phys(address, buffer)
    }
}

fn format_of<S: ReadAt>(source: &S) -> Result<Format> {
    let start = read_vec(source, "the first bytes", 0, source.length().min(16))?;
    Format::of(&start).ok_or(Error::Unrecognised { start })
}
