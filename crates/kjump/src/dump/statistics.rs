//! Statistics that a dump records about itself and its source.

use std::collections::BTreeMap;

use vmcore::MemoryImage;
use vmcore::select::Selection;

use super::request::Request;
use super::source;
use super::summary::name;

/// The name of the number of pages after the end of the source, or of the source's own source.
pub(super) const CUT_OFF: &str = "cut_off_pages";

/// How complete the source is.
#[derive(Clone, Copy)]
pub(super) struct Completeness {
    /// Whether it is the memory of the running machine.
    pub(super) is_live: bool,
    /// Pages after its end. Those of a running machine are not memory.
    pub(super) cut_off: u64,
    /// Whether it lacks pages: it is cut off, or marked as incomplete.
    pub(super) is_incomplete: bool,
}

impl Completeness {
    pub(super) fn of(image: &MemoryImage<'_>, request: &Request) -> Self {
        if request.sources.iter().any(|path| source::is_live(path)) {
            return Self { is_live: true, cut_off: 0, is_incomplete: false };
        }
        let before = image.manifest().and_then(|manifest| manifest.statistics.get(CUT_OFF).copied());
        let cut_off = image.cut_off().saturating_add(before.unwrap_or(0));
        Self { is_live: false, cut_off, is_incomplete: cut_off > 0 || image.is_incomplete() }
    }

    /// The reason for missing pages, if the source was cut off.
    pub(super) fn why_missing(self) -> Option<String> {
        (self.cut_off > 0).then(|| "the source was cut off before them".to_owned())
    }
}

/// The statistics for the dump.
pub(super) fn of(
    image: &MemoryImage<'_>,
    selection: &Selection,
    source: Completeness,
) -> BTreeMap<String, u64> {
    let excluded = selection
        .excluded
        .iter()
        .map(|(kind, pages)| (format!("excluded_{}", name(*kind).replace(' ', "_")), *pages));
    let counts = [
        ("memory_pages", image.ram().count()),
        ("source_pages", image.present().count()),
        ("unknown_pages", selection.unknown),
    ];
    // Left out if zero, as for a complete dump of a machine that did not run.
    let live = source.is_live.then(|| ("live_pages", image.present().count()));
    let cut_off = (source.cut_off > 0).then_some((CUT_OFF, source.cut_off));
    excluded
        .chain(counts.into_iter().chain(live).chain(cut_off).map(|(name, pages)| (name.to_owned(), pages)))
        .collect()
}
