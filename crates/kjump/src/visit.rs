//! A call of another kernel: how it ended, and what is told of it.

use abi::device::{Call, Handoff, mode, quiesce, status};
use anyhow::Context;
use serde::Serialize;
use sys::{Device, ImageName};

use crate::call::FaultReport;
use crate::peer::account::Account;
use crate::phases::Phases;
use crate::report::{self, Outcome};

/// More of a kernel's log is not believed.
const LOG_LIMIT: u64 = 1 << 20;

/// What came of going to another kernel.
#[derive(Debug, Serialize)]
pub(crate) struct Visit {
    name: String,
    #[serde(flatten)]
    ending: Ending,
    /// Calls of that kernel, this one included.
    switches: u64,
    phases_microseconds: Option<Phases>,
}

#[derive(Debug, Serialize)]
#[serde(tag = "ending", rename_all = "lowercase")]
enum Ending {
    Returned { value: u64 },
    Panicked { log: Option<String> },
    Fault { report: String },
}

impl Visit {
    /// Calls the kernel that is the image of the open file. One that panicked or faulted is given up.
    pub(crate) fn make(device: &Device, name: &ImageName, arguments: [u64; 6]) -> anyhow::Result<Self> {
        let call = device.call(arguments, quiesce::SUSPEND).with_context(|| name.to_string())?;
        let ending = Ending::of(device, &call);
        if !matches!(ending, Ending::Returned { .. }) {
            Account::forget(device, name);
            device.unload().with_context(|| format!("dropping {name}"))?;
        }
        let khz = device.info()?.tsc_khz;
        let phases = Phases::of(&call.ticks, khz);
        Ok(Self { name: name.to_string(), ending, switches: call.calls, phases_microseconds: phases })
    }

    pub(crate) fn report(&self, json: bool) -> anyhow::Result<Outcome> {
        if json {
            report::print_json(self)?;
        } else {
            report::print(&self.text())?;
        }
        Ok(match self.ending {
            Ending::Returned { .. } => Outcome::Done,
            Ending::Panicked { .. } => Outcome::Panic,
            Ending::Fault { .. } => Outcome::Fault,
        })
    }

    fn text(&self) -> String {
        let name = &self.name;
        let away = self.phases_microseconds;
        let away = away.map_or(String::new(), |phases| format!(" after {:.2} s", phases.run / 1e6));
        match &self.ending {
            Ending::Returned { value } => format!("{name} returned {value:#x}{away}\n"),
            Ending::Panicked { log: Some(log) } => {
                format!("{name} panicked{away} and is dropped. It said last:\n{}\n", log.trim_end())
            }
            Ending::Panicked { log: None } => {
                format!("{name} panicked{away} and is dropped. What it said last cannot be read.\n")
            }
            Ending::Fault { report } => {
                format!(
                    "an exception ended {name}{away} before it could handle its own; it is dropped\n{report}"
                )
            }
        }
    }
}

impl Ending {
    fn of(device: &Device, call: &Call) -> Self {
        if call.status != status::RETURNED {
            return Self::Fault { report: FaultReport::new(&call.fault, mode::LONG).text() };
        }
        match call.value_high {
            0 => Self::Returned { value: call.value },
            handoff => Self::Panicked { log: last_words(device, handoff) },
        }
    }
}

/// The end of a kernel's log, by the handoff that it left at an address, if that is one.
fn last_words(device: &Device, address: u64) -> Option<String> {
    let mut bytes = [0; 24];
    device.read(address, &mut bytes).ok()?;
    let handoff = parse(&bytes)?;
    let mut log = vec![0; usize::try_from(handoff.log_length).ok()?];
    device.read(handoff.log, &mut log).ok()?;
    Some(printable(&log))
}

fn parse(bytes: &[u8; 24]) -> Option<Handoff> {
    let mut words = bytes.chunks_exact(8).map(|word| word.try_into().map_or(0, u64::from_le_bytes));
    let handoff = Handoff { magic: words.next()?, log: words.next()?, log_length: words.next()? };
    (handoff.magic == Handoff::MAGIC && handoff.log_length <= LOG_LIMIT).then_some(handoff)
}

/// Another kernel's words, without what would move a terminal's cursor.
fn printable(log: &[u8]) -> String {
    let text = String::from_utf8_lossy(log);
    text.chars().filter(|&letter| letter == '\n' || !letter.is_control()).collect()
}

#[cfg(test)]
mod tests {
    use abi::device::Ticks;

    use super::*;

    fn visit(ending: Ending) -> String {
        let ticks = Ticks { run: 1_500_000, ..Ticks::default() };
        let phases_microseconds = Phases::of(&ticks, 1000);
        Visit { name: "b".into(), ending, switches: 1, phases_microseconds }.text()
    }

    #[test]
    fn the_report_says_how_it_ended() {
        assert_eq!(visit(Ending::Returned { value: 0xb0 }), "b returned 0xb0 after 1.50 s\n");
        assert_eq!(
            visit(Ending::Panicked { log: Some("why\n".into()) }),
            "b panicked after 1.50 s and is dropped. It said last:\nwhy\n"
        );
    }

    #[test]
    fn a_handoff_is_believed_by_its_magic_and_its_length() {
        let bytes = |words: [u64; 3]| -> [u8; 24] {
            words.map(u64::to_le_bytes).concat().try_into().expect("three words")
        };
        let good = Handoff { magic: Handoff::MAGIC, log: 0x1000, log_length: LOG_LIMIT };
        assert_eq!(parse(&bytes([good.magic, good.log, good.log_length])), Some(good));
        assert_eq!(parse(&bytes([good.magic, good.log, LOG_LIMIT + 1])), None);
        assert_eq!(parse(&bytes([1, good.log, 1])), None);
    }

    #[test]
    fn a_log_moves_no_cursor() {
        assert_eq!(printable(b"a\x1b[2Jb\r\n\xff"), "a[2Jb\n\u{fffd}");
    }
}
