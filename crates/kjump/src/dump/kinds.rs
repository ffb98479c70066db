//! All pages of an image by kind.

use vmcore::select::{Level, VitalPages, WriteOrder};
use vmcore::{FrameSet, MemoryImage, select};

/// The kind of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Kernel,
    Objects,
    Structures,
    Cache,
    User,
    Free,
    Unknown,
    /// Memory that is not in the image.
    Absent,
}

impl Kind {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Kernel => "kernel",
            Self::Objects => "slab objects",
            Self::Structures => "page structures",
            Self::Cache => "page cache",
            Self::User => "processes",
            Self::Free => "free",
            Self::Unknown => "unknown",
            Self::Absent => "not in the image",
        }
    }
}

/// Disjoint sets of pages, of the kinds that the image has.
pub(super) struct Kinds(pub(super) Vec<(Kind, FrameSet)>);

impl Kinds {
    pub(super) fn of(image: &MemoryImage<'_>, threads: usize) -> Self {
        let excluded = |level| {
            let level = Level::new(level).unwrap_or_default();
            let selection =
                select(image, image.present(), image.vmcoreinfo(), level, WriteOrder::ByNeed, threads);
            (image.present().without(&selection.kept), selection)
        };
        let (all, selection) = excluded(31);
        let VitalPages { data, called, mapped, early, objects, code, own, tables, structures } =
            selection.vital;
        let (free, _) = excluded(16);
        let (cache, _) = excluded(4);
        let cache = cache.without(&free);
        let user = all.without(&free).without(&cache);
        let mut kernel = data;
        [called, code, mapped, early, own, tables].into_iter().for_each(|set| kernel.unite(set));
        let known = [(Kind::Kernel, kernel), (Kind::Objects, objects), (Kind::Structures, structures)];
        let mut rest = image.present().without(&all);
        let mut kinds = Vec::new();
        for (kind, set) in known {
            let set = rest.within(&set);
            rest = rest.without(&set);
            kinds.push((kind, set));
        }
        kinds.extend([(Kind::Cache, cache), (Kind::User, user), (Kind::Free, free), (Kind::Unknown, rest)]);
        kinds.push((Kind::Absent, image.ram().without(image.present())));
        kinds.retain(|(_, set)| set.count() > 0);
        Self(kinds)
    }

    /// The number of pages of each kind among the frames `from..to`.
    pub(super) fn shares(&self, from: u64, to: u64) -> Vec<(Kind, u64)> {
        let mut cell = FrameSet::new();
        cell.insert(from, to);
        self.0.iter().map(|(kind, set)| (*kind, set.within(&cell).count())).collect()
    }
}
