//! Why the system could not be suspended for a call.

use std::path::Path;

use abi::device::reason;
use anyhow::Error;
use machine::suspend_stats::{self, Cause, Failures, Step};
use sys::Refusal;

/// The root of the running machine's /proc and /sys.
const ROOT: &str = "/";

/// Makes a call, and explains a refusal.
pub(crate) fn explained<T>(call: impl FnOnce() -> Result<T, Refusal>) -> anyhow::Result<T> {
    let watch = Watch::start();
    call().map_err(|refusal| watch.explain(refusal))
}

/// The failures counted before a call. Later ones happened in the call.
pub(crate) struct Watch(Failures);

impl Watch {
    /// Reads the counters; to be called before the call.
    pub(crate) fn start() -> Self {
        Self(Failures::read(Path::new(ROOT)))
    }

    /// The refusal of the call, with the cause that the kernel reports.
    pub(crate) fn explain(&self, refusal: Refusal) -> Error {
        let cause = match refusal.diagnosis.reason {
            reason::SUSPEND_FAILED => Some(text_of(self.0.since_then(Path::new(ROOT)))),
            reason::WOKEN_UP => {
                suspend_stats::test_level(Path::new(ROOT)).ok().flatten().map(|level| only_tested(&level))
            }
            _ => None,
        };
        match cause {
            Some(cause) => Error::from(refusal).context(cause),
            None => refusal.into(),
        }
    }
}

fn text_of(cause: Option<Cause>) -> String {
    let step = cause.as_ref().map(|cause| cause.step);
    let named = |name| format!("device {name}");
    let device = cause.and_then(|cause| cause.device).map_or("a device".into(), named);
    match step {
        Some(Step::Freeze) => "a task cannot be frozen".into(),
        Some(Step::Prepare) => "a device is not ready to suspend".into(),
        Some(Step::Suspend) => format!("{device} failed to suspend"),
        Some(Step::SuspendLate) => format!("{device} failed to suspend in the late phase"),
        Some(Step::SuspendNoirq) => format!("{device} failed to suspend in the noirq phase"),
        None => {
            "neither a task nor a device failed to suspend: another part of the kernel did, or a CPU did \
             not go offline"
                .into()
        }
    }
}

fn only_tested(level: &str) -> String {
    format!("/sys/power/pm_test is `{level}`, so each suspend stops at that level; write `none` to it")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_level_of_suspend_is_named() {
        let text = only_tested("devices");
        assert!(text.starts_with("/sys/power/pm_test is `devices`, so"), "{text}");
    }

    #[test]
    fn a_device_is_named_if_the_kernel_names_it() {
        let cause = |step, device: Option<&str>| Some(Cause { step, device: device.map(Into::into) });
        assert_eq!(
            text_of(cause(Step::Suspend, Some("0000:00:03.0"))),
            "device 0000:00:03.0 failed to suspend"
        );
        assert_eq!(text_of(cause(Step::Prepare, None)), "a device is not ready to suspend");
        assert_eq!(text_of(cause(Step::Freeze, None)), "a task cannot be frozen");
    }
}
