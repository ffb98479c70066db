//! The files of a split set as one image.

use phys::{PAGE_SIZE, Pfn};

use super::body::Body;
use super::header::KdumpHeader;
use crate::format::manifest::{Damage, Manifest};
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
    /// There is none, one is not part of a split set, they are of different images or dumps, or
    /// they do not have each frame exactly once.
    pub(super) fn new(parts: Vec<Box<dyn Body + Send + 'a>>) -> Result<Self> {
        let first = parts.first().ok_or(Error::NotAPart)?;
        let mut header = first.header().ok_or(Error::NotAPart)?.clone();
        let mut present = FrameSet::new();
        let mut ranges = Vec::new();
        for part in &parts {
            let own = part.header().ok_or(Error::NotAPart)?;
            ranges.push(own.part.ok_or(Error::NotAPart)?);
            let is_same = [own.max_mapnr, own.seconds, own.level.into()]
                == [header.max_mapnr, header.seconds, header.level.into()]
                && own.utsname == header.utsname
                && part.notes() == first.notes()
                && part.bitmaps_sum() == first.bitmaps_sum();
            if !is_same {
                return Err(Error::MixedParts);
            }
            // If one part is incomplete, so is the set.
            header.status |= own.status;
            present.unite(part.present().clone());
        }
        check_tiles(ranges, header.max_mapnr)?;
        header.part = None;
        Ok(Self { header, parts, present })
    }
}

/// Checks that ranges of frames cover those below `end` without gap or overlap. Ranges may be
/// empty.
fn check_tiles(mut ranges: Vec<(u64, u64)>, end: u64) -> Result<()> {
    ranges.sort_unstable();
    let mut at = 0;
    for (from, to) in ranges.into_iter().filter(|(from, to)| from < to) {
        if from > at {
            return Err(Error::MissingPart { from: at, to: from });
        }
        if from < at {
            return Err(Error::RepeatedPart { from, to: at.min(to) });
        }
        at = to;
    }
    if at < end { Err(Error::MissingPart { from: at, to: end }) } else { Ok(()) }
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

    fn erased(&self) -> &[u8] {
        self.parts[0].erased()
    }

    fn memory(&self) -> u64 {
        self.present.memory() + self.parts.iter().map(|part| part.memory()).sum::<u64>()
    }

    fn header(&self) -> Option<&KdumpHeader> {
        Some(&self.header)
    }

    /// That of the first file: each has the statistics of the whole set.
    fn manifest(&self) -> Option<Manifest> {
        self.parts[0].manifest()
    }

    fn has_manifest(&self) -> bool {
        self.parts.iter().any(|part| part.has_manifest())
    }

    /// Each file has a manifest of its own.
    fn check_sums(&self, _: &Manifest, report: &mut dyn FnMut(Damage)) -> Result<()> {
        for part in &self.parts {
            match part.manifest() {
                Some(manifest) => part.check_sums(&manifest, report)?,
                None if part.has_manifest() => report(Damage::Manifest),
                None => {}
            }
        }
        Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_must_have_each_frame_once() {
        assert!(check_tiles(vec![(64, 128), (0, 64), (128, 200), (200, 200)], 200).is_ok());
        for (ranges, message) in [
            (vec![(0, 64), (128, 200)], "no part has the pages 0x40 to 0x80"),
            (vec![(64, 200)], "no part has the pages 0x0 to 0x40"),
            (vec![(0, 64)], "no part has the pages 0x40 to 0xc8"),
            (vec![(0, 64), (0, 64), (64, 200)], "more than one part has the pages 0x0 to 0x40"),
            (vec![(0, 100), (64, 200)], "more than one part has the pages 0x40 to 0x64"),
        ] {
            assert_eq!(check_tiles(ranges, 200).unwrap_err().to_string(), message);
        }
    }
}
