//! The outcome of the calls, as text.

use std::fmt::Write;

use super::record::{CallReport, Ending, level_name};
use super::runs::Run;
use super::timing::{Phase, Timing};
use crate::terminal::quantity;
use crate::terminal::{Colour, Terminal};

/// Most runs of results that are printed.
const RUNS: usize = 20;

/// The report; `timing` adds the time of each phase.
pub(super) fn of(report: &CallReport, timing: bool, terminal: Terminal) -> String {
    let mut text = String::new();
    match report.results.all() {
        [] => {}
        [Run { calls: 1, value, .. }] if report.calls == 1 => {
            let _ = writeln!(text, "returned {}", number(*value));
        }
        runs => write_runs(&mut text, runs),
    }
    if let Ending::Fault(fault) = &report.ending {
        let call = if report.calls > 1 { format!("call {}: ", report.calls) } else { String::new() };
        let report = fault.text();
        let (headline, rest) = report.split_once('\n').unwrap_or((&report, ""));
        let _ = write!(text, "{}\n{rest}", terminal.paint(Colour::Red, &format!("{call}{headline}")));
    }
    if let Ending::Deadline(registers, after) = &report.ending {
        let call = if report.calls > 1 { format!("call {}: ", report.calls) } else { String::new() };
        let headline = registers.stopped_headline(*after);
        let _ = write!(
            text,
            "{}\n{}",
            terminal.paint(Colour::Red, &format!("{call}{headline}")),
            registers.state()
        );
    }
    if let Some(times) = report.timing().filter(|_| timing) {
        let _ = writeln!(text, "\nquiesced with `{}`", level_name(report.quiesced));
        write_timing(&mut text, &times, report.calls);
    }
    text
}

fn write_runs(text: &mut String, runs: &[Run]) {
    let returned: u64 = runs.iter().map(|run| run.calls).sum();
    if let [run] = runs {
        let _ = writeln!(text, "{} returned {}", quantity::count(returned, "call"), results(run));
        return;
    }
    let _ = writeln!(text, "{} returned:", quantity::count(returned, "call"));
    for run in runs.iter().take(RUNS) {
        let which = match run.calls {
            1 => format!("call {}", run.first_call),
            _ => format!("calls {}-{}", run.first_call, run.last_call()),
        };
        let _ = writeln!(text, "  {which}: {}", results(run));
    }
    if let Some(more) = runs.len().checked_sub(RUNS).filter(|&more| more > 0) {
        let _ = writeln!(text, "  and {more} more; --json prints all");
    }
}

fn results(run: &Run) -> String {
    let (first, last) = (number(run.value), number(run.last_value()));
    match (run.calls, run.step) {
        (1, _) | (_, 0) => first,
        (2, _) => format!("{first}, {last}"),
        (_, step) if step > 0 => format!("{first} to {last}, each {step} more"),
        (_, step) => format!("{first} to {last}, each {} less", step.unsigned_abs()),
    }
}

fn number(value: u64) -> String {
    format!("{value} ({value:#x})")
}

fn write_timing(text: &mut String, timing: &Timing, calls: u64) {
    if calls == 1 {
        let _ = writeln!(text, "{:<10}{:>16}{:>12}", "", "ticks", "us");
    } else {
        let _ = writeln!(text, "{:<10}{:^36}{:^36}", "", "ticks", "us");
        let _ =
            writeln!(text, "{:<10}{1:>12}{2:>12}{3:>12}{1:>12}{2:>12}{3:>12}", "", "min", "median", "max");
    }
    for phase in &timing.phases {
        let cells = if calls == 1 { single_cells(phase) } else { spread_cells(phase) };
        let _ = writeln!(text, "{:<10}{cells}", phase.name);
    }
    text.push_str("exchange is part of enter and leave");
    match &timing.ioctl_microseconds {
        Some(all) if calls == 1 => {
            let _ = writeln!(text, "; the program waited {:.1} us", all.median);
        }
        Some(all) => {
            let _ = writeln!(
                text,
                "; the program waited {:.1} us (min {:.1}, max {:.1})",
                all.median, all.min, all.max
            );
        }
        None => text.push('\n'),
    }
}

fn single_cells(phase: &Phase) -> String {
    let time = phase.microseconds.map(|time| format!("{:>12.1}", time.median)).unwrap_or_default();
    format!("{:>16}{time}", phase.ticks.median)
}

