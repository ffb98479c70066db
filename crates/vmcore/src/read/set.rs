//! The files of a split set as one image.

use phys::{PAGE_SIZE, Pfn};

use super::body::Body;
use super::header::KdumpHeader;
use crate::{Error, FrameSet, PhysRead, Result};

/// The files of a split set.
pub(super) struct Set<'a> {
    parts: Vec<Box<dyn Body + Send + 'a>>,
    present: FrameSet,
    /// The header of the first file, without its part.
    header: KdumpHeader,
}

impl<'a> Set<'a> {
    /// Joins the parts.
    ///
    /// # Errors
    /// There is none, one is not part of a split set, or they are of different images.
    pub(super) fn new(parts: Vec<Box<dyn Body + Send + 'a>>) -> Result<Self> {
        let mut header: Option<KdumpHeader> = None;
        let mut present = FrameSet::new();
        for part in &parts {
            let own = part.header().filter(|own| own.part.is_some()).ok_or(Error::NotAPart)?;
            let first = header.get_or_insert_with(|| own.clone());
            if (first.max_mapnr, &first.utsname, first.seconds) != (own.max_mapnr, &own.utsname, own.seconds)
            {
                return Err(Error::MixedParts);
            }
            // If one part is incomplete, so is the set.
            first.status |= own.status;
            present.unite(part.present().clone());
        }
        let mut header = header.ok_or(Error::NotAPart)?;
        header.part = None;
        Ok(Self { header, parts, present })
    }
}

impl Body for Set<'_> {
    fn present(&self) -> &FrameSet {
        &self.present
    }

    fn ram(&self) -> &FrameSet {
        self.parts[0].ram()
    }

    fn notes(&self) -> &[u8] {
        self.parts[0].notes()
    }

    fn header(&self) -> Option<&KdumpHeader> {
        Some(&self.header)
    }
}

impl PhysRead for Set<'_> {
    fn read_phys(&self, address: u64, buffer: &mut [u8]) -> Result<()> {
        let mut done = 0;
        while done < buffer.len() {
            let at = address.saturating_add(done as u64);
            let absent = Error::Absent { pfn: at / PAGE_SIZE };
            let Some(page) = Pfn::new(at / PAGE_SIZE) else { return Err(absent) };
            let Some(part) = self.parts.iter().find(|part| part.present().contains(page)) else {
                return Err(absent);
            };
            let left = usize::try_from(PAGE_SIZE - at % PAGE_SIZE).unwrap_or(usize::MAX);
            let count = left.min(buffer.len() - done);
            part.read_phys(at, &mut buffer[done..done + count])?;
            done += count;
        }
        Ok(())
    }
}
