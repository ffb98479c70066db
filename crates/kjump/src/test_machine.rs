//! `kjump test-machine`: what the BIOS reports and what the kernel knows, side by side.

pub(crate) mod args;
mod console;
mod text;

use std::path::Path;

use firmware::examination::{self, Finding, Known, Observed, STEPS, Step, Verdict};
use firmware::state::State;
use machine::bios as facts;

use self::args::TestMachineArgs;
use self::console::Console;
use self::text::{Line, Report};
use crate::bios::session::{Answer, Session};
use crate::call::args::Quiesce;
use crate::terminal::quantity::ticks_in_microseconds;
use crate::terminal::report::{self, Outcome};

pub(crate) fn run(args: &TestMachineArgs) -> anyhow::Result<Outcome> {
    let mut console = Console::open(args.console.as_deref())?;
    let session = Session::open(false)?;
    let root = Path::new("/");
    let known = facts::known(root, &session.machine, &session.facts);
    let known = Known { tsc_khz: session.tsc_khz, ..known };
    let mut report = Report::default();
    let mut left = Left::default();
    for step in STEPS {
        console.starts(step.name)?;
        let line = one_step(step, &session, &known, args.deadline, &mut left)?;
        console.ends(&line)?;
        report.lines.push(line);
    }
    let after = facts::rom(root).ok();
    let mut last = examination::roms(&known, after.as_deref());
    last.extend(examination::devices(&left.states));
    last.push(examination::extended_area(&left.extended));
    last.push(("before and after", examination::left_changed(&left.states, &left.low)));
    report.lines.extend(last.into_iter().map(|(name, finding)| Line { name, finding, microseconds: None }));
    if args.json {
        report::print_json(&report.to_json())?;
    } else {
        report::print(&report.text())?;
    }
    Ok(report.outcome())
}

/// What the steps left, with their names.
#[derive(Default)]
struct Left {
    /// The machine's state before and after.
    states: Vec<(&'static str, State, State)>,
    /// Differences in page 0.
    low: Vec<(&'static str, String)>,
    /// How many bytes of the extended BIOS data area changed.
    extended: Vec<(&'static str, usize)>,
}

/// Makes the calls of a step. Returns its line.
fn one_step(
    step: &Step,
    session: &Session,
    known: &Known,
    deadline: u32,
    left: &mut Left,
) -> anyhow::Result<Line> {
    let name = step.name;
    let calls: Vec<_> =
        (step.calls)(known).into_iter().map(|call| firmware::Call { deadline, ..call }).collect();
    let clock = || facts::clock(Path::new("/"));
    let first = clock();
    let answer = match session.call(&calls, &(step.buffer)(), Quiesce::Auto) {
        Ok(answer) => answer,
        Err(error) => {
            let (seen, expected) = (format!("{error:#}"), "an answer".into());
            let finding = Finding { seen, expected, verdict: Verdict::Refused };
            return Ok(Line { name, finding, microseconds: None });
        }
    };
    let clock = first.zip(clock()).map(<[u64; 2]>::from);
    let Answer { results, buffer, ticks, .. } = &answer;
    let [before, after] = session.low_memory()?;
    let observed = Observed { results, buffer, page_0: &before.page_0, clock };
    let finding = step.finding(&observed, known);
    let microseconds = ticks_in_microseconds(*ticks, session.tsc_khz);
    left.states.push((name, results.before, results.after));
    let changes = examination::low_changes(results, &before.page_0, &after.page_0);
    left.low.extend(changes.into_iter().map(|change| (name, change)));
    let differ = |(was, is): &(&u8, &u8)| was != is;
    left.extended.push((name, before.extended.iter().zip(&after.extended).filter(differ).count()));
    Ok(Line { name, finding, microseconds })
}
