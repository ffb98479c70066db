//! Linux for x86: `Documentation/arch/x86/boot.rst`.

use std::fmt;

use abi::setup_header::{self as header, load_flag, xload_flag};
use abi::{Field, Number};

use crate::bytes::{number, part, rest};
use crate::{Compression, Error, Format};

/// A version of the boot protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Protocol {
    /// The major version.
    pub major: u8,
    /// The minor version, two digits.
    pub minor: u8,
}

impl Protocol {
    /// Version 2.xx.
    const fn two(minor: u8) -> Self {
        Self { major: 2, minor }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:02}", self.major, self.minor)
    }
}

/// The parts of a kernel file, and its header's contents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BzImage<'a> {
    /// The boot protocol, at least 2.00.
    pub protocol: Protocol,
    /// The boot sector and the code that runs in real mode.
    pub setup: &'a [u8],
    /// The setup header, from [`header::START`] to the end that it contains.
    pub header: &'a [u8],
    /// The code for protected mode and 64-bit mode, to the end of the file. Not empty.
    pub kernel: &'a [u8],
    /// Whether the protected-mode code is loaded at 1 MiB or above.
    pub loads_high: bool,
    /// Whether there is a 64-bit entry point, [`header::ENTRY_64`] bytes after the load address.
    pub has_entry_64: bool,
    /// Whether the header shows that it can be entered in real mode only: it names no address of
    /// code for protected mode, or no bytes of it, and no other entry point.
    pub only_real_mode: bool,
    /// Whether kernel, initrd, command line and boot_params may lie above 4 GiB.
    pub above_4g: bool,
    /// Whether EFI runtime services survive a kexec into it.
    pub efi_kexec: bool,
    /// Whether it can use page tables of five levels.
    pub levels_5: bool,
    /// The alignment of a load address, or `None` if only [`preferred`](Self::preferred) works.
    pub alignment: Option<u64>,
    /// The load address at which the kernel need not move itself.
    pub preferred: u64,
    /// Bytes of memory that it uses from its load address, before it reads the memory map.
    pub memory: u64,
    /// Limit of the command line in bytes, without the terminating zero.
    pub cmdline_size: u64,
    /// Highest address of the last byte of an initrd.
    pub initrd_last: u64,
    /// The compressed kernel, if the header contains its offset.
    pub payload: Option<&'a [u8]>,
    /// Release, builder and date, as in `6.1.0-35-amd64 (debian-kernel@…) #1 SMP …`.
    pub version: Option<&'a [u8]>,
}

/// Sectors of setup code if the header contains 0.
const DEFAULT_SECTORS: u8 = 4;
/// Load address of the protected-mode code before protocol 2.10.
const HIGH: u64 = 0x10_0000;
const LOW: u64 = 0x1_0000;
/// Limit of the version text in bytes.
const VERSION_LIMIT: usize = 512;
/// Limit of a decompressed kernel in bytes.
const MOST_UNPACKED: u64 = 1 << 30;

impl<'a> BzImage<'a> {
    /// The parts of a file.
    ///
    /// # Errors
    /// [`Error::Not`], [`Error::OutOfFile`] if the file ends before a part of it,
    /// [`Error::Unsupported`].
    pub fn parse(file: &'a [u8]) -> Result<Self, Error> {
        if Format::recognise(file) != Some(Format::BzImage) {
            return Err(Error::Not { wanted: Format::BzImage });
        }
        let [minor, major] = number(file, header::VERSION, "the setup header")?.to_le_bytes();
        let fields = Fields { file, protocol: Protocol { major, minor } };
        if fields.protocol < Protocol::two(0) {
            let value = u16::from_be_bytes([major, minor]).into();
            return Err(Error::Unsupported {
                field: "the boot protocol",
                value,
                wanted: "expected at least 0x200",
            });
        }
        fields.parts()
    }

