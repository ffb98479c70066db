//! Findings and the verdict, as text and as JSON.

use std::fmt::Write;

use abi::device::Info;
use machine::Machine;
use serde::Serialize;

use crate::terminal::{Colour, Terminal};

/// The severity of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Level {
    Ok,
    /// A call may not work, or not at every level.
    Warn,
    /// A call cannot work.
    No,
}

/// One fact that matters for calls.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    /// The subject; stable, for scripts.
    pub(crate) about: &'static str,
    pub(crate) level: Level,
    /// The fact.
    pub(crate) text: String,
    /// The remedy.
    pub(crate) advice: Option<String>,
}

pub(crate) fn finding(about: &'static str, level: Level, text: impl Into<String>) -> Finding {
    Finding { about, level, text: text.into(), advice: None }
}

pub(crate) fn advised(
    about: &'static str,
    level: Level,
    text: impl Into<String>,
    advice: impl Into<String>,
) -> Finding {
    Finding { advice: Some(advice.into()), ..finding(about, level, text) }
}

/// All findings.
pub(crate) struct Verdict {
    /// The subject, as in `A call`.
    pub(crate) what: &'static str,
    pub(crate) findings: Vec<Finding>,
}

impl Verdict {
    /// Whether a call can work.
    pub(crate) fn works(&self) -> bool {
        self.findings.iter().all(|finding| finding.level != Level::No)
    }

    pub(crate) fn text(&self, terminal: Terminal) -> String {
        let mut text = String::new();
        for finding in &self.findings {
            let (word, colour) = match finding.level {
                Level::Ok => ("ok  ", Colour::Green),
                Level::Warn => ("warn", Colour::Yellow),
                Level::No => ("NO  ", Colour::Red),
            };
            let _ = writeln!(text, "{}  {:<15}{}", terminal.paint(colour, word), finding.about, finding.text);
            if let Some(advice) = &finding.advice {
                let _ = writeln!(text, "{:<21}-> {advice}", "");
            }
        }
        let obstacles = self.findings.iter().filter(|finding| finding.level == Level::No).count();
        let _ = match obstacles {
            0 => writeln!(text, "\n{} can work on this machine.", self.what),
            1 => writeln!(text, "\n{} cannot work on this machine: 1 problem.", self.what),
            many => {
                writeln!(text, "\n{} cannot work on this machine: {many} problems.", self.what)
            }
        };
        text
    }

    pub(crate) fn to_json<'a>(
        &'a self,
        machine: &'a Machine,
        info: Option<&Info>,
    ) -> impl Serialize + use<'a> {
        VerdictJson {
            works: self.works(),
            kernel: machine.release.as_deref().ok(),
            interface_version: info.map(|info| info.version),
            findings: &self.findings,
        }
    }
}

#[derive(Serialize)]
struct VerdictJson<'a> {
    works: bool,
    kernel: Option<&'a str>,
    interface_version: Option<u64>,
    findings: &'a [Finding],
}
