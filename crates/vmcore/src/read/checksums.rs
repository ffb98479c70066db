//! Comparison of a dump with the checksums in its manifest.

use crate::format::field::get;
use crate::format::kdump::{BLOCK, descriptor};
use crate::format::manifest::{
    self, Damage, Manifest, add_block, descriptor_sum, entry_layout, zero_page_at,
};
use crate::source::read_vec;
use crate::{ReadAt, Result};

/// The most data of a unit, in bytes.
const MOST_DATA: u64 = 16 << 20;

/// A file and its checksums.
pub(super) struct Sums<'a, S> {
    pub(super) source: &'a S,
    pub(super) manifest: &'a Manifest,
    pub(super) descriptors_at: u64,
    pub(super) descriptors_size: u64,
}

impl<S: ReadAt> Sums<'_, S> {
    pub(super) fn check(&self, report: &mut dyn FnMut(Damage)) -> Result<()> {
        if self.head()? != self.manifest.head {
            report(Damage::Head);
        }
        if self.descriptors()? != self.manifest.descriptors {
            report(Damage::Descriptors);
        }
        // The table must fit into the file before its length is trusted.
        let room = self.source.length().saturating_sub(self.manifest.table) / entry_layout::SIZE as u64;
        for number in 0..self.manifest.entries.min(room) {
            self.check_entry(self.manifest.table + number * entry_layout::SIZE as u64, report)?;
        }
        if self.manifest.entries > room {
            report(Damage::Entry(self.manifest.table));
        }
        Ok(())
    }

    fn descriptors(&self) -> Result<u64> {
        const MANY: usize = 4096;
        let (count, mut sum) = (self.descriptors_size / descriptor::SIZE as u64, 0_u64);
        for first in (0..count).step_by(MANY) {
            let size = (MANY as u64).min(count - first) * descriptor::SIZE as u64;
            let at = self.descriptors_at + first * descriptor::SIZE as u64;
            sum = sum.wrapping_add(descriptor_sum(first, &read_vec(self.source, "descriptors", at, size)?));
        }
        Ok(sum)
    }

    /// The checksum of all blocks before the descriptors and of the page of zeros after the table.
    fn head(&self) -> Result<u64> {
        let mut seed = 0;
        for at in (0..self.descriptors_at).step_by(BLOCK) {
            seed = add_block(seed, &read_vec(self.source, "the head of the dump", at, BLOCK as u64)?);
        }
        let zeros = zero_page_at(self.manifest.table, self.manifest.entries);
        Ok(add_block(
            seed,
            &read_vec(self.source, "the page of zeros", zeros, BLOCK as u64).unwrap_or_default(),
        ))
    }

    fn check_entry(&self, at: u64, report: &mut dyn FnMut(Damage)) -> Result<()> {
        let entry = read_vec(self.source, "a checksum", at, entry_layout::SIZE as u64)?;
        let (offset, size) =
            (get(&entry, entry_layout::OFFSET), u64::from(get(&entry, entry_layout::DATA_SIZE)));
        let count = get(&entry, entry_layout::PAGES);
        let there = offset.checked_add(size).is_some_and(|end| end <= self.source.length());
        if !there || size > MOST_DATA {
            report(Damage::Entry(at));
            return Ok(());
        }
        let data = read_vec(self.source, "pages", offset, size)?;
        if manifest::entry(offset, &data, count as usize)[..] != entry[..] {
            report(Damage::Pages { offset, count });
        }
        Ok(())
    }
}