    /// Decompresses the kernel once, as it does itself when it is entered. There, damage would halt
    /// it with a message that cannot be seen.
    ///
    /// # Errors
    /// Those of [`Compression::decompress`], and [`Error::Unpacked`] if the decompressed size is
    /// not the one in the file. A kernel without compression, or with an unknown one, passes.
    pub fn check_payload(&self) -> Result<(), Error> {
        let Some(payload) = self.payload else { return Ok(()) };
        let Some(compression) = Compression::recognise(payload) else { return Ok(()) };
        let length = compression.check(payload, self.most_unpacked())?;
        require_stated(compression, length, payload)
    }

    /// Bytes that [`check_payload`](Self::check_payload) takes at most besides the file: a
    /// decompressor keeps as much of its output as later data may refer to.
    #[must_use]
    pub fn memory_to_check(&self) -> u64 {
        let payload = self.payload.filter(|payload| Compression::recognise(payload).is_some());
        payload.map_or(0, |payload| stated_size(payload).min(self.most_unpacked()))
    }

    pub(crate) fn decompressed(&self, compression: Compression, payload: &[u8]) -> Result<Vec<u8>, Error> {
        let unpacked = compression.decompress(payload, self.most_unpacked())?;
        require_stated(compression, unpacked.len() as u64, payload)?;
        Ok(unpacked)
    }

    fn most_unpacked(&self) -> u64 {
        self.memory.min(MOST_UNPACKED)
    }
}

/// The size of the decompressed data at the end of a payload. For formats without a size, the
/// kernel's build appends it (`size_append` of scripts/Makefile.lib).
fn stated_size(payload: &[u8]) -> u64 {
    payload.last_chunk().map_or(0, |&bytes| u32::from_le_bytes(bytes).into())
}

fn require_stated(what: Compression, length: u64, payload: &[u8]) -> Result<(), Error> {
    let stated = stated_size(payload);
    if length == stated { Ok(()) } else { Err(Error::Unpacked { what, length, stated }) }
}

/// A file that begins like a kernel, and the boot protocol of its header.
#[derive(Clone, Copy)]
struct Fields<'a> {
    file: &'a [u8],
    protocol: Protocol,
}

