//! Recognises and parses kernel files and other images: bytes in, [`Program`] out.
//!
//! Pure: no file is opened here. Every input is hostile: nothing is read, added or allocated by a number that the
//! file names before that number is checked against what the file has.
//!
//! [`Format::recognise`] says what a file is. One module a format:
//!
//! | module | format |
//! |---|---|
//! | [`bzimage`] | Linux for x86, in every version of its boot protocol |
//! | [`elf`] | static executables |
//! | [`flat`] | bytes that are at their place as they are |
//! | [`uki`] | unified kernel images: a kernel, its initrd and its command line in one EFI program |
//! | [`zboot`] | kernels packed in an EFI program that unpacks them |
//! | [`multiboot`] | the headers of multiboot 1 and 2 |
//! | [`compression`] | whatever of these is compressed as a whole |
#![forbid(unsafe_code)]

mod bytes;
pub mod bzimage;
pub mod compression;
pub mod elf;
mod error;
pub mod flat;
mod format;
pub mod multiboot;
mod pages;
mod pe;
mod segment;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod uki;
pub mod zboot;

pub use bzimage::BzImage;
pub use compression::Compression;
pub use error::Error;
pub use format::Format;
pub use segment::Segment;
pub use uki::Uki;
pub use zboot::Zboot;

/// An image that needs nothing but to be in its place and to be entered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program<'a> {
    /// Where which bytes are to be, in rising order of their addresses; no two share a page.
    pub segments: Vec<Segment<'a>>,
    /// Physical address to enter at. It need not lie in a segment: whoever loads the program checks that.
    pub entry: u64,
    /// CPU mode to enter in.
    pub mode: Mode,
}

/// CPU mode a program is made for.
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

/// Whether a file carries a signature as EFI programs do; by whom it is, and whether it is good, is not looked at.
#[must_use]
pub fn is_signed(file: &[u8]) -> bool {
    pe::is_signed(file)
}

/// The program in a file of a format that names addresses itself.
///
/// # Errors
/// Every [`Error`] of [`elf::parse`]; [`Error::Unrecognised`] for a file that tells nothing of itself,
/// [`Error::NotLoaded`] for one that is another kind of kernel file.
pub fn parse(file: &[u8]) -> Result<Program<'_>, Error> {
    match Format::recognise(file) {
        Some(Format::Elf) => elf::parse(file),
        Some(format) => Err(Error::NotLoaded { format }),
        None => Err(Error::Unrecognised),
    }
}
