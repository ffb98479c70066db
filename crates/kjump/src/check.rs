//! `kjump check`: what this machine can do, and what stands in the way.

pub(crate) mod findings;

use std::fmt::Write;
use std::path::Path;

use abi::device::Info;
use machine::Machine;
use serde::Serialize;
use sys::Device;

use crate::cli::CheckWords;
use crate::terminal::report::{self, Outcome};
use crate::terminal::{Colour, Terminal};

/// What `kjump check` is about.
const CALL: &str = "A call";

pub(crate) fn run(words: &CheckWords) -> anyhow::Result<Outcome> {
    let machine = Machine::probe(Path::new("/"));
    let answer = Device::open().and_then(|device| Ok(device.info()?));
    let verdict = Verdict { what: CALL, findings: findings::of(&machine, &answer) };
    if words.json {
        report::print_json(&verdict.to_json(&machine, answer.as_ref().ok()))?;
    } else {
        report::print(&verdict.text(Terminal::of_stdout()))?;
    }
    Ok(if verdict.works() { Outcome::Done } else { Outcome::No })
}

/// How good a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Level {
    Ok,
    /// A call may not work, or not in every way.
    Warn,
    /// A call cannot work.
    No,
}

/// One thing that matters for calls.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    /// What it is about; stable, for scripts.
    pub(crate) about: &'static str,
    pub(crate) level: Level,
    /// What is the case.
    pub(crate) text: String,
    /// What can be done about it.
    pub(crate) advice: Option<String>,
}

/// All that was found.
pub(crate) struct Verdict {
    /// What it is about, as in `A call`.
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
            1 => writeln!(text, "\n{} cannot work on this machine: 1 thing stands in the way.", self.what),
            many => {
                writeln!(text, "\n{} cannot work on this machine: {many} things stand in the way.", self.what)
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

#[cfg(test)]
mod tests {
    use super::*;
    use abi::device::feature;
    use sys::Error;

    fn verdict(machine: &str, answer: &Result<Info, Error>) -> (Verdict, Machine) {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/machines").join(machine);
        let machine = Machine::probe(&root);
        (Verdict { what: CALL, findings: findings::of(&machine, answer) }, machine)
    }

    fn absent() -> Result<Info, Error> {
        Err(Error::Absent { path: "/dev/kjump".into() })
    }

    fn answering() -> Result<Info, Error> {
        let features = feature::SUSPEND | feature::SUSPEND_OPS_KEPT | feature::CLAIM;
        Ok(Info { version: 1, features, paging_levels: 4, mover: 2, tsc_khz: 2_400_000, ..Info::default() })
    }

    fn text(machine: &str, answer: &Result<Info, Error>) -> String {
        verdict(machine, answer).0.text(Terminal::plain(80))
    }

    #[test]
    fn a_call_can_work_where_the_module_answers() {
        insta::assert_snapshot!(text("debian-6.1-cloud", &answering()));
    }

    #[test]
    fn secure_boot_stands_in_the_way_with_lockdown_and_without_a_module() {
        insta::assert_snapshot!(text("debian-6.12-secure-boot", &absent()));
    }

    #[test]
    fn xen_stands_in_the_way() {
        insta::assert_snapshot!(text("xen-pv-guest", &absent()));
    }

    #[test]
    fn active_encryption_stands_in_the_way_and_a_missing_module_can_be_built() {
        insta::assert_snapshot!(text("amd-sme-active", &absent()));
    }

    #[test]
    fn a_disabled_load_stands_in_the_way_and_little_memory_is_worth_a_warning() {
        insta::assert_snapshot!(text("kexec-load-disabled", &absent()));
    }

    #[test]
    fn without_privileges_the_module_cannot_be_asked() {
        let denied = Err(Error::Open {
            path: "/dev/kjump".into(),
            error: std::io::ErrorKind::PermissionDenied.into(),
        });
        insta::assert_snapshot!(text("not-root", &denied));
    }

    #[test]
    fn nothing_is_claimed_of_a_machine_that_cannot_be_read() {
        let (verdict, _) = verdict("no-such-machine", &absent());
        assert!(!verdict.works());
        insta::assert_snapshot!(verdict.text(Terminal::plain(80)));
    }

    #[test]
    fn json_says_the_same() {
        let (verdict, machine) = verdict("debian-6.1-cloud", &answering());
        let json = verdict.to_json(&machine, answering().as_ref().ok());
        insta::assert_snapshot!(serde_json::to_string_pretty(&json).unwrap());
    }
}
