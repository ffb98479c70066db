//! The outcome of the calls, as a value and as JSON.

use std::time::Duration;

use abi::device::{Call, ImageInfo, Load, quiesce, status};
use kernel_file::Program;
use serde::Serialize;
use sys::Refusal;

use super::fault::FaultReport;
use super::runs::{Run, Runs};
use super::timing::{Sample, Timing};

/// The image that is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct ImageFacts {
    pub(super) id: u64,
    /// 64 or 32.
    pub(super) mode: u64,
    pub(super) entry: u64,
    pub(super) pages: u64,
    pub(super) claimed: u64,
    pub(super) in_use: u64,
}

impl ImageFacts {
    pub(crate) const fn of_load(load: &Load, program: &Program<'_>) -> Self {
        let &Load { id, pages, claimed, in_use, .. } = load;
        Self { id, mode: program.mode.number(), entry: program.entry, pages, claimed, in_use }
    }

    pub(crate) const fn of_list(image: &ImageInfo) -> Self {
        let &ImageInfo { id, mode, entry, pages, claimed, in_use, .. } = image;
        Self { id, mode, entry, pages, claimed, in_use }
    }
}

/// How the last call ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    Returned,
    Fault(FaultReport),
    /// It was stopped after this number of milliseconds.
    Deadline(FaultReport, u64),
    /// The module refused a call after others had been made.
    Refused(Refusal),
}

/// The outcome of the calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CallReport {
    pub(super) image: ImageFacts,
    pub(super) tsc_khz: u64,
    /// Calls made, including one that faulted.
    pub(super) calls: u64,
    pub(super) results: Runs,
    pub(super) samples: Vec<Sample>,
    /// One of [`quiesce`].
    pub(super) quiesced: u64,
    pub(super) ending: Ending,
}

impl CallReport {
    pub(super) fn new(image: ImageFacts, tsc_khz: u64) -> Self {
        Self {
            image,
            tsc_khz,
            calls: 0,
            results: Runs::default(),
            samples: Vec::new(),
            quiesced: quiesce::AUTO,
            ending: Ending::Returned,
        }
    }

    /// Adds a call that was made, the time it took, and its deadline in milliseconds.
    pub(super) fn add(&mut self, call: &Call, elapsed: Duration, deadline: u64) {
        self.calls += 1;
        self.quiesced = call.quiesced;
        self.samples.push(Sample { ticks: call.ticks, elapsed });
        let fault = || FaultReport::new(&call.fault, self.image.mode);
        match call.status {
            status::RETURNED => self.results.push(call.value),
            status::DEADLINE => self.ending = Ending::Deadline(fault(), deadline),
            _ => self.ending = Ending::Fault(fault()),
        }
    }

    pub(super) fn timing(&self) -> Option<Timing> {
        Timing::of(&self.samples, self.tsc_khz, self.quiesced == quiesce::SUSPEND)
    }

    pub(super) fn to_json(&self) -> impl Serialize {
        let all = self.results.all();
        CallJson {
            image: self.image,
            calls: self.calls,
            returned: all.iter().map(|run| run.calls).sum(),
            quiesced: level_name(self.quiesced),
            value: all.last().map(Run::last_value),
            results: all.to_vec(),
            fault: match &self.ending {
                Ending::Fault(fault) => Some(fault.clone()),
                _ => None,
            },
            stopped: match &self.ending {
                Ending::Deadline(fault, after) => Some(StoppedJson { after_ms: *after, at: fault.clone() }),
                _ => None,
            },
            error: match &self.ending {
                Ending::Refused(refusal) => Some(refusal.to_string()),
                _ => None,
            },
            timing: self.timing(),
        }
    }
}

#[derive(Serialize)]
struct CallJson {
    image: ImageFacts,
    calls: u64,
    returned: u64,
    quiesced: &'static str,
    /// The result of the last call that returned.
    value: Option<u64>,
    results: Vec<Run>,
    fault: Option<FaultReport>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stopped: Option<StoppedJson>,
    error: Option<String>,
    timing: Option<Timing>,
}

/// Where the image was at its deadline.
#[derive(Serialize)]
struct StoppedJson {
    after_ms: u64,
    at: FaultReport,
}

/// The name of one of [`quiesce`].
pub(crate) const fn level_name(level: u64) -> &'static str {
    match level {
        quiesce::AUTO => "auto",
        quiesce::NONE => "none",
        quiesce::STOP => "stop",
        quiesce::SUSPEND => "suspend",
        _ => "unknown",
    }
}