fn spread_cells(phase: &Phase) -> String {
    let ticks = phase.ticks;
    let times =
        phase.microseconds.map(|time| format!("{:>12.1}{:>12.1}{:>12.1}", time.min, time.median, time.max));
    format!("{:>12}{:>12}{:>12}{}", ticks.min, ticks.median, ticks.max, times.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::super::record::ImageFacts;
    use super::*;
    use abi::control::Fault;
    use abi::device::{Call, Diagnosis, Ticks, quiesce, reason, status};
    use std::time::Duration;
    use sys::{Refusal, Request};

    fn report(values: &[u64]) -> CallReport {
        let image = ImageFacts { id: 3, mode: 64, entry: 0x20_0000, pages: 2, claimed: 2, in_use: 0 };
        let mut report = CallReport::new(image, 2_400_000);
        for (&value, turn) in values.iter().zip(1..) {
            let ticks = Ticks {
                quiesce: 120 * turn,
                enter: 24_000,
                run: 4_800 * turn,
                leave: 26_400,
                ..Ticks::default()
            };
            let call =
                Call { value, status: status::RETURNED, quiesced: quiesce::NONE, ticks, ..Call::default() };
            report.add(&call, Duration::from_micros(30 + turn), 0);
        }
        report
    }

    fn fault() -> Call {
        let fault = Fault { vector: 6, rip: 0x20_0010, cs: 0x10, rflags: 2, ..Fault::default() };
        Call { status: status::FAULT, fault, quiesced: quiesce::NONE, ..Call::default() }
    }

    const PLAIN: Terminal = Terminal::plain(80);

    #[test]
    fn one_call_prints_its_result() {
        assert_eq!(of(&report(&[42]), false, PLAIN), "returned 42 (0x2a)\n");
    }

    #[test]
    fn results_of_many_calls_are_summarized() {
        assert_eq!(of(&report(&[7; 1000]), false, PLAIN), "1000 calls returned 7 (0x7)\n");
        let counter: Vec<u64> = (1..=1000).collect();
        assert_eq!(
            of(&report(&counter), false, PLAIN),
            "1000 calls returned 1 (0x1) to 1000 (0x3e8), each 1 more\n"
        );
        assert_eq!(
            of(&report(&[7, 7, 7, 9, 7, 7]), false, PLAIN),
            "6 calls returned:\n  calls 1-3: 7 (0x7)\n  call 4: 9 (0x9)\n  calls 5-6: 7 (0x7)\n"
        );
    }

    #[test]
    fn results_without_any_order_are_cut_short() {
        let squares: Vec<u64> = (0..100).map(|number| number * number).collect();
        let text = of(&report(&squares), false, PLAIN);
        assert_eq!(text.lines().count(), 22);
        assert!(text.ends_with(" more; --json prints all\n"));
    }

    #[test]
    fn the_time_of_each_phase_is_a_table() {
        insta::assert_snapshot!(of(&report(&[42]), true, PLAIN));
        insta::assert_snapshot!(of(&report(&[1, 2, 3]), true, PLAIN));
        let unknown = CallReport { tsc_khz: 0, ..report(&[1, 2]) };
        insta::assert_snapshot!(of(&unknown, true, PLAIN));
    }

    #[test]
    fn a_fault_comes_after_the_results_before_it() {
        let mut calls = report(&[1, 2]);
        calls.add(&fault(), Duration::ZERO, 0);
        insta::assert_snapshot!(of(&calls, false, PLAIN));
        assert_eq!(calls.calls, 3);
    }

    #[test]
    fn an_image_that_was_stopped_is_reported_with_its_registers() {
        let mut calls = report(&[1]);
        let call = fault();
        let fault = Fault { vector: 2, ..call.fault };
        calls.add(&Call { status: status::DEADLINE, fault, ..call }, Duration::ZERO, 1500);
        let text = of(&calls, false, PLAIN);
        assert!(text.contains("call 2: took longer than 1.5 s, stopped at rip 0x200010\n"), "{text}");
        assert!(text.contains("rsi"), "{text}");
        let json = serde_json::to_value(calls.to_json()).unwrap();
        assert_eq!(json["stopped"]["after_ms"], 1500);
        assert_eq!(json["stopped"]["at"]["rip"], 0x20_0010);
    }

    #[test]
    fn json_contains_everything() {
        let mut calls = report(&[1, 2]);
        calls.add(&fault(), Duration::ZERO, 0);
        insta::assert_snapshot!(serde_json::to_string_pretty(&calls.to_json()).unwrap());
        let diagnosis = Diagnosis { reason: reason::WOKEN_UP, numbers: [0; 5] };
        let refused = CallReport {
            ending: Ending::Refused(Refusal { request: Request::Call, errno: 11, diagnosis }),
            samples: Vec::new(),
            ..report(&[5])
        };
        insta::assert_snapshot!(serde_json::to_string(&refused.to_json()).unwrap());
    }
}
