//! `kjump memtest`: test memory in place, in slices, while the system is suspended.

pub(crate) mod args;
mod ranges;
mod session;
mod text;

use std::path::Path;

use anyhow::{anyhow, bail};
use machine::Machine;
use sys::clock::nanoseconds_since_boot;

use crate::memtest::args::MemtestArgs;
use crate::terminal::progress::Progress;
use crate::terminal::report::{self, Outcome};
use ranges::Span;
use session::{Found, Session};

pub(crate) fn run(args: &MemtestArgs) -> anyhow::Result<Outcome> {
    let machine = Machine::probe(Path::new("/"));
    let memory = machine.memory.as_ref().map_err(|error| anyhow!("{error}"))?;
    if memory.is_hidden() {
        bail!("the kernel shows no addresses in /proc/iomem; run as root, with CAP_SYS_ADMIN");
    }
    let ram = ranges::ram(memory.resources());
    let wanted = if args.ranges.is_empty() { ram.clone() } else { ranges::given(&args.ranges, &ram)? };
    let mut report = text::Report::new(&wanted, &ram);
    // The monotonic clock stands still while the system is suspended.
    let end =
        args.limit.map(|limit| nanoseconds_since_boot().saturating_add(limit.saturating_mul(1_000_000)));
    for pass in 1..=args.passes {
        report.begin_pass();
        let complete = one_pass(args, &wanted, memory.resources(), pass, end, &mut report)?;
        if !complete {
            break;
        }
        report.passes += 1;
    }
    report.find_owners(Path::new("/"));
    if args.offline {
        report.offline(Path::new("/"));
    }
    if args.json {
        report::print_json(&report.to_json())?;
    } else {
        report::print(&report.text())?;
    }
    Ok(if report.is_good() { Outcome::Done } else { Outcome::No })
}

/// Tests everything once, until `end` in nanoseconds since boot: what the test itself uses is
/// tested by a second image in another place, while the first one stays loaded. Returns whether
/// there was time for all of it.
fn one_pass(
    args: &MemtestArgs,
    wanted: &[Span],
    resources: &[machine::iomem::Resource],
    pass: u64,
    end: Option<u64>,
    report: &mut text::Report,
) -> anyhow::Result<bool> {
    let mut first = Session::open(resources, &[])?;
    let mut left = Vec::new();
    for piece in wanted.chunks(session::MOST_RANGES) {
        let name = format!("testing memory, pass {pass}");
        let found = slices(&mut first, args, piece, pass, &name, end)?;
        left.extend_from_slice(&found.left_out);
        let complete = found.complete;
        report.add(found);
        if !complete {
            return Ok(false);
        }
    }
    if left.is_empty() {
        return Ok(true);
    }
    let left = ranges::of_pages(&mut left);
    let mut second = Session::open(resources, &left)?;
    for piece in left.chunks(session::MOST_RANGES) {
        let found = slices(&mut second, args, piece, pass, "testing the pages used by the test", end)?;
        let complete = found.complete;
        report.add(found);
        if !complete {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Calls until the ranges are tested, or the time is over.
fn slices(
    session: &mut Session,
    args: &MemtestArgs,
    spans: &[Span],
    pass: u64,
    name: &str,
    end: Option<u64>,
) -> anyhow::Result<Found> {
    session.prepare(args, spans, pass)?;
    let progress = Progress::start(name.to_owned(), ranges::pages(spans));
    let (mut found, mut shown) = (Found::default(), 0);
    loop {
        let complete = session.slice(&mut found)?;
        progress.steps(found.tested - shown);
        shown = found.tested;
        if complete || end.is_some_and(|end| nanoseconds_since_boot() >= end) {
            session.finish(&mut found, complete)?;
            return Ok(found);
        }
    }
}
