//! `cargo xtask test`: all steps, one after the other, and a summary.

use std::io::{self, Write as _};
use std::num::NonZero;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use clap::Args;

use crate::check::host;
use crate::check::step::{Step, Verdict};
use crate::check::stories;

/// Check everything: formatting, lints, tests, licences, and stories in virtual machines
#[derive(Args)]
pub(crate) struct TestArgs {
    /// Run only the steps whose name contains this
    filter: Option<String>,
    /// Also run the steps that take minutes
    #[arg(long)]
    soak: bool,
}

/// Runs the steps and prints a summary. Returns whether no step failed.
///
/// # Errors
/// The stories do not build, or no step has such a name.
pub(crate) fn run(args: &TestArgs) -> Result<bool> {
    let filter = args.filter.as_deref().unwrap_or_default();
    let steps = steps(filter, args.soak)?;
    anyhow::ensure!(!steps.is_empty(), "no step has {filter:?} in its name (some exist only with --soak)");
    let start = Instant::now();
    let mut results = Vec::new();
    for steps in steps.chunk_by(|step, next| step.is_concurrent && next.is_concurrent) {
        results.extend(run_all(steps)?);
    }
    Ok(sum_up(&results, start.elapsed()))
}

fn steps(filter: &str, soak: bool) -> Result<Vec<Step>> {
    let mut steps = host::before_stories(soak);
    let after = host::after_stories(soak)?;
    // The stories must be built to list them. A step with exactly this name need not wait for that.
    if !steps.iter().chain(&after).any(|step| step.name == filter) {
        steps.extend(stories::all(filter, soak)?);
    }
    steps.extend(after);
    steps.retain(|step| step.name.contains(filter));
    Ok(steps)
}

/// How many of the steps that took longest are named in the summary.
const SLOWEST: usize = 10;

/// The result and the time of a step.
struct Finished<'a> {
    name: &'a str,
    verdict: Verdict,
    time: Duration,
}

/// Runs the steps, one at a time on each CPU.
fn run_all(steps: &[Step]) -> Result<Vec<Finished<'_>>> {
    let (waiting, finished) = (Mutex::new(steps.iter()), Mutex::new(Vec::new()));
    let next = || waiting.lock().ok().and_then(|mut waiting| waiting.next());
    let work = || -> Result<()> {
        while let Some(step) = next() {
            let step = run_one(step)?;
            finished.lock().map_err(|_| anyhow::anyhow!("a step panicked"))?.push(step);
        }
        Ok(())
    };
    thread::scope(|scope| {
        let cpus = thread::available_parallelism().map_or(1, NonZero::get);
        let workers: Vec<_> = (0..cpus.min(steps.len())).map(|_| scope.spawn(work)).collect();
        workers
            .into_iter()
            .try_for_each(|worker| worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })?;
    finished.into_inner().map_err(|_| anyhow::anyhow!("a step panicked"))
}

fn run_one(step: &Step) -> Result<Finished<'_>> {
    if !step.is_concurrent {
        // Output that appears before the step ends belongs to it.
        write!(io::stdout(), "{:<64} ", step.name)?;
        io::stdout().flush()?;
    }
    let start = Instant::now();
    let verdict = (step.check)();
    let (name, time) = (step.name.as_str(), start.elapsed());
    let mut out = io::stdout().lock();
    if step.is_concurrent {
        write!(out, "{name:<64} ")?;
    }
    match &verdict {
        Verdict::Passed => writeln!(out, "ok      {:>7.1} s", time.as_secs_f64())?,
        Verdict::Failed(output) => {
            writeln!(out, "FAILED  {:>7.1} s\n{}", time.as_secs_f64(), output.trim_end())?;
        }
        Verdict::Skipped(reason) => writeln!(out, "skipped: {reason}")?,
    }
    Ok(Finished { name, verdict, time })
}

fn sum_up(results: &[Finished<'_>], wall: Duration) -> bool {
    println!();
    for Finished { name, verdict, .. } in results {
        if let Verdict::Skipped(reason) = verdict {
            println!("skipped: {name}: {reason}");
        }
    }
    let mut by_time: Vec<_> = results.iter().collect();
    by_time.sort_by_key(|finished| std::cmp::Reverse(finished.time));
    for Finished { name, time, .. } in by_time.iter().take(SLOWEST) {
        println!("slowest: {name}: {:.1} s", time.as_secs_f64());
    }
    // Last, where a log that was cut still has them.
    for Finished { name, .. } in results.iter().filter(|finished| finished.verdict.is_failure()) {
        println!("failed:  {name}");
    }
    let count = |of: fn(&Verdict) -> bool| results.iter().filter(|finished| of(&finished.verdict)).count();
    let failed = count(Verdict::is_failure);
    let passed = count(|verdict| matches!(verdict, Verdict::Passed));
    let skipped = count(|verdict| matches!(verdict, Verdict::Skipped(_)));
    let time: Duration = results.iter().map(|finished| finished.time).sum();
    println!("{:.0} s; the steps add up to {:.0} s", wall.as_secs_f64(), time.as_secs_f64());
    println!("{passed} passed, {failed} failed, {skipped} skipped");
    failed == 0
}
