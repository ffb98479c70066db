//! Recognises and parses kernel files and other images: bytes in, [`Program`] out.
//!
//! Pure: no file is opened here. Inputs are hostile: a number in a file is checked against the
//! file's length before anything is read or allocated by it.
//!
//! [`Format::recognise`] returns the format of a file. There is one module per format:
//!
//! | module | format |
//! |---|---|
//! | [`bzimage`] | Linux for x86, in every version of its boot protocol |
//! | [`vmlinux`] | the kernel inside a bzImage |
//! | [`elf`] | static executables |
//! | [`flat`] | files that are loaded as they are |
//! | [`uki`] | unified kernel images: a kernel, its initrd and its command line in one EFI program |
//! | [`zboot`] | kernels packed in an EFI program that unpacks them |
//! | [`multiboot`] | the headers of multiboot 1 and 2 |
//! | [`compression`] | any of these, compressed as a whole |
//! | [`archive`] | initrds |
//!
//! [`foreign`] names what is not a kernel file.
#![forbid(unsafe_code)]

pub mod archive;
mod bytes;
pub mod bzimage;
pub mod compression;
pub mod elf;
mod error;
pub mod flat;
pub mod foreign;
mod format;
pub mod multiboot;
mod pages;
mod pe;
mod segment;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod uki;
pub mod vmlinux;
pub mod zboot;

pub use bzimage::BzImage;
pub use compression::Compression;
pub use error::Error;
pub use format::Format;
pub use segment::Segment;
pub use uki::Uki;
pub use vmlinux::Unpacked;
pub use zboot::Zboot;

/// An image that only needs to be placed and entered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program<'a> {
    /// The bytes and their destinations, in rising order; no two share a page.
    pub segments: Vec<Segment<'a>>,
    /// Physical address of the entry point. The loader must check that it is in a segment.
    pub entry: u64,
    /// CPU mode on entry.
    pub mode: Mode,
}

/// The CPU mode that a program is built for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// 64-bit mode.
    Long,
    /// 32-bit protected mode without paging.
    Protected,
}

impl Mode {
    /// The mode as one of [`abi::device::mode`].
    #[must_use]
    pub const fn number(self) -> u64 {
        match self {
            Self::Long => abi::device::mode::LONG,
            Self::Protected => abi::device::mode::PROTECTED,
        }
    }
}

/// Whether a file has a signature as EFI programs do. The signature itself is not checked.
#[must_use]
pub fn is_signed(file: &[u8]) -> bool {
    pe::is_signed(file)
}

/// The program in a file of a format that contains load addresses.
///
/// # Errors
/// Every [`Error`] of [`elf::parse`]; [`Error::Unrecognised`] for other files, [`Error::NotLoaded`]
/// for other kinds of kernel files.
pub fn parse(file: &[u8]) -> Result<Program<'_>, Error> {
    match Format::recognise(file) {
        Some(Format::Elf) => elf::parse(file),
        Some(format) => Err(Error::NotLoaded { format }),
        None => Err(Error::Unrecognised),
    }
}
