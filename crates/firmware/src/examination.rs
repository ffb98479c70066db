//! A test of the machine through its BIOS: the calls of each step, and what their results are
//! compared with.
//!
//! ```text
//! STEPS ─► calls, buffer ─► the image in bare/bios ─► Observed ─┐
//!                      what the kernel knows ─► Known ──────────┴─► Finding: seen, expected, verdict
//! ```

mod low;
mod places;
mod steps;

use crate::block::{Results, explain};
use crate::need::Controller;
use crate::state::State;
use crate::{Call, e820};
use abi::bios::why;

pub use low::{changes as low_changes, extended as extended_area};
pub use places::roms;
pub use steps::STEPS;

/// What the kernel knows about the machine. What it does not show is compared with nothing.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// The firmware's memory map at boot, sorted.
    pub memory_map: Option<Vec<Named>>,
    /// Names and sizes of disks, in sectors of 512 bytes.
    pub disks: Vec<(String, u64)>,
    /// The functions on the PCI bus that a disk can be behind.
    pub controllers: Vec<Controller>,
    /// The PCI devices of the first domain.
    pub functions: Vec<Function>,
    /// The highest bus of the first domain.
    pub last_bus: Option<u8>,
    /// The EDID of each monitor, with its output's name.
    pub monitors: Vec<(String, Vec<u8>)>,
    /// Memory from [`rom::START`](crate::rom::START) on.
    pub rom: Option<Vec<u8>>,
    /// The rate of the time stamp counter.
    pub tsc_khz: u64,
}

/// A range of the memory map, as the kernel shows it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Named {
    /// First address.
    pub first: u64,
    /// Last address.
    pub last: u64,
    /// The kernel's name for the type.
    pub kind: String,
}

/// A function of a PCI device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Function {
    /// Bus, and device and function as in the address: `bus << 8 | device << 3 | function`.
    pub address: u16,
    /// Its first configuration word: the vendor in the low half, the device in the high one.
    pub id: u32,
}

/// What a step's calls returned.
#[derive(Clone, Copy, Debug)]
pub struct Observed<'a> {
    /// The block.
    pub results: &'a Results,
    /// The buffer.
    pub buffer: &'a [u8],
    /// Page 0 before the calls.
    pub page_0: &'a [u8],
    /// The real-time clock as the kernel read it before the calls and after them, in seconds since
    /// 1970.
    pub clock: Option<[u64; 2]>,
}

/// How what was seen compares with what was expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is as expected.
    Same,
    /// It is not.
    Different,
    /// The kernel does not know what is right.
    Seen,
    /// The calls did not return before their deadline.
    Hang,
    /// An exception ended the calls.
    Fault,
    /// The calls were refused.
    Refused,
}

impl Verdict {
    /// The verdict in a word or two.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Same => "as expected",
            Self::Different => "DIFFERENT",
            Self::Seen => "not compared",
            Self::Hang => "NO ANSWER",
            Self::Fault => "EXCEPTION",
            Self::Refused => "REFUSED",
        }
    }

    /// Whether there is nothing wrong.
    #[must_use]
    pub const fn is_good(self) -> bool {
        matches!(self, Self::Same | Self::Seen)
    }
}

/// A line of the report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What was seen.
    pub seen: String,
    /// What was expected; empty if nothing was.
    pub expected: String,
    /// The verdict.
    pub verdict: Verdict,
}

impl Finding {
    /// Nothing to compare with.
    fn seen(seen: impl Into<String>) -> Self {
        Self { seen: seen.into(), expected: String::new(), verdict: Verdict::Seen }
    }

    /// A comparison.
    fn compared(seen: impl Into<String>, expected: impl Into<String>, same: bool) -> Self {
        let verdict = if same { Verdict::Same } else { Verdict::Different };
        Self { seen: seen.into(), expected: expected.into(), verdict }
    }

    /// A comparison of texts.
    fn equal(seen: impl Into<String>, expected: impl Into<String>) -> Self {
        let (seen, expected) = (seen.into(), expected.into());
        let same = seen == expected;
        Self::compared(seen, expected, same)
    }

    /// The same if there is something to compare with.
    fn equal_if_known(seen: String, expected: Option<String>) -> Self {
        match expected {
            Some(expected) => Self::equal(seen, expected),
            None => Self::seen(seen),
        }
    }
}

