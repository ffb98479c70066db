//! The report.

use firmware::examination::{Finding, Verdict};
use serde::Serialize;
use serde_json::json;

use crate::terminal::quantity;
use crate::terminal::report::Outcome;
use crate::terminal::table::{Column, Table};

/// A line of the report.
pub(super) struct Line {
    pub(super) name: &'static str,
    pub(super) finding: Finding,
    /// Time of the whole call, with the change of modes and what was stopped for it.
    pub(super) microseconds: Option<f64>,
}

#[derive(Default)]
pub(super) struct Report {
    pub(super) lines: Vec<Line>,
}

impl Report {
    fn has(&self, verdict: Verdict) -> bool {
        self.lines.iter().any(|line| line.finding.verdict == verdict)
    }

    /// The worst verdict.
    pub(super) fn outcome(&self) -> Outcome {
        if self.has(Verdict::Hang) {
            Outcome::Deadline
        } else if self.has(Verdict::Fault) {
            Outcome::Fault
        } else if self.lines.iter().all(|line| line.finding.verdict.is_good()) {
            Outcome::Done
        } else {
            Outcome::No
        }
    }

    pub(super) fn text(&self) -> String {
        let mut table = Table::new([
            Column::left("WHAT"),
            Column::left("VERDICT"),
            Column::right("TIME"),
            Column::left("SEEN"),
            Column::left("EXPECTED"),
        ]);
        for Line { name, finding: Finding { seen, expected, verdict }, microseconds } in &self.lines {
            // The expectation repeats what was seen where they are equal.
            let expected = if seen == expected { "the same" } else { expected };
            table.row([
                (*name).into(),
                verdict.name().into(),
                microseconds.map(quantity::microseconds).unwrap_or_default(),
                seen.clone(),
                expected.into(),
            ]);
        }
        let count = |verdict| self.lines.iter().filter(|line| line.finding.verdict == verdict).count();
        let [same, seen] = [count(Verdict::Same), count(Verdict::Seen)];
        let wrong = self.lines.len() - same - seen;
        format!("{table}{same} as expected, {wrong} not, {seen} not compared\n")
    }

    pub(super) fn to_json(&self) -> impl Serialize {
        let line = |line: &Line| {
            let Finding { seen, expected, verdict } = &line.finding;
            let verdict = match verdict {
                Verdict::Same => "same",
                Verdict::Different => "different",
                Verdict::Seen => "not compared",
                Verdict::Hang => "no answer",
                Verdict::Fault => "exception",
                Verdict::Refused => "refused",
            };
            json!({
                "what": line.name, "seen": seen, "verdict": verdict,
                "expected": (!expected.is_empty()).then_some(expected),
                "milliseconds": line.microseconds.map(|time| time / 1e3),
            })
        };
        json!({
            "good": self.outcome() == Outcome::Done,
            "lines": self.lines.iter().map(line).collect::<Vec<_>>(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(name: &'static str, seen: &str, expected: &str, verdict: Verdict) -> Line {
        let finding = Finding { seen: seen.into(), expected: expected.into(), verdict };
        Line { name, finding, microseconds: Some(510.0) }
    }

    #[test]
    fn the_worst_verdict_decides() {
        let mut report = Report::default();
        for (verdict, outcome) in [
            (Verdict::Same, Outcome::Done),
            (Verdict::Seen, Outcome::Done),
            (Verdict::Refused, Outcome::No),
            (Verdict::Different, Outcome::No),
            (Verdict::Fault, Outcome::Fault),
            (Verdict::Hang, Outcome::Deadline),
        ] {
            report.lines.push(line("it", "a", "b", verdict));
            assert_eq!(report.outcome(), outcome);
        }
    }

    #[test]
    fn a_line_has_verdict_time_seen_and_expected() {
        let lines = vec![
            line("base memory", "639 KiB", "639 KiB", Verdict::Same),
            line("A20", "addresses wrap at 1 MiB", "on", Verdict::Different),
        ];
        let report = Report { lines };
        assert_eq!(
            report.text(),
            "WHAT         VERDICT        TIME  SEEN                     EXPECTED\n\
             base memory  as expected  510 us  639 KiB                  the same\n\
             A20          DIFFERENT    510 us  addresses wrap at 1 MiB  on\n\
             1 as expected, 1 not, 0 not compared\n"
        );
        let json = serde_json::to_value(report.to_json()).unwrap();
        assert_eq!((&json["good"], &json["lines"][1]["verdict"]), (&false.into(), &"different".into()));
    }
}
