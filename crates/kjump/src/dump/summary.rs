//! The result of saving an image, as text and as makedumpfile's tables.

use std::collections::BTreeMap;

use serde::Serialize;
use vmcore::select::Exclusion;

use crate::terminal::quantity::{self, page_bytes};
use crate::terminal::table::{Column, Table};

/// Counts are of pages.
#[derive(Debug, Serialize)]
pub(super) struct Saved {
    pub(super) level: u8,
    pub(super) memory_pages: u64,
    pub(super) source_pages: u64,
    pub(super) zero_pages: u64,
    pub(super) excluded: BTreeMap<&'static str, u64>,
    pub(super) kept_pages: u64,
    pub(super) stored: BTreeMap<&'static str, u64>,
    pub(super) unknown_pages: u64,
    pub(super) missing_pages: u64,
    /// Whether the machine continued to run while its memory was read.
    pub(super) is_live: bool,
    /// Whether the source lacks pages, because it is marked as incomplete or cut off.
    pub(super) incomplete: bool,
    /// Whether the source is one file of a split set.
    pub(super) is_part: bool,
    pub(super) why_unknown: Option<String>,
    pub(super) why_missing: Option<String>,
    /// Keys missing in VMCOREINFO that were found in the kernel's memory.
    pub(super) learned: Vec<String>,
    /// The data that was erased, if there were rules.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) erased: Option<ErasedData>,
    /// Modules that have rules and are not loaded.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) unloaded_modules: Vec<String>,
    /// The end of memory, as a frame number.
    pub(super) highest_frame: u64,
    pub(super) bytes: u64,
    pub(super) selecting_seconds: f64,
    pub(super) seconds: f64,
    /// The most memory that the program has used, in bytes; mapped files count too.
    pub(super) peak_memory: Option<u64>,
}

/// Data that was erased.
#[derive(Debug, Serialize)]
pub(super) struct ErasedData {
    pub(super) bytes: u64,
    pub(super) places: usize,
}

impl From<(u64, usize)> for ErasedData {
    fn from((bytes, places): (u64, usize)) -> Self {
        Self { bytes, places }
    }
}

impl Saved {
    /// Whether no page was missing, unreadable or of unknown kind.
    pub(super) fn is_whole(&self) -> bool {
        self.missing_pages == 0 && self.why_unknown.is_none() && !self.incomplete
    }

    /// One line: pages, bytes and time.
    pub(super) fn in_short(&self) -> String {
        let warning = if self.is_whole() { "" } else { "; it is not complete" };
        format!(
            "dump level {}: {} of {}, as {} in {:.1} s{warning}",
            self.level,
            quantity::count(self.kept_pages, "page"),
            self.source_pages,
            quantity::bytes(self.bytes),
            self.seconds
        )
    }

    /// The warnings, and the table of pages.
    pub(super) fn text(&self) -> String {
        self.warnings() + &self.table()
    }

    /// Warnings that readers of the dump need.
    pub(super) fn warnings(&self) -> String {
        let mut text = String::new();
        if self.is_live {
            text += "WARNING: the dump is not consistent: it is the memory of a running machine, which \
                     changed while it was read\n";
        }
        if !self.learned.is_empty() {
            let keys = self.learned.join(", ");
            text += &format!("VMCOREINFO lacks {keys}: taken from the kernel's BTF and kallsyms\n");
        }
        for module in &self.unloaded_modules {
            text += &format!("the module {module} is not loaded: its rules erase nothing\n");
        }
        if let Some(ErasedData { bytes, places }) = self.erased {
            let [bytes, places] =
                [(bytes, "byte"), (places as u64, "place")].map(|(count, what)| quantity::count(count, what));
            text += &format!("{bytes} erased in {places}\n");
        }
        if let Some(why) = &self.why_unknown {
            let pages = quantity::count(self.unknown_pages, "page");
            text += &format!("WARNING: {pages} kept because their kind is unknown: {why}\n");
        }
        if let Some(why) = &self.why_missing {
            let pages = quantity::count(self.missing_pages, "page");
            text += &format!("WARNING: {pages} missing in the dump: {why}\n");
        } else if self.is_part {
            text += "WARNING: the source is one file of a split set: the pages of the others are missing\n";
        } else if self.incomplete {
            text += "WARNING: the source is marked as incomplete\n";
        }
        text
    }