/// A step of the test.
pub struct Step {
    /// Its name.
    pub name: &'static str,
    /// The calls.
    pub calls: fn(&Known) -> Vec<Call>,
    /// The buffer that they are made with.
    pub buffer: fn() -> Vec<u8>,
    judge: fn(&Observed<'_>, &Known) -> Finding,
}

impl Step {
    /// What the step has found.
    #[must_use]
    pub fn finding(&self, observed: &Observed<'_>, known: &Known) -> Finding {
        let results = observed.results;
        let place = results.calls.last().map_or(0, |call| call.place);
        let Some(text) = explain(results.why, place) else { return (self.judge)(observed, known) };
        let verdict = match results.why {
            why::DEADLINE => Verdict::Hang,
            code if code & why::EXCEPTION != 0 => Verdict::Fault,
            _ => Verdict::Refused,
        };
        let seen = format!("call {}: {text}", results.done);
        Finding { seen, expected: "an answer".into(), verdict }
    }
}

/// The registers that calls may change, a line for each device: its name, and what its values are
/// named in [`State::values`].
const DEVICES: [(&str, &str); 8] = [
    ("interrupt controllers (8259)", "8259 "),
    ("timer (8254)", "8254 "),
    ("HPET", "HPET "),
    ("clock (RTC)", "RTC "),
    ("local APIC", "APIC "),
    ("descriptor tables", "descriptor table "),
    ("CR0", "CR0"),
    ("CR4", "CR4"),
];

/// A line for each device: its registers after all steps, compared with those before the first.
/// Steps that did not read them, so that all are 0, do not count.
#[must_use]
pub fn devices(steps: &[(&str, State, State)]) -> Vec<(&'static str, Finding)> {
    let is_read = |state: &State, start: &str| {
        state.values().into_iter().any(|(name, value)| name.starts_with(start) && value != 0)
    };
    let text = |state: &State, start: &str| {
        let values = state.values().into_iter().filter(|(name, _)| name.starts_with(start));
        let one = |(name, value): (&str, u64)| match name[start.len()..].trim() {
            "" => format!("{value:#x}"),
            rest => format!("{rest} {value:#x}"),
        };
        values.map(one).collect::<Vec<_>>().join(", ")
    };
    let line = |(name, start): (&'static str, &str)| {
        let read: Vec<_> = steps.iter().filter(|(_, before, _)| is_read(before, start)).collect();
        let all = read.first().zip(read.last());
        let compared = |((_, before, _), (_, _, after)): (&&(&str, State, State), &&(&str, State, State))| {
            Finding::equal(text(after, start), text(before, start))
        };
        (name, all.map_or_else(|| Finding::seen("all 0, or not read"), compared))
    };
    DEVICES.map(line).into()
}

/// The line about everything that may have been changed: the differences that the steps left, each
/// with its step's name. `low` are those in page 0, by [`low_changes`].
#[must_use]
pub fn left_changed(steps: &[(&str, State, State)], low: &[(&str, String)]) -> Finding {
    let mut changes: Vec<String> =
        low.iter().map(|(step, change)| format!("{change} after {step}")).collect();
    for (step, before, after) in steps {
        for (what, was, is) in before.differences(after) {
            changes.push(format!("{what} was {was:#x}, and is {is:#x} after {step}"));
        }
    }
    if let (Some((_, first, _)), Some((_, _, last))) = (steps.first(), steps.last()) {
        let between = first.differences(last).into_iter().map(|(what, _, _)| what);
        let unexplained = |what: &&str| !changes.iter().any(|change| change.starts_with(what));
        let more: Vec<String> =
            between.filter(unexplained).map(|what| format!("{what}, between two steps")).collect();
        changes.extend(more);
    }
    if changes.is_empty() {
        return Finding::equal("nothing was left changed", "nothing was left changed");
    }
    Finding::compared(changes.join("; "), "nothing was left changed", false)
}

/// The kernel's map of RAM: the end of the range from `start` on.
fn end_of_ram(known: &Known, start: u64) -> Option<u64> {
    let ranges = known.memory_map.as_deref()?;
    let mut end = start;
    for range in ranges.iter().filter(|range| range.kind == "System RAM") {
        if range.first <= end && range.last >= end {
            end = range.last.saturating_add(1);
        }
    }
    Some(end)
}

/// The BIOS's map as the kernel shows one, sorted.
fn named(ranges: &[e820::Range]) -> Vec<Named> {
    let one =
        |range: &e820::Range| Named { first: range.start, last: range.last(), kind: range.name().into() };
    let mut all: Vec<Named> = ranges.iter().map(one).collect();
    all.sort_unstable();
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_register_that_differs_is_named_with_its_step() {
        let before = State { pic_mask: 0xffff, pit_mode: 0x34, ..State::default() };
        let after = State { pic_mask: 0xfffa, ..before };
        let finding = left_changed(&[("keyboard", before, after), ("disks", after, after)], &[]);
        assert_eq!(finding.verdict, Verdict::Different);
        assert_eq!(finding.seen, "8259 masks was 0xffff, and is 0xfffa after keyboard");
        let same = [("a", before, before)];
        assert_eq!(left_changed(&same, &[]).verdict, Verdict::Same);
        let low = left_changed(&same, &[("a", "0x413 was 7f, and is 00".into())]);
        assert_eq!(low.seen, "0x413 was 7f, and is 00 after a");
        assert_eq!(low.verdict, Verdict::Different);
        let between = left_changed(&[("a", before, before), ("b", after, after)], &[]);
        assert_eq!(between.seen, "8259 masks, between two steps");
        let lines = devices(&[("keyboard", before, after)]);
        let bad: Vec<&str> = lines
            .iter()
            .filter(|(_, finding)| finding.verdict == Verdict::Different)
            .map(|(name, _)| *name)
            .collect();
        assert_eq!(bad, ["interrupt controllers (8259)"]);
        assert!(lines.iter().all(|(_, finding)| !finding.seen.is_empty()), "{lines:?}");
        let clock = State { rtc: [0x26, 2], ..before };
        let lines = devices(&[("a", before, before), ("b", clock, clock), ("c", before, before)]);
        let (_, finding) = lines.iter().find(|(name, _)| *name == "clock (RTC)").unwrap();
        assert_eq!((finding.seen.as_str(), finding.verdict), ("registers A, B 0x2602", Verdict::Same));
    }

    #[test]
    fn ram_ends_where_its_ranges_stop_meeting() {
        let range = |first, last, kind: &str| Named { first, last, kind: kind.into() };
        let map = vec![
            range(0, 0x9_fbff, "System RAM"),
            range(0x10_0000, 0xff_ffff, "System RAM"),
            range(0x100_0000, 0x1ff_ffff, "System RAM"),
            range(0x200_0000, 0x2ff_ffff, "Reserved"),
        ];
        let known = Known { memory_map: Some(map), ..Known::default() };
        assert_eq!(end_of_ram(&known, 0), Some(0x9_fc00));
        assert_eq!(end_of_ram(&known, 0x10_0000), Some(0x200_0000));
        assert_eq!(end_of_ram(&Known::default(), 0), None);
    }
}
