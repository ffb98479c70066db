//! The interface of each format's reader.

use super::header::KdumpHeader;
use crate::format::manifest::{Damage, Manifest};
use crate::{FrameSet, PhysRead, Result};

/// A file with more bytes of notes is damaged: 8192 CPUs need 3 MiB, a device's dump may have
/// 32 MiB.
pub(super) const MOST_NOTES: u64 = 1 << 30;

/// A dump with more bytes of commands that erased data is damaged.
pub(super) const MOST_ERASED: u64 = 16 << 20;

/// A memory image of one format.
pub(super) trait Body: PhysRead {
    /// The pages that are in the image.
    fn present(&self) -> &FrameSet;
    /// The pages that are memory of the dumped machine.
    fn ram(&self) -> &FrameSet;
    /// The ELF notes.
    fn notes(&self) -> &[u8];
    /// The commands by which data was erased, one a line.
    fn erased(&self) -> &[u8] {
        &[]
    }
    /// The architecture, as far as the format shows it.
    fn machine(&self) -> &'static str {
        "x86_64"
    }
    /// Bytes of memory that it takes.
    fn memory(&self) -> u64;
    /// Number of pages that headers describe and that would be after the end of the file.
    fn cut_off(&self) -> u64 {
        0
    }
    /// The header of a kdump-compressed dump.
    fn header(&self) -> Option<&KdumpHeader> {
        None
    }
    /// Whether the image is marked as incomplete.
    fn is_incomplete(&self) -> bool {
        self.header().is_some_and(KdumpHeader::is_incomplete)
    }
    /// The manifest, if kjump wrote the dump.
    fn manifest(&self) -> Option<Manifest> {
        None
    }
    /// Whether the header points to a manifest, damaged or not.
    fn has_manifest(&self) -> bool {
        false
    }
    /// Compares the file with the checksums of the manifest.
    fn check_sums(&self, _: &Manifest, _: &mut dyn FnMut(Damage)) -> Result<()> {
        Ok(())
    }
    /// A checksum of both bitmaps of a kdump-compressed dump, which all files of a split set share.
    fn bitmaps_sum(&self) -> u64 {
        0
    }
    /// The virtual address that an ELF vmcore gives to a physical one.
    fn virtual_address(&self, _: u64) -> Option<u64> {
        None
    }
}
