//! What every reader of a format provides.

use super::header::KdumpHeader;
use crate::format::manifest::{Damage, Manifest};
use crate::{FrameSet, PhysRead, Result};

/// What the formats have in common.
pub(super) trait Body: PhysRead {
    /// The pages that are in the image.
    fn present(&self) -> &FrameSet;
    /// The pages that are memory of the dumped machine.
    fn ram(&self) -> &FrameSet;
    /// The ELF notes.
    fn notes(&self) -> &[u8];
    /// Pages that the file is said to have, and that would be behind its end.
    fn cut_off(&self) -> u64 {
        0
    }
    /// The header of a kdump-compressed dump.
    fn header(&self) -> Option<&KdumpHeader> {
        None
    }
    /// Whether it says of itself that it has not all it should have.
    fn is_incomplete(&self) -> bool {
        self.header().is_some_and(KdumpHeader::is_incomplete)
    }
    /// What the writer says about a dump of ours.
    fn manifest(&self) -> Option<Manifest> {
        None
    }
    /// Whether there is to be a manifest, damaged or not.
    fn has_manifest(&self) -> bool {
        false
    }
    /// Compares the file with the checksums of the manifest.
    fn check_sums(&self, _: &Manifest, _: &mut dyn FnMut(Damage)) -> Result<()> {
        Ok(())
    }
    /// The virtual address of a physical one, of an ELF vmcore.
    fn virtual_address(&self, _: u64) -> Option<u64> {
        None
    }
}
