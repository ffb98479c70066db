//! `cargo xtask test`: every check there is, one step after the other, and a summary.

use std::io::{self, Write as _};
use std::time::{Duration, Instant};

use anyhow::Result;
use clap::Args;

use crate::checks;
use crate::stories;

/// Check everything: format, lints, tests, licences, and stories told in virtual machines
#[derive(Args)]
pub(crate) struct TestArgs {
    /// Only steps whose name contains this
    filter: Option<String>,
    /// Also what takes long
    #[arg(long)]
    soak: bool,
}

/// One thing to check.
pub(crate) struct Step {
    pub(crate) name: String,
    pub(crate) check: Box<dyn Fn() -> Verdict>,
}

/// How a check went.
pub(crate) enum Verdict {
    Passed,
    /// And what was said.
    Failed(String),
    /// And why.
    Skipped(String),
}

impl Step {
    pub(crate) fn new(name: impl Into<String>, check: impl Fn() -> Verdict + 'static) -> Self {
        Self { name: name.into(), check: Box::new(check) }
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

/// Runs the steps and sums up; answers whether none failed.
///
/// # Errors
/// The stories do not even build, or no step has such a name.
pub(crate) fn run(args: &TestArgs) -> Result<bool> {
    let filter = args.filter.as_deref().unwrap_or_default();
    let steps = steps(filter, args.soak)?;
    anyhow::ensure!(!steps.is_empty(), "no step has {filter:?} in its name (long ones need --soak)");
    let mut results = Vec::new();
    for step in &steps {
        results.push((step.name.as_str(), take(step)?));
    }
    Ok(sum_up(&results))
}

fn steps(filter: &str, soak: bool) -> Result<Vec<Step>> {
    let mut steps = checks::before_stories();
    let after = checks::after_stories(soak)?;
    // Naming the stories means building them: a check asked for by its full name need not wait for that.
    if !steps.iter().chain(&after).any(|step| step.name == filter) {
        steps.extend(stories::all(filter, soak)?);
    }
    steps.extend(after);
    steps.retain(|step| step.name.contains(filter));
    Ok(steps)
}

fn take(step: &Step) -> Result<(Verdict, Duration)> {
    let mut out = io::stdout().lock();
    write!(out, "{:<64} ", step.name)?;
    out.flush()?;
    let start = Instant::now();
    let verdict = (step.check)();
    let time = start.elapsed();
    match &verdict {
        Verdict::Passed => writeln!(out, "ok      {:>7.1} s", time.as_secs_f64())?,
        Verdict::Failed(said) => writeln!(out, "FAILED  {:>7.1} s\n{}", time.as_secs_f64(), said.trim_end())?,
        Verdict::Skipped(reason) => writeln!(out, "skipped: {reason}")?,
    }
    Ok((verdict, time))
}

fn sum_up(results: &[(&str, (Verdict, Duration))]) -> bool {
    println!();
    for (name, (verdict, _)) in results {
        match verdict {
            Verdict::Passed => {}
            Verdict::Failed(_) => println!("failed:  {name}"),
            Verdict::Skipped(reason) => println!("skipped: {name}: {reason}"),
        }
    }
    let count = |of: fn(&Verdict) -> bool| results.iter().filter(|(_, (verdict, _))| of(verdict)).count();
    let failed = count(|verdict| matches!(verdict, Verdict::Failed(_)));
    let passed = count(|verdict| matches!(verdict, Verdict::Passed));
    let skipped = count(|verdict| matches!(verdict, Verdict::Skipped(_)));
    let time: Duration = results.iter().map(|(_, (_, time))| *time).sum();
    println!("{:.0} s in all", time.as_secs_f64());
    println!("{passed} passed, {failed} failed, {skipped} skipped");
    failed == 0
}
