//! The choice of pages to keep.
//!
//! The kernel keeps a `struct page` for each page; [`PageLayout`] finds the places of its fields in
//! VMCOREINFO, by the keys that exist and never by the kernel's version. One parallel pass over all
//! of them clears the pages that the dump level excludes. Keys that VMCOREINFO lacks are taken from
//! the kernel's types and symbols, if its memory has them. Pages whose structures cannot be found
//! or read are kept, and counted.

mod classify;
mod image;
mod layout;
mod level;
mod mapped;
mod survey;

use std::collections::BTreeMap;

pub use classify::Exclusion;
pub use layout::PageLayout;
pub use level::Level;

use survey::{Findings, Survey};

use crate::{Error, FrameSet, PhysRead, Result, Vmcoreinfo};

/// The result of a selection.
#[derive(Debug)]
pub struct Selection {
    /// The pages to keep.
    pub kept: FrameSet,
    /// Number of excluded pages of each kind.
    pub excluded: BTreeMap<Exclusion, u64>,
    /// Number of pages that were kept because their kind is unknown.
    pub unknown: u64,
    /// Why the kind of pages is unknown: of all, or of the first of those in `unknown`.
    pub trouble: Option<Error>,
    /// The keys that VMCOREINFO lacks and that were taken from the kernel's BTF and kallsyms.
    pub learned: Vec<String>,
    /// Pages that readers need first. Empty where page structures were not understood.
    pub vital: VitalPages,
}

/// Pages that a reader needs before it looks at anything in particular. A page may be in more than
/// one set: it counts as part of the first of them.
#[derive(Debug, Default)]
pub struct VitalPages {
    /// The data of the kernel's image without `tables`.
    pub data: FrameSet,
    /// The code that stacks refer to, by which crash finds where they start.
    pub called: FrameSet,
    /// The kernel's page tables, and memory that it maps by them: stacks, modules.
    pub mapped: FrameSet,
    /// Memory allocated before there were page structures, such as that of each CPU.
    pub early: FrameSet,
    /// Objects of the kernel, tasks among them.
    pub objects: FrameSet,
    /// All code of the kernel's image. Debuggers have it in the kernel's file, too.
    pub code: FrameSet,
    /// The kernel's other pages.
    pub own: FrameSet,
    /// Types and symbols in the kernel's image. Debuggers have them in the kernel's file, too.
    pub tables: FrameSet,
    /// Page structures.
    pub structures: FrameSet,
}

impl VitalPages {
    /// The sets, in the order in which readers need them.
    #[must_use]
    pub fn in_order(&self) -> [&FrameSet; 9] {
        let Self { data, called, mapped, early, objects, code, own, tables, structures } = self;
        [data, called, mapped, early, objects, code, own, tables, structures]
    }

    fn unite(&mut self, other: Self) {
        let Self { data, called, mapped, early, objects, code, own, tables, structures } = other;
        self.data.unite(data);
        self.called.unite(called);
        self.mapped.unite(mapped);
        self.early.unite(early);
        self.objects.unite(objects);
        self.code.unite(code);
        self.own.unite(own);
        self.tables.unite(tables);
        self.structures.unite(structures);
    }
}

/// Whether to find out which pages readers need first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteOrder {
    /// [`Selection::vital`] has them.
    ByNeed,
    /// [`Selection::vital`] stays empty, which takes less memory.
    ByAddress,
}

/// Selects pages of an image. It never fails: pages of unknown kind are kept, and
/// [`Selection::trouble`] is the reason.
///
/// `threads` is the number of threads to use.
pub fn select(
    memory: &impl PhysRead,
    present: &FrameSet,
    info: Result<Vmcoreinfo>,
    level: Level,
    order: WriteOrder,
    threads: usize,
) -> Selection {
    let mut selection = Selection {
        kept: present.clone(),
        excluded: BTreeMap::new(),
        unknown: 0,
        trouble: None,
        learned: Vec::new(),
        vital: VitalPages::default(),
    };
    match info
        .and_then(|info| Survey::new(memory, info, (level, order), present.end(), &mut selection.learned))
    {
        Ok(survey) => survey.exclude(&mut selection, threads),
        Err(error) if level.needs_page_structures() => {
            selection.unknown = present.count();
            selection.trouble = Some(error);
        }
        // Only the order of pages depends on page structures then.
        Err(_) => {}
    }
    selection
}

impl Selection {
    fn add(&mut self, findings: Findings) {
        for (kind, count) in findings.excluded {
            *self.excluded.entry(kind).or_default() += count;
        }
        for (kind, from, to) in findings.beyond {
            let removed = self.kept.remove(from, to);
            *self.excluded.entry(kind).or_default() += removed;
        }
        self.vital.unite(findings.vital);
        self.unknown += findings.unknown;
        if let Some(trouble) = findings.trouble {
            self.trouble.get_or_insert(trouble);
        }
    }
}
