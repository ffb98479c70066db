//! Recognises and parses kernel files and other images: bytes in, [`Program`] out.
//!
//! Pure: no file is opened here. Every input is hostile: nothing is read, added or allocated by a number that the
//! file names before that number is checked against what the file has.
//!
//! One module a format: [`elf`], [`flat`].
#![forbid(unsafe_code)]

pub mod elf;
mod error;
pub mod flat;
mod pages;
mod segment;

pub use error::Error;
pub use segment::Segment;

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

/// A format of kernel files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// An executable with load headers.
    Elf,
}

impl Format {
    /// The format that the first bytes of the file tell of, if one does. A flat binary tells nothing of itself.
    #[must_use]
    pub fn recognise(file: &[u8]) -> Option<Self> {
        file.starts_with(&elf::MAGIC).then_some(Self::Elf)
    }
}

/// The program in a file of a format that names addresses itself.
///
/// # Errors
/// Every [`Error`]; [`Error::Unrecognised`] for a file that tells nothing of itself.
pub fn parse(file: &[u8]) -> Result<Program<'_>, Error> {
    match Format::recognise(file) {
        Some(Format::Elf) => elf::parse(file),
        None => Err(Error::Unrecognised),
    }
}
