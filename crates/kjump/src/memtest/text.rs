//! The report.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use machine::page_flags;
use serde::Serialize;

use super::ranges::{self, Span};
use super::session::{BadPage, Found, Wrong};
use crate::terminal::quantity;

/// The patterns by their numbers.
const PATTERNS: [&str; 7] = ["zeros", "ones", "0x55", "0xaa", "own address", "inversions", "random"];
/// Most wrong words that are printed.
const PRINTED: usize = 20;

/// Everything that was found.
pub(super) struct Report {
    wanted: u64,
    ram: u64,
    /// Complete passes.
    pub(super) passes: u64,
    tested: u64,
    left_out: u64,
    wrong_count: u64,
    wrongs: Vec<Wrong>,
    /// Pages with wrong words, by address.
    bad: BTreeMap<u64, Bad>,
    /// Pages with wrong words that the image had no room for: in the pass that is under way, and
    /// the most in any.
    not_listed: [u64; 2],
    seconds: [f64; PATTERNS.len()],
    slices: u64,
    longest: f64,
    /// Pages that the kernel was to stop using, and what it answered.
    offlined: Vec<(u64, String)>,
}

/// A page with wrong words.
#[derive(Default)]
struct Bad {
    /// The bits that were wrong in any of its words.
    bits: u64,
    /// What the kernel uses it for, if that is known.
    owner: Option<&'static str>,
}

impl Report {
    pub(super) fn new(wanted: &[Span], ram: &[Span]) -> Self {
        Self {
            wanted: ranges::pages(wanted),
            ram: ranges::pages(ram),
            passes: 0,
            tested: 0,
            left_out: 0,
            wrong_count: 0,
            wrongs: Vec::new(),
            bad: BTreeMap::new(),
            not_listed: [0; 2],
            seconds: [0.0; PATTERNS.len()],
            slices: 0,
            longest: 0.0,
            offlined: Vec::new(),
        }
    }

    pub(super) fn add(&mut self, found: Found) {
        self.tested += found.tested;
        self.left_out += found.left_out.len() as u64;
        self.wrong_count += found.wrong_count;
        self.wrongs.extend(found.wrongs);
        for BadPage { address, bits } in &found.bad {
            self.bad.entry(*address).or_default().bits |= bits;
        }
        let [now, most] = &mut self.not_listed;
        *now += found.bad_count.saturating_sub(found.bad.len() as u64);
        *most = (*most).max(*now);
        for (sum, seconds) in self.seconds.iter_mut().zip(found.seconds) {
            *sum += seconds;
        }
        self.slices += found.slices;
        self.longest = self.longest.max(found.longest);
    }

    pub(super) const fn is_good(&self) -> bool {
        self.wrong_count == 0
    }

    /// The next pass comes to the same pages again.
    pub(super) fn begin_pass(&mut self) {
        self.not_listed[0] = 0;
    }

    /// Looks up what the kernel uses the pages with wrong words for.
    pub(super) fn find_owners(&mut self, root: &Path) {
        for (page, bad) in &mut self.bad {
            bad.owner = page_flags::owner(root, *page).ok().flatten();
        }
    }

    /// Has the kernel stop using the pages with wrong words.
    pub(super) fn offline(&mut self, root: &Path) {
        let file = root.join("sys/devices/system/memory/soft_offline_page");
        for &page in self.bad.keys() {
            let answer = match std::fs::write(&file, format!("{page:#x}\n")) {
                Ok(()) => "no longer used".into(),
                Err(error) => format!("still used: {error}"),
            };
            self.offlined.push((page, answer));
        }
    }

    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        let bytes = quantity::bytes(quantity::page_bytes(self.tested));
        let _ = writeln!(
            text,
            "tested {bytes} ({}) in {}, {}; the longest took {:.2} s",
            quantity::count(self.tested, "page"),
            match self.passes {
                1 => "1 complete pass".into(),
                passes => format!("{passes} complete passes"),
            },
            quantity::count(self.slices, "slice"),
            self.longest
        );
        let each = (self.tested.checked_div(self.passes), self.left_out.checked_div(self.passes));
        if let (Some(tested), Some(left_out)) = each {
            let _ = writeln!(
                text,
                "each pass: {} of System RAM; {} tested from a second place",
                percent(tested, self.ram),
                quantity::count(left_out, "page")
            );
        }
        for (name, speed) in PATTERNS.iter().zip(self.speeds()) {
            let _ = writeln!(text, "  {name:<12}{speed:>8.0} MiB/s");
        }
        if self.is_good() {
            text.push_str("no wrong word\n");
            return text;
        }
        let _ = writeln!(text, "{}:", quantity::count(self.wrong_count, "wrong word"));
        for wrong in self.wrongs.iter().take(PRINTED) {
            let Wrong { address, written, read, pattern } = *wrong;
            let name = usize::try_from(pattern).ok().and_then(|number| PATTERNS.get(number)).unwrap_or(&"?");
            let bits = written ^ read;
            let _ = writeln!(
                text,
                "  {address:#014x}: wrote {written:#018x}, read {read:#018x}, bits {bits:#018x} ({name})"
            );
        }
        for (page, Bad { bits, owner }) in &self.bad {
            let owner = owner.map(|owner| format!(" ({owner})")).unwrap_or_default();
            let _ =
                writeln!(text, "page {page:#x}{owner}: bits {bits:#x}; to leave it out: memmap=4K${page:#x}");
        }
        if self.not_listed[1] > 0 {
            let more = quantity::count(self.not_listed[1], "more page");
            let _ = writeln!(
                text,
                "and {more} with wrong words, for which there was no room; --range tests less at a time"
            );
        }
        for (page, answer) in &self.offlined {
            let _ = writeln!(text, "page {page:#x}: {answer}");
        }
        text
    }

    /// MiB a second of each pattern.
    #[expect(clippy::cast_precision_loss, reason = "a speed for people")]
    fn speeds(&self) -> [f64; PATTERNS.len()] {
        let mebibytes = self.tested as f64 / 256.0;
        self.seconds.map(|seconds| if seconds > 0.0 { mebibytes / seconds } else { 0.0 })
    }

    pub(super) fn to_json(&self) -> impl Serialize {
        serde_json::json!({
            "good": self.is_good(),
            "passes": self.passes,
            "wanted_pages": self.wanted,
            "ram_pages": self.ram,
            "tested_pages": self.tested,
            "tested_from_second_place": self.left_out,
            "slices": self.slices,
            "longest_seconds": self.longest,
            "mebibytes_per_second": PATTERNS.into_iter().zip(self.speeds()).collect::<BTreeMap<_, _>>(),
            "wrong_words": self.wrong_count,
            "wrong": self.wrongs.iter().map(|wrong| serde_json::json!({
                "address": wrong.address, "written": wrong.written, "read": wrong.read,
                "bits": wrong.written ^ wrong.read,
                "pattern": usize::try_from(wrong.pattern).ok().and_then(|number| PATTERNS.get(number)),
            })).collect::<Vec<_>>(),
            "pages": self.bad.iter().map(|(page, Bad { bits, owner })| serde_json::json!({
                "page": page, "bits": bits, "owner": owner, "memmap": format!("4K${page:#x}"),
            })).collect::<Vec<_>>(),
            "pages_not_listed": self.not_listed[1],
            "offlined": self.offlined,
        })
    }
}

