//! The differences between two images, page by page.

use phys::Pfn;
use serde::Serialize;
use vmcore::{FrameSet, MemoryImage, PhysRead};

use super::kinds::Kinds;
use super::source;
use crate::dump::args::{DiffArgs, RawArgs};
use crate::terminal::progress::Progress;
use crate::terminal::quantity::{self, page_bytes};
use crate::terminal::report::{self, Outcome};

/// Bytes of a page.
const PAGE: usize = 1 << phys::PAGE_SHIFT;

/// Counts are of pages.
#[derive(Debug, Serialize)]
struct Difference {
    same: u64,
    different: u64,
    unreadable: u64,
    only_in_first: u64,
    only_in_second: u64,
    /// The pages that differ, by their kind in the first image.
    different_by_kind: Vec<(&'static str, u64)>,
    /// Runs of addresses that differ, at most [`MOST_SHOWN`].
    runs: Vec<(u64, u64)>,
}

/// Runs to print at most.
const MOST_SHOWN: usize = 20;

/// Compares two images. The outcome is `No` if a page that is in both differs or cannot be read, or
/// if no page is in both.
pub(super) fn run(args: &DiffArgs) -> anyhow::Result<Outcome> {
    let first = source::image_or_raw(&args.first, &args.raw)?;
    let second = source::image_or_raw(&args.second, &RawArgs::of(&args.second_ram))?;
    let difference = difference(&first, &second);
    if args.json {
        report::print_json(&difference)?;
    } else {
        report::print(&text(&difference))?;
    }
    Ok(if difference.is_none() { Outcome::Done } else { Outcome::No })
}

impl Difference {
    /// Whether there are pages to compare, and all are the same.
    fn is_none(&self) -> bool {
        self.same > 0 && self.different == 0 && self.unreadable == 0
    }
}

fn difference(first: &MemoryImage<'_>, second: &MemoryImage<'_>) -> Difference {
    let common = first.present().within(second.present());
    let progress = Progress::start("comparing pages".to_owned(), common.count());
    let (mut different, mut unreadable) = (FrameSet::new(), 0);
    let (mut a, mut b) = ([0; PAGE], [0; PAGE]);
    for page in common.iter() {
        progress.step();
        let read =
            |image: &MemoryImage<'_>, bytes: &mut [u8]| image.read_phys(page.address().get(), bytes).is_ok();
        if !read(first, &mut a) || !read(second, &mut b) {
            unreadable += 1;
        } else if a != b {
            different.insert(page.number(), page.number() + 1);
        }
    }
    let kinds = if different.count() > 0 { Kinds::of(first, super::level::cpus()).0 } else { Vec::new() };
    let by_kind = kinds.into_iter().map(|(kind, set)| (kind.name(), set.within(&different).count()));
    let address = |frame: u64| Pfn::new(frame).map_or(u64::MAX, |page| page.address().get());
    Difference {
        same: common.count() - different.count() - unreadable,
        different: different.count(),
        unreadable,
        only_in_first: first.present().without(second.present()).count(),
        only_in_second: second.present().without(first.present()).count(),
        different_by_kind: by_kind.filter(|(_, count)| *count > 0).collect(),
        runs: different.runs().take(MOST_SHOWN).map(|run| (address(run.start), address(run.end))).collect(),
    }
}

fn text(difference: &Difference) -> String {
    let row = |name: &str, pages: u64| {
        format!("{name:<24}{pages:>12}  {:>9}\n", quantity::bytes(page_bytes(pages)))
    };
    let mut text = row("the same", difference.same) + &row("different", difference.different);
    for (kind, pages) in &difference.different_by_kind {
        text += &row(&format!("  {kind}"), *pages);
    }
    text += &row("unreadable", difference.unreadable);
    text += &row("only in the first", difference.only_in_first);
    text += &row("only in the second", difference.only_in_second);
    for (from, to) in &difference.runs {
        text += &format!("{from:#014x}-{to:#014x} differs\n");
    }
    text
}