    fn table(&self) -> String {
        let columns =
            [Column::left("").at_least(28), Column::right("").at_least(10), Column::right("").at_least(9)];
        let mut table = Table::new(columns);
        let mut row = |name: &str, pages: u64| {
            table.row([name.to_owned(), pages.to_string(), quantity::bytes(page_bytes(pages))]);
        };
        row("in the source", self.source_pages);
        for (name, pages) in &self.excluded {
            row(&format!("  excluded: {name}"), *pages);
        }
        row("  excluded: zero", self.zero_pages);
        row("kept", self.kept_pages);
        for (name, pages) in &self.stored {
            row(&format!("  stored: {name}"), *pages);
        }
        table.to_string() + &self.last_line()
    }

    /// makedumpfile's report.
    pub(super) fn report(&self) -> String {
        let excluded = |name: &str| self.excluded.get(name).copied().unwrap_or(0);
        let total = self.excluded.values().sum::<u64>() + self.zero_pages;
        let mut text = format!("\nOriginal pages  : {:#018x}\n", self.source_pages);
        for (name, pages) in [
            ("  Exclusion pages   ", total),
            ("    Pages filled with zero  ", self.zero_pages),
            ("    Non-private cache pages ", excluded("cache")),
            ("    Private cache pages     ", excluded("private cache")),
            ("    User process data pages ", excluded("user")),
            ("    Free pages              ", excluded("free")),
            ("    Hwpoison pages          ", excluded("poisoned")),
            ("    Offline pages           ", excluded("offline")),
        ] {
            text += &format!("{name}: {pages:#018x}\n");
        }
        let percent = (self.source_pages - total.min(self.source_pages)) * 100 / self.source_pages.max(1);
        text + &format!(
            "  Remaining pages  : {:#018x}\n  (The number of pages is reduced to {percent}%.)\n\
             Memory Hole     : {:#018x}\n--------------------------------------------------\n\
             Total pages     : {:#018x}\nWrite bytes     : {}\n",
            self.kept_pages,
            self.highest_frame - self.source_pages.min(self.highest_frame),
            self.highest_frame,
            self.bytes
        ) + &self.peak_memory.map_or(String::new(), |peak| format!("Peak memory     : {peak}\n"))
            + "\n"
    }

    /// makedumpfile's table of memory use.
    pub(super) fn usage(&self) -> String {
        let excluded = |name: &str| self.excluded.get(name).copied().unwrap_or(0);
        let mut text = "\nTYPE\t\tPAGES\t\t\tEXCLUDABLE\tDESCRIPTION\n".to_owned();
        text += &"-".repeat(70);
        text.push('\n');
        for (name, pages, excludable, what) in [
            ("ZERO\t", self.zero_pages, "yes", "Pages filled with zero"),
            ("NON_PRI_CACHE", excluded("cache"), "yes", "Cache pages without private flag"),
            ("PRI_CACHE", excluded("private cache"), "yes", "Cache pages with private flag"),
            ("USER\t", excluded("user"), "yes", "User process pages"),
            ("FREE\t", excluded("free"), "yes", "Free pages"),
            ("KERN_DATA", self.kept_pages, "no", "Dumpable kernel data "),
        ] {
            text += &format!("{name}\t{pages:<16}\t{excludable}\t\t{what}\n");
        }
        let bytes = page_bytes(self.source_pages);
        text + &format!(
            "\npage size:\t\t{:<16}\nTotal pages on system:\t{:<16}\n\
             Total size on system:\t{bytes:<16} Byte\n",
            page_bytes(1),
            self.source_pages
        )
    }

    fn last_line(&self) -> String {
        let read = page_bytes(self.kept_pages + self.zero_pages);
        #[expect(clippy::cast_precision_loss, reason = "a few digits are printed")]
        let rate = read as f64 / self.seconds.max(1e-6) / 1e6;
        let [written, pages] = [self.bytes, read].map(quantity::bytes);
        let peak = self
            .peak_memory
            .map_or(String::new(), |peak| format!(", with at most {} of memory", quantity::bytes(peak)));
        format!("{written} written for {pages} of pages, in {:.2} s, {rate:.0} MB/s{peak}\n", self.seconds)
    }
}

/// The name of a kind of excluded pages.
pub(super) fn name(kind: Exclusion) -> &'static str {
    match kind {
        Exclusion::Zero => "zero",
        Exclusion::Cache => "cache",
        Exclusion::PrivateCache => "private cache",
        Exclusion::User => "user",
        Exclusion::Free => "free",
        Exclusion::Poisoned => "poisoned",
        Exclusion::Offline => "offline",
    }
}
