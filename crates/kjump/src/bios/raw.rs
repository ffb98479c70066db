//! A call by its number or address.

use std::fs;

use abi::bios::why;
use anyhow::Context;
use firmware::Kind;

use super::args::BiosArgs;
use super::session::{Answer, Session};
use super::text;
use crate::terminal::progress::Progress;
use crate::terminal::report::{self, Outcome};

pub(super) fn run(args: &BiosArgs) -> anyhow::Result<Outcome> {
    let call = args.call()?;
    let buffer = buffer(args)?;
    let session = Session::open(args.allow_disk_writes)?;
    let calls = [call];
    let progress = Progress::start("calling the BIOS".into(), args.repeat);
    let mut answer = session.call(&calls, &buffer, args.quiesce)?;
    let mut times = vec![answer.ticks];
    progress.step();
    while times.len() as u64 != args.repeat && answer.results.is_done() {
        answer = session.again(&calls, &buffer, args.quiesce)?;
        times.push(answer.ticks);
        progress.step();
    }
    drop(progress);
    if let Some(path) = &args.output {
        fs::write(path, &answer.buffer).with_context(|| path.display().to_string())?;
    }
    let name = match call.kind {
        Kind::Interrupt(number) | Kind::Loop { number, .. } => format!("INT {number:02x}h"),
        Kind::Far { segment, offset } => format!("{segment:04x}:{offset:04x}"),
    };
    times.sort_unstable();
    let report = text::Report { name: &name, answer: &answer, times: &times, tsc_khz: session.tsc_khz };
    if args.json {
        report::print_json(&report.to_json())?;
    } else {
        report::print(&report.text(args.output.is_none()))?;
    }
    Ok(outcome(&answer))
}

/// The buffer's first contents: the file, and zeros up to the size.
fn buffer(args: &BiosArgs) -> anyhow::Result<Vec<u8>> {
    let mut bytes = match &args.input {
        Some(path) => fs::read(path).with_context(|| path.display().to_string())?,
        None => Vec::new(),
    };
    let size = usize::try_from(args.buffer).unwrap_or(usize::MAX).min(abi::bios::BUFFER_ROOM + 1);
    bytes.resize(size.max(bytes.len()), 0);
    Ok(bytes)
}

pub(super) fn outcome(answer: &Answer) -> Outcome {
    match answer.results.why {
        why::DONE => Outcome::Done,
        why::DEADLINE => Outcome::Deadline,
        code if code & why::EXCEPTION != 0 => Outcome::Fault,
        _ => Outcome::No,
    }
}
