//! Verifying an image: every page can be read, its checksums are right, and it equals another
//! image's if there is one.

use std::collections::BTreeMap;

use phys::Pfn;
use serde::Serialize;
use vmcore::manifest::Damage;
use vmcore::{MemoryImage, PhysRead};

use super::source;
use super::statistics::CUT_OFF;
use crate::dump::args::{RawArgs, VerifyArgs};
use crate::terminal::progress::Progress;
use crate::terminal::quantity;
use crate::terminal::report::{self, Outcome};

/// Counts are of pages.
#[derive(Debug, Default, Serialize)]
struct Verdict {
    present: u64,
    /// Pages that cannot be read.
    unreadable: u64,
    /// Pages after the end of the file.
    cut_off: u64,
    /// Whether it is marked as incomplete.
    incomplete: bool,
    /// Whether it is a flattened stream that ends without its last record.
    stream_cut_off: bool,
    /// Pages after the end of its source.
    cut_off_in_source: u64,
    /// The reason for each of the first [`MOST_SHOWN`] unreadable pages.
    reasons: BTreeMap<u64, String>,
    /// Pages that are the same in the other image.
    same: u64,
    /// Pages that differ in the other image.
    different: u64,
    /// Pages that are not in the other image.
    only_here: u64,
    /// Pages that are only in the other image.
    only_there: u64,
    /// Whether the dump has checksums of its own.
    has_checksums: bool,
    /// The first [`MOST_SHOWN`] parts of the file that differ from their checksums.
    damaged: Vec<String>,
    /// The number of such parts.
    damages: u64,
}

/// Bytes of a page.
const PAGE: usize = 1 << phys::PAGE_SHIFT;

/// Reasons and damaged parts to print at most.
const MOST_SHOWN: usize = 10;

/// Reads every page, and prints the verdict.
pub(super) fn run(args: &VerifyArgs) -> anyhow::Result<Outcome> {
    let image = source::image_or_raw(&args.file, &args.raw)?;
    let raw = RawArgs::of(&args.against_ram);
    let other = args.against.as_deref().map(|path| source::image_or_raw(path, &raw)).transpose()?;
    let mut verdict = verdict(&image, other.as_ref());
    let has_checksums = image.check_sums(|damage| {
        verdict.damages += 1;
        if verdict.damaged.len() < MOST_SHOWN {
            verdict.damaged.push(description(damage));
        }
    })?;
    verdict.has_checksums = has_checksums;
    if args.json {
        report::print_json(&verdict)?;
    } else {
        report::print(&text(&verdict, other.is_some()))?;
    }
    Ok(if verdict.is_good() { Outcome::Done } else { Outcome::No })
}

fn verdict(image: &MemoryImage<'_>, other: Option<&MemoryImage<'_>>) -> Verdict {
    let statistics = image.manifest().map(|manifest| manifest.statistics).unwrap_or_default();
    let mut verdict = Verdict {
        present: image.present().count(),
        cut_off: image.cut_off(),
        incomplete: image.is_incomplete(),
        stream_cut_off: image.is_stream_cut_off(),
        cut_off_in_source: statistics.get(CUT_OFF).copied().unwrap_or(0),
        ..Verdict::default()
    };
    let progress = Progress::start("reading pages".to_owned(), verdict.present);
    let (mut own, mut theirs) = ([0; PAGE], [0; PAGE]);
    for page in image.present().iter() {
        progress.step();
        if let Err(error) = image.read_phys(page.address().get(), &mut own) {
            verdict.unreadable += 1;
            if verdict.reasons.len() < MOST_SHOWN {
                verdict.reasons.insert(page.number(), error.whole());
            }
            continue;
        }
        if let Some(other) = other {
            verdict.compare(other, page, &own, &mut theirs);
        }
    }
    verdict.only_there = other.map_or(0, |other| other.present().without(image.present()).count());
    verdict
}

impl Verdict {
    fn is_good(&self) -> bool {
        let bad = [self.unreadable, self.cut_off, self.different, self.damages];
        !self.incomplete && bad.iter().all(|pages| *pages == 0)
    }

    fn compare(&mut self, other: &MemoryImage<'_>, page: Pfn, own: &[u8], theirs: &mut [u8]) {
        if !other.present().contains(page) {
            self.only_here += 1;
        } else if other.read_phys(page.address().get(), theirs).is_ok() && own == theirs {
            self.same += 1;
        } else {
            self.different += 1;
        }
    }
}

fn text(verdict: &Verdict, compared: bool) -> String {
    let mut text = format!("{} present", quantity::count(verdict.present, "page"));
    if compared {
        text += &format!(
            ", {} the same, {} different, {} only here, {} only there",
            verdict.same, verdict.different, verdict.only_here, verdict.only_there
        );
    }
    text += &format!(", {} unreadable\n", verdict.unreadable);
    if verdict.cut_off > 0 {
        text += &format!("{} cut off: the file ends before them\n", quantity::count(verdict.cut_off, "page"));
    }
    if verdict.stream_cut_off {
        text += "the flattened stream was cut off before its end\n";
    }
    if verdict.cut_off_in_source > 0 {
        let pages = quantity::count(verdict.cut_off_in_source, "page");
        text += &format!("incomplete: {pages} missing in the source, which was cut off\n");
    } else if verdict.incomplete {
        text += "marked as incomplete\n";
    }
    text += &match (verdict.has_checksums, verdict.damages) {
        (false, _) => "no checksums\n".to_owned(),
        (true, 0) => "all checksums are right\n".to_owned(),
        (true, damages) => format!("{} WRONG\n", quantity::count(damages, "checksum")),
    };
    verdict.reasons.values().chain(&verdict.damaged).fold(text, |text, reason| text + reason + "\n")
}

fn description(damage: Damage) -> String {
    match damage {
        Damage::Manifest => "the manifest is damaged: no checksum is known".to_owned(),
        Damage::Head => "the header, the notes, a bitmap or the zero page is damaged".to_owned(),
        Damage::Descriptors => "the page descriptors are damaged".to_owned(),
        Damage::Pages { offset, count } => {
            format!("the data of {} at offset {offset:#x} is damaged", quantity::count(count.into(), "page"))
        }
        Damage::Entry(offset) => format!("the checksums at offset {offset:#x} are damaged"),
    }
}
