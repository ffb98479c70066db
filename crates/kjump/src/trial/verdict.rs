//! What became of a kernel on trial.

use std::fmt::Write;

use serde::Serialize;
use sys::{Device, ImageName};

use super::expectations::Expectations;
use super::init::MARK;
use crate::peer::visit::Visit;
use crate::terminal::report::Outcome;

/// The verdict and its reasons.
#[derive(Debug, Serialize)]
pub(super) struct Verdict {
    kernel: String,
    verdict: Kind,
    /// What it lacks, if it came back.
    differences: Vec<String>,
    /// The output of the health command.
    health: Vec<String>,
    /// The last lines of its log, if it died.
    log: Option<String>,
    seconds: f64,
    #[serde(skip)]
    summary: String,
    #[serde(skip)]
    ended: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Healthy,
    Unhealthy,
    Panicked,
    Hung,
    Fault,
}

impl Verdict {
    /// The verdict on the kernel that is the image of the open file.
    pub(super) fn of(
        visit: &Visit,
        device: &Device,
        name: &ImageName,
        kernel: String,
        expectations: &Expectations,
    ) -> Self {
        let value = visit.returned().map(|(_, value)| value);
        let log = if value.is_some() { Visit::log_of(device, name) } else { None };
        let said = Said::of(log.as_deref().unwrap_or(""));
        let kind = match (value, visit.outcome()) {
            (Some(0), _) if said.is_done => Kind::Healthy,
            (Some(_), _) => Kind::Unhealthy,
            (None, Outcome::Panic) => Kind::Panicked,
            (None, Outcome::Deadline) => Kind::Hung,
            (None, _) => Kind::Fault,
        };
        Self {
            kernel,
            verdict: kind,
            differences: said.differences,
            health: said.health,
            log: visit.last_lines().map(str::to_owned),
            seconds: visit.seconds(),
            summary: expectations.summary(),
            ended: visit.text(),
        }
    }

    pub(super) fn is_healthy(&self) -> bool {
        self.verdict == Kind::Healthy
    }

    pub(super) const fn outcome(&self) -> Outcome {
        match self.verdict {
            Kind::Healthy => Outcome::Done,
            Kind::Unhealthy => Outcome::No,
            Kind::Panicked => Outcome::Panic,
            Kind::Hung => Outcome::Deadline,
            Kind::Fault => Outcome::Fault,
        }
    }

    pub(super) fn text(&self) -> String {
        let Self { kernel, seconds, .. } = self;
        let mut text = match self.verdict {
            Kind::Healthy => format!("{kernel} is healthy after {seconds:.1} s ({})\n", self.summary),
            Kind::Unhealthy => format!("{kernel} is not healthy after {seconds:.1} s\n"),
            Kind::Panicked => format!("{kernel} panicked\n{}", self.ended),
            Kind::Hung => format!("{kernel} did not finish before the deadline\n{}", self.ended),
            Kind::Fault => format!("{kernel} failed before it could handle exceptions\n{}", self.ended),
        };
        for difference in &self.differences {
            let _ = writeln!(text, "  {difference}");
        }
        for line in &self.health {
            let _ = writeln!(text, "  health: {line}");
        }
        text
    }
}

/// What the init of a trial logged.
#[derive(Debug, Default, PartialEq, Eq)]
struct Said {
    differences: Vec<String>,
    health: Vec<String>,
    is_done: bool,
}

impl Said {
    fn of(log: &str) -> Self {
        let mut said = Self::default();
        for line in log.lines().filter_map(|line| Some(line.split_once(MARK)?.1)) {
            match line.split_once(' ') {
                None if line == "done" => said.is_done = true,
                Some(("missing", what)) => said.differences.push(missing(what)),
                Some(("failed", status)) => {
                    said.differences.push(format!("the health command failed with status {status}"));
                }
                Some(("health", line)) => said.health.push(line.to_owned()),
                _ => {}
            }
        }
        said
    }
}

/// A missing expectation as a sentence.
fn missing(what: &str) -> String {
    let fields: Vec<&str> = what.split_whitespace().collect();
    match fields.as_slice() {
        ["driver", bus, driver, device] => format!("driver {driver} does not serve {bus} device {device}"),
        ["link", address] => format!("network card {address} has no link"),
        ["root", name] => format!("root file system {name} is not found, or cannot be mounted read-only"),
        _ => what.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_is_read_as_the_init_writes_it() {
        let log = "[    1.0] Linux version 6.1\n\
                   [    2.0] kjump trial: missing driver pci ahci pci:v00008086\n\
                   [    2.0] kjump trial: missing link 52:54:00:12:34:56\n\
                   [    2.0] kjump trial: missing root UUID=1\n\
                   [    2.5] kjump trial: health a line\n\
                   [    2.5] kjump trial: failed 3\n\
                   [    2.6] kjump trial: done\n";
        let said = Said::of(log);
        assert!(said.is_done);
        assert_eq!(said.health, ["a line"]);
        assert_eq!(
            said.differences,
            [
                "driver ahci does not serve pci device pci:v00008086",
                "network card 52:54:00:12:34:56 has no link",
                "root file system UUID=1 is not found, or cannot be mounted read-only",
                "the health command failed with status 3",
            ]
        );
        assert_eq!(Said::of("kjump trial: rest of a line"), Said::default());
    }
}
