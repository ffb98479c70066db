//! One step of `cargo xtask test`, and its result.

use std::process::Command;

use anyhow::Result;

/// One step.
pub(crate) struct Step {
    pub(crate) name: String,
    pub(crate) check: Box<dyn Fn() -> Verdict + Send + Sync>,
    /// It needs one CPU, and may run at the same time as others.
    pub(crate) is_concurrent: bool,
}

/// The result of a step.
pub(crate) enum Verdict {
    Passed,
    /// With the output.
    Failed(String),
    /// With the reason.
    Skipped(String),
}

impl Verdict {
    pub(crate) fn is_failure(&self) -> bool {
        matches!(self, Self::Failed(_))
    }
}

impl Step {
    pub(crate) fn new(name: impl Into<String>, check: impl Fn() -> Verdict + Send + Sync + 'static) -> Self {
        Self { name: name.into(), check: Box::new(check), is_concurrent: false }
    }

    /// The same step, to be run at the same time as others.
    pub(crate) fn concurrent(self) -> Self {
        Self { is_concurrent: true, ..self }
    }
}

impl Verdict {
    /// Runs a program; if it fails, its whole output is the reason.
    pub(crate) fn of(command: &mut Command) -> Self {
        match command.output() {
            Ok(output) if output.status.success() => Self::Passed,
            Ok(output) => {
                let [out, err] =
                    [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
                Self::Failed(format!("{out}{err}{}", output.status))
            }
            Err(error) => Self::Failed(format!("cannot run {}: {error}", command.get_program().display())),
        }
    }
}

impl From<Result<()>> for Verdict {
    fn from(result: Result<()>) -> Self {
        match result {
            Ok(()) => Self::Passed,
            Err(error) => Self::Failed(format!("{error:#}")),
        }
    }
}
