//! Unified kernel images: <https://uapi-group.org/specifications/specs/unified_kernel_image/>.
//!
//! Of an image with several profiles, only the base is read: the sections before the first
//! `.profile`.

use crate::bytes::rest;
use crate::pe::{self, SectionHeader};
use crate::{Error, Format};

/// The parts of a unified kernel image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Uki<'a> {
    /// `.linux`: the kernel, a complete file.
    pub linux: &'a [u8],
    /// `.initrd`.
    pub initrd: Option<&'a [u8]>,
    /// `.ucode`: an initrd with microcode, which comes first.
    pub microcode: Option<&'a [u8]>,
    /// `.cmdline`: the command line, without trailing line ends and zeros.
    pub command_line: Option<&'a [u8]>,
    /// `.uname`: the kernel's release.
    pub release: Option<&'a [u8]>,
    /// `.osrel`: the contents of an os-release file.
    pub os_release: Option<&'a [u8]>,
}

const LINUX: &[u8] = b".linux";

/// Whether this is an EFI program with a kernel in it.
pub(crate) fn is_uki(file: &[u8]) -> bool {
    file.starts_with(pe::MAGIC)
        && pe::sections(file).is_ok_and(|mut sections| sections.any(|section| section.name() == LINUX))
}

impl<'a> Uki<'a> {
    /// The parts of a file.
    ///
    /// # Errors
    /// [`Error::Not`] if there is no kernel, [`Error::OutOfFile`], [`Error::Unsupported`],
    /// [`Error::SecondSection`].
    pub fn parse(file: &'a [u8]) -> Result<Self, Error> {
        if !file.starts_with(pe::MAGIC) {
            return Err(Error::Not { wanted: Format::Uki });
        }
        let mut parts = Parts::default();
        for section in pe::sections(file)?.take_while(|section| section.name() != b".profile") {
            parts.take(section)?;
        }
        let linux = parts.linux.ok_or(Error::Not { wanted: Format::Uki })?;
        rest(linux, 0, "the kernel in section .linux")?;
        Ok(Self {
            linux,
            initrd: parts.initrd,
            microcode: parts.microcode,
            command_line: parts.command_line.map(trimmed),
            release: parts.release.map(trimmed),
            os_release: parts.os_release.map(trimmed),
        })
    }
}

#[derive(Default)]
struct Parts<'a> {
    linux: Option<&'a [u8]>,
    initrd: Option<&'a [u8]>,
    microcode: Option<&'a [u8]>,
    command_line: Option<&'a [u8]>,
    release: Option<&'a [u8]>,
    os_release: Option<&'a [u8]>,
}

impl<'a> Parts<'a> {
    fn take(&mut self, section: SectionHeader<'a>) -> Result<(), Error> {
        let (place, name) = match section.name() {
            b".linux" => (&mut self.linux, ".linux"),
            b".initrd" => (&mut self.initrd, ".initrd"),
            b".ucode" => (&mut self.microcode, ".ucode"),
            b".cmdline" => (&mut self.command_line, ".cmdline"),
            b".uname" => (&mut self.release, ".uname"),
            b".osrel" => (&mut self.os_release, ".osrel"),
            _ => return Ok(()),
        };
        match place.replace(section.bytes()?) {
            None => Ok(()),
            Some(_) => Err(Error::SecondSection { name }),
        }
    }
}

/// A text without trailing line ends and zeros.
fn trimmed(text: &[u8]) -> &[u8] {
    let end = text.iter().rposition(|byte| !matches!(byte, 0 | b'\n' | b'\r' | b' ' | b'\t'));
    text.get(..end.map_or(0, |last| last + 1)).unwrap_or(text)
}

#[cfg(test)]
mod tests;
