//! Statistics that a dump records about itself and its source.

use std::collections::BTreeMap;
use std::path::PathBuf;

use vmcore::MemoryImage;
use vmcore::select::{Level, Selection};

use super::source;
use super::summary::name;

/// The name of the number of pages after the end of the source, or of the source's own source.
pub(super) const CUT_OFF: &str = "cut_off_pages";
/// The name of the number of pages that were read while the machine continued to run.
const LIVE: &str = "live_pages";
/// The name of the number of pages that the first source has.
const SOURCE: &str = "source_pages";
/// The name of the number of pages that were kept because their kind is unknown.
const UNKNOWN: &str = "unknown_pages";
/// How the names of numbers of excluded pages start.
const EXCLUDED: &str = "excluded_";

/// How complete and consistent the source is.
#[derive(Clone, Copy)]
pub(super) struct Completeness {
    /// Whether it is the memory of a machine that continued to run: of this one, or when it was
    /// saved.
    pub(super) is_live: bool,
    /// Pages after its end. Those of a running machine are not memory.
    pub(super) cut_off: u64,
    /// Whether it lacks pages: it is cut off, or marked as incomplete.
    pub(super) is_incomplete: bool,
}

impl Completeness {
    pub(super) fn of(image: &MemoryImage<'_>, sources: &[PathBuf]) -> Self {
        if sources.iter().any(|path| source::is_live(path)) {
            return Self { is_live: true, cut_off: 0, is_incomplete: false };
        }
        let before = recorded(image);
        let count = |name| before.get(name).copied().unwrap_or(0);
        let cut_off = image.cut_off().saturating_add(count(CUT_OFF));
        Self { is_live: count(LIVE) > 0, cut_off, is_incomplete: cut_off > 0 || image.is_incomplete() }
    }

    /// The reason for missing pages, if the source was cut off.
    pub(super) fn why_missing(self) -> Option<String> {
        (self.cut_off > 0).then(|| "the source was cut off before them".to_owned())
    }
}

/// The statistics that the source has if it is a dump itself.
fn recorded(image: &MemoryImage<'_>) -> BTreeMap<String, u64> {
    image.manifest().map(|manifest| manifest.statistics).unwrap_or_default()
}

/// The statistics for the dump. If the source is a dump itself, they are those of both: the pages
/// that either excluded, of those that the first source had.
pub(super) fn of(
    image: &MemoryImage<'_>,
    selection: &Selection,
    level: Level,
    source: Completeness,
) -> BTreeMap<String, u64> {
    let before = recorded(image);
    let earlier = |name: &str| before.get(name).copied();
    let present = image.present().count();
    let mut all: BTreeMap<String, u64> = before
        .iter()
        .filter(|(name, _)| name.starts_with(EXCLUDED))
        .map(|(name, n)| (name.clone(), *n))
        .collect();
    for (kind, pages) in &selection.excluded {
        let count = all.entry(format!("{EXCLUDED}{}", name(*kind).replace(' ', "_"))).or_default();
        *count = count.saturating_add(*pages);
    }
    // Kinds that were unknown once may have been found out now.
    let unknown = if level.needs_page_structures() { None } else { earlier(UNKNOWN) };
    // Left out if zero, as for a complete dump of a machine that did not run.
    let live = source.is_live.then(|| (LIVE, earlier(LIVE).unwrap_or(present)));
    let cut_off = (source.cut_off > 0).then_some((CUT_OFF, source.cut_off));
    let counts = [
        ("memory_pages", image.ram().count()),
        (SOURCE, earlier(SOURCE).unwrap_or(present)),
        (UNKNOWN, unknown.unwrap_or(selection.unknown)),
    ];
    all.extend(counts.into_iter().chain(live).chain(cut_off).map(|(name, pages)| (name.to_owned(), pages)));
    all
}

#[cfg(test)]
mod tests {
    use vmcore::codec::{Codec, Effort};
    use vmcore::select::{Exclusion, WriteOrder};
    use vmcore::write::{Compression, Pages, Progress, Settings, write_kdump};
    use vmcore::{Flattener, PhysRead};

    use super::*;
    use crate::terminal::quantity::page_bytes;

    /// A dump of six pages with these statistics.
    fn dump(image: &MemoryImage<'_>, statistics: &BTreeMap<String, u64>) -> Vec<u8> {
        let pages = Pages { kept: image.present(), first: &[], part: None, statistics };
        let settings = Settings {
            compression: Compression::Fixed(Effort::usual(Codec::Raw)),
            level: Level::default(),
            threads: 1,
            incomplete: false,
        };
        let stream = Flattener::new(Vec::new());
        write_kdump(image, &pages, &settings, &stream, &Progress::default()).unwrap();
        stream.finish().unwrap()
    }

    fn file() -> Vec<u8> {
        let mut file = vec![0; 4096];
        file[..20].copy_from_slice(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x04\0\x3e\0");
        file[32] = 64;
        file[54..58].copy_from_slice(&[56, 0, 1, 0]);
        file[64] = 1;
        for (at, value) in [(72, 4096), (96, page_bytes(6)), (104, page_bytes(6))] {
            file[at..at + 8].copy_from_slice(&u64::to_le_bytes(value));
        }
        file.resize(7 * 4096, 7);
        file
    }

    fn selection(image: &MemoryImage<'_>) -> Selection {
        let none = Err(vmcore::Error::NoVmcoreinfo);
        vmcore::select(image, image.present(), none, Level::ALL_PAGES, WriteOrder::ByAddress, 1)
    }

    #[test]
    fn a_dump_of_a_dump_has_what_both_excluded_and_is_still_live() {
        let file = file();
        let image = MemoryImage::open(&file[..]).unwrap();
        let mut page = [0; 4096];
        image.read_phys(0, &mut page).unwrap();
        let live = Completeness { is_live: true, cut_off: 0, is_incomplete: false };
        let mut first = selection(&image);
        first.excluded = [(Exclusion::Free, 20), (Exclusion::PrivateCache, 3)].into();
        first.unknown = 4;
        let mut statistics = of(&image, &first, Level::new(31).unwrap(), live);
        statistics.insert(SOURCE.to_owned(), 29);
        let file = dump(&image, &statistics);

        let again = MemoryImage::open(&file[..]).unwrap();
        let completeness = Completeness::of(&again, &[]);
        assert!(completeness.is_live && !completeness.is_incomplete);
        let mut second = selection(&again);
        second.excluded = [(Exclusion::Free, 1), (Exclusion::User, 2)].into();
        let both = of(&again, &second, Level::ALL_PAGES, completeness);
        let counts = [
            "excluded_free",
            "excluded_private_cache",
            "excluded_user",
            SOURCE,
            UNKNOWN,
            LIVE,
            "memory_pages",
        ];
        assert_eq!(counts.map(|name| both[name]), [21, 3, 2, 29, 4, 6, 6]);
        // With page structures, the kinds of all pages are looked at again.
        let both = of(&again, &second, Level::new(31).unwrap(), completeness);
        assert_eq!(both[UNKNOWN], 0);
    }

    #[test]
    fn the_first_dump_of_a_machine_that_stood_still_is_not_live() {
        let file = file();
        let image = MemoryImage::open(&file[..]).unwrap();
        let source = Completeness { is_live: false, cut_off: 0, is_incomplete: false };
        let statistics = of(&image, &selection(&image), Level::ALL_PAGES, source);
        let expected = [("memory_pages", 6), (SOURCE, 6), (UNKNOWN, 0)];
        assert!(statistics.into_iter().eq(expected.map(|(name, pages)| (name.to_owned(), pages))));
    }
}
