//! A call of another kernel: how it ended, and the report of it.

use abi::device::{Call, mode, quiesce, status};
use abi::purgatory::verdict;
use anyhow::{Context, bail};
use serde::Serialize;
use sys::{Device, ImageName};

use super::last_words;
use crate::call::FaultReport;
use crate::device::call_phases::Phases;
use crate::device::suspend_failure;
use crate::peer::record::PeerRecord;
use crate::terminal::report::{self, Outcome};

/// The outcome of switching to another kernel.
#[derive(Debug, Serialize)]
pub(crate) struct Visit {
    name: String,
    #[serde(flatten)]
    ending: Ending,
    /// The last lines of its log, if the kernel died.
    log: Option<String>,
    /// Calls of that kernel, this one included.
    switches: u64,
    phases_microseconds: Option<Phases>,
}

#[derive(Debug, Serialize)]
#[serde(tag = "ending", rename_all = "lowercase")]
enum Ending {
    Returned { value: u64 },
    Panicked,
    Deadline,
    Fault { report: String },
}

impl Visit {
    /// Calls the kernel that is the image of the open file, and stops it after `deadline`
    /// milliseconds, if that is not 0. A kernel that does not return is dead. It is an error if
    /// purgatory did not enter the kernel, which is then dead too.
    pub(crate) fn make(
        device: &Device,
        name: &ImageName,
        arguments: [u64; 6],
        deadline: u64,
    ) -> anyhow::Result<Self> {
        let call = suspend_failure::explained(|| device.call_until(arguments, quiesce::SUSPEND, deadline))
            .with_context(|| name.to_string())?;
        if is_damaged(&call) {
            PeerRecord::note_death(device, name, DAMAGED);
            bail!("{name} was not entered: {DAMAGED}; load it again");
        }
        let ending = Ending::of(&call);
        let log = ending.death().and_then(|death| {
            PeerRecord::note_death(device, name, death);
            last_words::of(device, name, &call).filter(|log| !log.trim().is_empty())
        });
        let khz = device.info()?.tsc_khz;
        let phases = Phases::of(&call.ticks, khz);
        Ok(Self { name: name.to_string(), ending, log, switches: call.calls, phases_microseconds: phases })
    }

    pub(crate) fn report(&self, json: bool) -> anyhow::Result<Outcome> {
        if json {
            report::print_json(self)?;
        } else {
            report::print(&self.text())?;
        }
        Ok(self.outcome())
    }

    pub(crate) const fn outcome(&self) -> Outcome {
        match self.ending {
            Ending::Returned { .. } => Outcome::Done,
            Ending::Panicked => Outcome::Panic,
            Ending::Deadline => Outcome::Deadline,
            Ending::Fault { .. } => Outcome::Fault,
        }
    }

    /// The last lines of its log, if the kernel died.
    pub(crate) fn last_lines(&self) -> Option<&str> {
        self.log.as_deref()
    }

    /// The last lines of the log of a kernel that returned.
    pub(crate) fn log_of(device: &Device, name: &ImageName) -> Option<String> {
        last_words::of_resident(device, name)
    }

    /// How long the kernel ran.
    pub(crate) fn seconds(&self) -> f64 {
        self.phases_microseconds.map_or(0.0, |phases| phases.run / 1e6)
    }

    /// Which call it was and what the kernel returned, if it did.
    pub(crate) fn returned(&self) -> Option<(u64, u64)> {
        match self.ending {
            Ending::Returned { value } => Some((self.switches, value)),
            _ => None,
        }
    }

    pub(crate) fn text(&self) -> String {
        let name = &self.name;
        let away = self.phases_microseconds;
        let away = away.map_or(String::new(), |phases| format!(" after {:.2} s", phases.run / 1e6));
        let ended = match &self.ending {
            Ending::Returned { value } => return format!("{name} returned {value:#x}{away}\n"),
            Ending::Panicked => format!("{name} panicked{away} and is dead."),
            Ending::Deadline => format!("{name} was stopped at its deadline{away} and is dead."),
            Ending::Fault { report } => format!(
                "{name} is dead: an exception ended it{away} before it could handle its own.\n{report}"
            ),
        };
        let ended = ended.trim_end();
        match &self.log {
            Some(log) => format!("{ended}\nThe last lines of its log:\n{}\n", log.trim_end()),
            None => format!("{ended}\nIts log cannot be read; it may not have written one yet.\n"),
        }
    }
}

const DAMAGED: &str = "its memory changed since it was loaded";

/// Whether purgatory returned because the digest did not match.
fn is_damaged(call: &Call) -> bool {
    call.status == status::RETURNED && [call.value, call.value_high] == [verdict::DAMAGED; 2]
}

impl Ending {
    fn of(call: &Call) -> Self {
        match (call.status, call.value_high) {
            (status::DEADLINE, _) => Self::Deadline,
            (status::RETURNED, 0) => Self::Returned { value: call.value },
            (status::RETURNED, _) => Self::Panicked,
            _ => Self::Fault { report: FaultReport::new(&call.fault, mode::LONG).text() },
        }
    }

    /// Why the kernel cannot be called again, if so.
    const fn death(&self) -> Option<&'static str> {
        match self {
            Self::Returned { .. } => None,
            Self::Panicked => Some("it panicked"),
            Self::Deadline => Some("it was stopped at its deadline"),
            Self::Fault { .. } => Some("an exception ended it"),
        }
    }
}

#[cfg(test)]
mod tests {
    use abi::device::Ticks;

    use super::*;

    fn visit(ending: Ending, log: Option<&str>) -> String {
        let log = log.map(str::to_owned);
        let ticks = Ticks { run: 1_500_000, ..Ticks::default() };
        let phases_microseconds = Phases::of(&ticks, 1000);
        Visit { name: "b".into(), ending, log, switches: 1, phases_microseconds }.text()
    }

    #[test]
    fn the_report_states_how_the_kernel_ended() {
        assert_eq!(visit(Ending::Returned { value: 0xb0 }, None), "b returned 0xb0 after 1.50 s\n");
        assert_eq!(
            visit(Ending::Panicked, Some("why\n")),
            "b panicked after 1.50 s and is dead.\nThe last lines of its log:\nwhy\n"
        );
        assert_eq!(
            visit(Ending::Deadline, None),
            "b was stopped at its deadline after 1.50 s and is dead.\n\
             Its log cannot be read; it may not have written one yet.\n"
        );
    }
}