/// A share with two digits after the point, rounded down: 100 % only if it is all.
fn percent(part: u64, all: u64) -> String {
    match part.saturating_mul(10_000).checked_div(all) {
        Some(share) if part < all => format!("{}.{:02} %", share / 100, share % 100),
        _ => "100 %".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memtest::ranges::PAGE;

    fn found() -> Found {
        let wrong = |address, read, pattern| Wrong { address, written: 0, read, pattern };
        Found {
            tested: 256,
            left_out: vec![0x5000, 0x6000],
            wrong_count: 2,
            wrongs: vec![wrong(0x1_2340, 0x20, 0), wrong(0x1_2348, 0x40, 4)],
            bad_count: 1,
            bad: vec![BadPage { address: 0x1_2000, bits: 0x60 }],
            seconds: [0.5; 7],
            slices: 3,
            longest: 1.9,
            complete: true,
        }
    }

    #[test]
    fn wrong_words_are_listed_and_their_pages_named() {
        let all = [Span { first: 0x1000, end: 0x10_1000 }];
        let mut report = Report::new(&all, &all);
        report.add(found());
        report.passes = 1;
        let text = report.text();
        assert!(
            text.starts_with(
                "tested 1 MiB (256 pages) in 1 complete pass, 3 slices; the longest took 1.90 s\n"
            )
        );
        assert!(
            text.contains("each pass: 100 % of System RAM; 2 pages tested from a second place\n"),
            "{text}"
        );
        assert!(
            text.contains(
                "2 wrong words:\n  0x000000012340: wrote 0x0000000000000000, read 0x0000000000000020"
            )
        );
        assert!(text.contains("page 0x12000: bits 0x60; to leave it out: memmap=4K$0x12000\n"));
        assert!(!report.is_good());
    }

    /// The image stores the first words only, and more pages.
    #[test]
    fn every_bad_page_is_named_with_its_owner_and_more_are_counted() {
        let root = std::env::temp_dir().join(format!("kjump-memtest-{}", std::process::id()));
        std::fs::create_dir_all(root.join("proc")).unwrap();
        let mut flags = vec![0_u8; 0x20 * 8];
        flags[0x13 * 8..0x14 * 8].copy_from_slice(&(1_u64 << 10).to_ne_bytes());
        std::fs::write(root.join("proc/kpageflags"), flags).unwrap();
        let all = [Span { first: 0x1000, end: 0x10_1000 }];
        let mut report = Report::new(&all, &all);
        let page = |number: u64| BadPage { address: number * PAGE, bits: 1 };
        for pass in 0..2 {
            report.begin_pass();
            let bad = vec![page(0x12), page(0x13), page(0x20 + pass)];
            report.add(Found { bad, bad_count: 5, ..found() });
        }
        report.find_owners(&root);
        std::fs::remove_dir_all(root).unwrap();
        let text = report.text();
        for line in [
            "page 0x12000: bits 0x1; to leave it out: memmap=4K$0x12000\n",
            "page 0x13000 (free): bits 0x1; to leave it out: memmap=4K$0x13000\n",
            "page 0x20000: bits 0x1; ",
            "page 0x21000: bits 0x1; ",
            "and 2 more pages with wrong words, for which there was no room;",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
        let json = serde_json::to_value(report.to_json()).unwrap();
        assert_eq!((&json["pages"][1]["owner"], &json["pages_not_listed"]), (&"free".into(), &2.into()));
    }

    #[test]
    fn a_share_is_100_percent_only_if_it_is_all() {
        let shares =
            [(5, 5), (99_999, 100_000), (2, 130_942), (1, 1000)].map(|(part, all)| percent(part, all));
        assert_eq!(shares, ["100 %", "99.99 %", "0.00 %", "0.10 %"]);
    }
}
