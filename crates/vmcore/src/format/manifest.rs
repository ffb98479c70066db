//! The manifest: what kjump records about a dump in the dump itself, namely checksums of all of it
//! and statistics of how it was made.
//!
//! The format has no place for that. The manifest, lines of `key=value` after the line
//! [`FIRST_LINE`], is at the end of the file. Its place is recorded in the header's block, after
//! the header, where readers do not look. It points to a table of checksums:
//!
//! | offset | field of an entry, one for each unit of pages |
//! |---|---|
//! | 0 | offset of the data in the file |
//! | 8 | bytes of the data |
//! | 12 | number of pages |
//! | 16 | xxh3 of the 16 bytes above, seeded with the xxh3 of the data |
//!
//! The checksum of the page descriptors is the sum of the xxh3 of each, seeded with the
//! descriptor's number, so that they can be written in any order.

use std::collections::BTreeMap;

use twox_hash::XxHash3_64;

use crate::format::field::put;
use crate::format::kdump::{BLOCK, descriptor};

/// The first line of a manifest.
pub const FIRST_LINE: &str = "kjump manifest 1";

/// The most bytes of a manifest.
pub(crate) const MOST_MANIFEST: u64 = 1 << 16;

/// An entry of the table.
pub(crate) mod entry_layout {
    use abi::Field;

    /// Where the data of the unit is in the file.
    pub(crate) const OFFSET: Field<u64> = Field::at(0);
    /// Bytes of the data.
    pub(crate) const DATA_SIZE: Field<u32> = Field::at(8);
    /// Number of pages.
    pub(crate) const PAGES: Field<u32> = Field::at(12);
    /// The checksum.
    pub(crate) const SUM: Field<u64> = Field::at(16);
    /// Bytes of an entry.
    pub(crate) const SIZE: usize = 24;
}

/// The record that kjump wrote about a dump.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manifest {
    /// Offset of the table of checksums in the file.
    pub(crate) table: u64,
    /// Number of its entries.
    pub(crate) entries: u64,
    /// The checksum of all page descriptors.
    pub(crate) descriptors: u64,
    /// The checksum of header, sub-header, notes, bitmaps and the page of zeros.
    pub(crate) head: u64,
    /// Statistics: numbers of pages by kind, and the like.
    pub statistics: BTreeMap<String, u64>,
}

/// A damaged part of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// The manifest itself: nothing can be compared.
    Manifest,
    /// Header, sub-header, notes, bitmaps, or the page of zeros.
    Head,
    /// The descriptors of pages.
    Descriptors,
    /// Pages whose data is at this place.
    Pages {
        /// Offset of the data in the file.
        offset: u64,
        /// Number of pages.
        count: u32,
    },
    /// The table of checksums itself, at this offset.
    Entry(u64),
}

impl Manifest {
    /// The text. Its last line is the checksum of the lines above it.
    pub(crate) fn text(&self) -> String {
        let mut text = format!(
            "{FIRST_LINE}\ntable={}\nentries={}\ndescriptors={:016x}\nhead={:016x}\n",
            self.table, self.entries, self.descriptors, self.head
        );
        for (key, value) in &self.statistics {
            text += &format!("{key}={value}\n");
        }
        let sum = XxHash3_64::oneshot(text.as_bytes());
        text + &format!("sum={sum:016x}\n")
    }

    pub(crate) fn parse(text: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok()?.strip_prefix(FIRST_LINE)?.strip_prefix('\n')?;
        let (lines, sum) = text.strip_suffix('\n')?.rsplit_once("\nsum=")?;
        let whole = format!("{FIRST_LINE}\n{lines}\n");
        if u64::from_str_radix(sum, 16).ok()? != XxHash3_64::oneshot(whole.as_bytes()) {
            return None;
        }
        let mut manifest = Self::default();
        for line in lines.lines() {
            let (key, value) = line.split_once('=')?;
            match key {
                "table" => manifest.table = value.parse().ok()?,
                "entries" => manifest.entries = value.parse().ok()?,
                "descriptors" => manifest.descriptors = u64::from_str_radix(value, 16).ok()?,
                "head" => manifest.head = u64::from_str_radix(value, 16).ok()?,
                _ => {
                    manifest.statistics.insert(key.to_owned(), value.parse().ok()?);
                }
            }
        }
        Some(manifest)
    }
}

/// The entry of a unit of pages whose data is at this place.
pub(crate) fn entry(offset: u64, data: &[u8], pages: usize) -> [u8; entry_layout::SIZE] {
    let mut entry = [0; entry_layout::SIZE];
    let small = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    put(&mut entry, entry_layout::OFFSET, offset);
    put(&mut entry, entry_layout::DATA_SIZE, small(data.len()));
    put(&mut entry, entry_layout::PAGES, small(pages));
    let sum = XxHash3_64::oneshot_with_seed(XxHash3_64::oneshot(data), &entry[..entry_layout::SUM.offset()]);
    put(&mut entry, entry_layout::SUM, sum);
    entry
}

/// The checksum of consecutive descriptors, the first of which has this number.
pub(crate) fn descriptor_sum(first: u64, descriptors: &[u8]) -> u64 {
    let sums = descriptors
        .chunks(descriptor::SIZE)
        .zip(first..)
        .map(|(one, n)| XxHash3_64::oneshot_with_seed(n, one));
    sums.fold(0, u64::wrapping_add)
}

/// Offset of the page of zeros: the next whole block after the table.
pub(crate) fn zero_page_at(table: u64, entries: u64) -> u64 {
    let end = table.saturating_add(entries.saturating_mul(entry_layout::SIZE as u64));
    end.checked_next_multiple_of(BLOCK as u64).unwrap_or(u64::MAX)
}

/// The checksum of all blocks up to this one, from that of the earlier ones.
pub(crate) fn add_block(seed: u64, block: &[u8]) -> u64 {
    XxHash3_64::oneshot_with_seed(seed, block)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_reads_back() {
        let statistics = [("kept".to_owned(), 7), ("excluded_free".to_owned(), 9)].into();
        let manifest = Manifest { table: 4096, entries: 3, descriptors: 0xd, head: 0xabc, statistics };
        assert_eq!(Manifest::parse(manifest.text().as_bytes()), Some(manifest));
    }

    #[test]
    fn other_text_and_changed_manifests_are_refused() {
        let text = Manifest { table: 4096, entries: 3, ..Manifest::default() }.text();
        for other in [
            "erase jiffies 8".to_owned(),
            String::new(),
            text.replace("entries=3", "entries=4"),
            text[..text.len() - 1].to_owned(),
        ] {
            assert_eq!(Manifest::parse(other.as_bytes()), None, "{other}");
        }
    }
}