impl<'a> Fields<'a> {
    fn parts(self) -> Result<BzImage<'a>, Error> {
        let setup_size = self.setup_size()?;
        let setup = part(self.file, 0, setup_size, || "the setup code".into())?;
        let kernel = rest(self.file, setup_size, "the protected-mode code")?;
        self.check_size(kernel)?;
        let loads_high = self.get(0, header::LOADFLAGS, 0)? & load_flag::LOADED_HIGH != 0;
        let xloadflags = self.get(12, header::XLOADFLAGS, 0)?;
        let has = |flag| xloadflags & flag != 0;
        Ok(BzImage {
            protocol: self.protocol,
            setup,
            header: self.header()?,
            kernel,
            loads_high,
            has_entry_64: has(xload_flag::KERNEL_64),
            only_real_mode: !has(xload_flag::KERNEL_64) && self.lacks_entry_32(kernel)?,
            above_4g: has(xload_flag::CAN_BE_LOADED_ABOVE_4G),
            efi_kexec: has(xload_flag::EFI_KEXEC),
            levels_5: has(xload_flag::LEVELS_5),
            alignment: self.alignment()?,
            preferred: self.get(10, header::PREF_ADDRESS, if loads_high { HIGH } else { LOW })?,
            memory: u64::from(self.get(10, header::INIT_SIZE, 0)?).max(kernel.len() as u64),
            cmdline_size: self.get(6, header::CMDLINE_SIZE, header::CMDLINE_SIZE_BEFORE_2_06)?.into(),
            initrd_last: if has(xload_flag::CAN_BE_LOADED_ABOVE_4G) {
                u64::MAX
            } else {
                self.get(3, header::INITRD_ADDR_MAX, header::INITRD_ADDR_MAX_BEFORE_2_03)?.into()
            },
            payload: self.payload(kernel)?,
            version: self.version(setup),
        })
    }

    /// A field that was added in protocol 2.xx, or its value for older ones.
    fn get<T: Number>(self, since: u8, field: Field<T>, before: T) -> Result<T, Error> {
        if self.protocol < Protocol::two(since) {
            return Ok(before);
        }
        number(self.file, field, "the setup header")
    }

    fn setup_size(self) -> Result<u64, Error> {
        let sectors = match number(self.file, header::SETUP_SECTS, "the setup header")? {
            0 => DEFAULT_SECTORS,
            sectors => sectors,
        };
        Ok((u64::from(sectors) + 1) * header::SECTOR as u64)
    }

    /// From the header's start to the end that it contains, at most to the end of its place in
    /// `boot_params`.
    fn header(self) -> Result<&'a [u8], Error> {
        let hint = number(self.file, header::END_HINT, "the setup header")?;
        let end = (header::HEADER.offset() + usize::from(hint)).min(abi::boot_params::EDD_MBR_SIG_BUFFER);
        part(self.file, header::START as u64, (end - header::START) as u64, || "the setup header".into())
    }

    /// Since 2.04 the header's size is reliable, and shows whether the file is truncated.
    fn check_size(self, kernel: &[u8]) -> Result<(), Error> {
        let size = u64::from(self.get(4, header::SYSSIZE, 0)?) * 16;
        // The last unit of 16 bytes may be partial.
        part(kernel, 0, size.saturating_sub(15), || "the protected-mode code".into()).map(drop).map_err(
            |_| {
                let offset = (self.file.len() - kernel.len()) as u64;
                let length = self.file.len() as u64;
                Error::OutOfFile { what: "the protected-mode code".into(), offset, size, length }
            },
        )
    }

    /// Whether the header shows that there is no code for protected mode: iPXE has no address of
    /// it, memdisk and GRUB's `lnxboot.img` have no bytes. A kernel that can be loaded anywhere has
    /// both.
    fn lacks_entry_32(self, kernel: &[u8]) -> Result<bool, Error> {
        if self.alignment()?.is_some() {
            return Ok(false);
        }
        let units = kernel.len().div_ceil(16);
        let size = self.get(0, header::SYSSIZE, 0)?;
        // Before 2.04 the field has 16 bits: 0 stands for multiples of 1 MiB too.
        let is_empty = match self.protocol < Protocol::two(4) {
            true => size & 0xffff == 0 && !units.is_multiple_of(1 << 16),
            false => size == 0,
        };
        Ok(is_empty || self.get(0, header::CODE32_START, 0)? == 0)
    }

    fn alignment(self) -> Result<Option<u64>, Error> {
        if self.get(5, header::RELOCATABLE_KERNEL, 0)? == 0 {
            return Ok(None);
        }
        match self.get(5, header::KERNEL_ALIGNMENT, 0)? {
            alignment if alignment.is_power_of_two() => Ok(Some(alignment.into())),
            value => Err(Error::Unsupported {
                field: "the kernel's alignment",
                value: value.into(),
                wanted: "expected a power of two",
            }),
        }
    }

    fn payload(self, kernel: &'a [u8]) -> Result<Option<&'a [u8]>, Error> {
        let offset = self.get(8, header::PAYLOAD_OFFSET, 0)?;
        let size = self.get(8, header::PAYLOAD_LENGTH, 0)?;
        if size == 0 {
            return Ok(None);
        }
        part(kernel, offset.into(), size.into(), || "the compressed kernel".into()).map(Some)
    }

    /// A missing or unterminated version is ignored: it is only for messages.
    fn version(self, setup: &'a [u8]) -> Option<&'a [u8]> {
        let at = usize::from(header::KERNEL_VERSION.read(self.file).filter(|&at| at != 0)?);
        let text = setup.get(at.checked_add(header::SECTOR)?..)?;
        let end = text.iter().take(VERSION_LIMIT).position(|&byte| byte == 0)?;
        text.get(..end)
    }
}

#[cfg(test)]
mod tests;
