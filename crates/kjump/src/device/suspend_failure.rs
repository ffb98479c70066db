//! Why the system did not come to rest for a call.

use std::path::Path;

use abi::device::reason;
use anyhow::Error;
use machine::suspend_stats::{self, Cause, Failures, Step};
use sys::Refusal;

/// The machine's own.
const ROOT: &str = "/";

/// Makes a call, and explains what it is refused for.
pub(crate) fn explained<T>(call: impl FnOnce() -> Result<T, Refusal>) -> anyhow::Result<T> {
    let watch = Watch::start();
    call().map_err(|refusal| watch.explain(refusal))
}

/// Knows what failed before the call, and so can tell what failed in it.
pub(crate) struct Watch(Failures);

impl Watch {
    /// To be started before the call.
    pub(crate) fn start() -> Self {
        Self(Failures::read(Path::new(ROOT)))
    }

    /// The refusal of the call, and what the kernel tells of its cause.
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
        Some(Step::Prepare) => "a device is not ready to rest".into(),
        Some(Step::Suspend) => format!("{device} refuses to rest"),
        Some(Step::SuspendLate) => format!("{device} refuses to rest, late"),
        Some(Step::SuspendNoirq) => format!("{device} refuses to rest without interrupts"),
        None => {
            "no task and no device refuses to rest, but a part of the kernel, or a CPU to go offline".into()
        }
    }
}

fn only_tested(level: &str) -> String {
    format!("/sys/power/pm_test is `{level}`, so each suspend is only tried that far; write `none` to it")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trial_of_suspends_is_named() {
        let text = only_tested("devices");
        assert!(text.starts_with("/sys/power/pm_test is `devices`, so"), "{text}");
    }

    #[test]
    fn a_device_is_named_where_the_kernel_names_it() {
        let cause = |step, device: Option<&str>| Some(Cause { step, device: device.map(Into::into) });
        assert_eq!(
            text_of(cause(Step::Suspend, Some("0000:00:03.0"))),
            "device 0000:00:03.0 refuses to rest"
        );
        assert_eq!(text_of(cause(Step::Prepare, None)), "a device is not ready to rest");
        assert_eq!(text_of(cause(Step::Freeze, None)), "a task cannot be frozen");
    }
}
