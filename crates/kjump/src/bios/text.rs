//! What a call returned, as text and as JSON.

use std::fmt::Write;

use firmware::block::{Returned, explain};
use firmware::{Registers, block};
use serde::Serialize;

use super::session::Answer;
use crate::call::level_name;

/// A call, or several alike.
pub(super) struct Report<'a> {
    pub(super) name: &'a str,
    /// The last one's.
    pub(super) answer: &'a Answer,
    /// Ticks of all, in rising order.
    pub(super) times: &'a [u64],
    pub(super) tsc_khz: u64,
}

impl Report<'_> {
    pub(super) fn text(&self, with_buffer: bool) -> String {
        let mut text = String::new();
        let results = &self.answer.results;
        let call = results.calls.last();
        let headline = match explain(results.why, call.map_or(0, |call| call.place)) {
            Some(why) => why,
            None => returned(call),
        };
        let _ = writeln!(text, "{}: {headline}", self.name);
        if let Some(call) = call.filter(|call| call.times > 0) {
            text.push_str(&registers(&call.registers));
        }
        if let Some(median) = self.median() {
            let count = self.times.len();
            let level = level_name(self.answer.level);
            let _ = match count {
                1 => writeln!(text, "time  {median:.3} ms at level {level}"),
                _ => writeln!(text, "time  {median:.3} ms at level {level} (median of {count} calls)"),
            };
        }
        if results.nmis > 0 {
            let _ = writeln!(text, "NMIs  {}", results.nmis);
        }
        if with_buffer {
            text.push_str(&dump(&self.answer.buffer));
        }
        text.push_str(&changes(&self.answer.results));
        text
    }

    /// Milliseconds.
    #[expect(clippy::cast_precision_loss, reason = "a time for people")]
    fn median(&self) -> Option<f64> {
        let ticks = self.times.get(self.times.len() / 2)?;
        (self.tsc_khz > 0).then(|| *ticks as f64 / self.tsc_khz as f64)
    }

    /// Where the time of the last call went.
    #[expect(clippy::cast_precision_loss, reason = "a time for people")]
    fn phases(&self) -> Option<PhasesJson> {
        let [entry, first, last, end] = self.answer.results.stamps;
        let between = |start: u64, end: u64| end.wrapping_sub(start);
        let outside = self.answer.ticks.checked_sub(between(entry, end))?;
        let ticks = [between(entry, first), between(first, last), between(last, end), outside];
        let milliseconds = |ticks: u64| ticks as f64 / self.tsc_khz as f64;
        let [preparing, calling, restoring, outside] = ticks.map(milliseconds);
        (self.tsc_khz > 0).then_some(PhasesJson { preparing, calling, restoring, outside })
    }

    pub(super) fn to_json(&self) -> impl Serialize {
        let results = &self.answer.results;
        let last = results.calls.last();
        Json {
            call: self.name.into(),
            calls: self.times.len(),
            returned: results.is_done(),
            error: explain(results.why, last.map_or(0, |call| call.place)),
            times: last.map_or(0, |call| call.times),
            registers: last.map(|call| RegistersJson::from(&call.registers)),
            carry: last.is_some_and(|call| call.registers.carry()),
            place: last.filter(|_| !results.is_done()).map(|call| call.place),
            level: level_name(self.answer.level),
            milliseconds: self.median(),
            last_call: self.phases(),
            nmis: results.nmis,
            ticks: results.ticks,
            changed: changed(results),
            buffer: self.answer.buffer.iter().fold(String::new(), |mut text, byte| {
                let _ = write!(text, "{byte:02x}");
                text
            }),
        }
    }
}

fn returned(call: Option<&Returned>) -> String {
    let Some(call) = call else { return "made no call".into() };
    let carry = if call.registers.carry() { " with the carry flag set" } else { "" };
    match call.times {
        1 => format!("returned{carry}"),
        times => format!("returned{carry}, {times} times"),
    }
}

/// Registers in two lines.
fn registers(all: &Registers) -> String {
    let Registers { eax, ebx, ecx, edx, esi, edi, ebp, eflags, ds, es } = all;
    format!(
        "eax {eax:08x}  ebx {ebx:08x}  ecx {ecx:08x}  edx {edx:08x}\n\
         esi {esi:08x}  edi {edi:08x}  ebp {ebp:08x}  eflags {eflags:08x}  ds {ds:04x}  es {es:04x}\n"
    )
}

/// What was not put back, a line each.
pub(super) fn changes(results: &block::Results) -> String {
    let mut text = String::new();
    for Change { what, before, after } in changed(results) {
        let _ = writeln!(text, "changed: {what} was {before:#x}, and is {after:#x}");
    }
    text
}

/// The same for programs.
pub(super) fn changes_as_json(results: &block::Results) -> impl Serialize {
    changed(results)
}

fn changed(results: &block::Results) -> Vec<Change> {
    let all = results.before.differences(&results.after).into_iter();
    all.map(|(what, before, after)| Change { what, before, after }).collect()
}

/// Bytes in hexadecimal, 16 a line, without the zeros at the end.
fn dump(bytes: &[u8]) -> String {
    let length = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    let mut text = String::new();
    for (line, bytes) in bytes[..length].chunks(16).enumerate() {
        let _ = write!(text, "{:04x} ", line * 16);
        for byte in bytes {
            let _ = write!(text, " {byte:02x}");
        }
        text.push('\n');
    }
    text
}

#[derive(Serialize)]
struct Change {
    what: &'static str,
    before: u64,
    after: u64,
}

#[derive(Serialize)]
struct Json {
    call: String,
    calls: usize,
    returned: bool,
    error: Option<String>,
    /// How many times the last one's interrupt was called.
    times: u32,
    registers: Option<RegistersJson>,
    carry: bool,
    /// Where it was ended: the segment in the high half, the offset in the low one.
    place: Option<u32>,
    level: &'static str,
    milliseconds: Option<f64>,
    last_call: Option<PhasesJson>,
    nmis: u32,
    ticks: u32,
    changed: Vec<Change>,
    buffer: String,
}

/// Milliseconds.
#[derive(Serialize)]
struct PhasesJson {
    /// State read, low memory kept, interrupts handed to the BIOS.
    preparing: f64,
    /// In real mode, with the changes of modes.
    calling: f64,
    /// Everything put back.
    restoring: f64,
    /// In the kernel and the module, outside of the image.
    outside: f64,
}

#[derive(Serialize)]
struct RegistersJson {
    eax: u32,
    ebx: u32,
    ecx: u32,
    edx: u32,
    esi: u32,
    edi: u32,
    ebp: u32,
    eflags: u32,
    ds: u16,
    es: u16,
}

impl From<&Registers> for RegistersJson {
    fn from(all: &Registers) -> Self {
        let Registers { eax, ebx, ecx, edx, esi, edi, ebp, eflags, ds, es } = *all;
        Self { eax, ebx, ecx, edx, esi, edi, ebp, eflags, ds, es }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use abi::bios::why;
    use abi::device::quiesce;
    use firmware::block::Results;
    use firmware::state::State;

    fn answer(code: u32) -> Answer {
        let before = State { pic_mask: 0xffff, ..State::default() };
        let registers = Registers { eax: 0x534d_4150, eflags: 0x203, ..Registers::default() };
        let call = Returned { registers, times: 7, why: code, place: 0xf000_b7b9, time: 1000 };
        let results = Results {
            why: code,
            done: 1,
            nmis: 1,
            ticks: 9,
            stamps: [0; 4],
            before,
            between: before,
            after: State { pic_mask: 0xfffa, ..before },
            calls: vec![call],
        };
        Answer { results, buffer: vec![1, 2, 0, 0], level: quiesce::NONE, ticks: 2_300_000 }
    }

    #[test]
    fn registers_time_buffer_and_changes_are_printed() {
        let answer = answer(why::DONE);
        let report = Report { name: "INT 15h", answer: &answer, times: &[2_300_000], tsc_khz: 2_300_000 };
        assert_eq!(
            report.text(true),
            "INT 15h: returned with the carry flag set, 7 times\n\
             eax 534d4150  ebx 00000000  ecx 00000000  edx 00000000\n\
             esi 00000000  edi 00000000  ebp 00000000  eflags 00000203  ds 2000  es 2000\n\
             time  1.000 ms at level none\n\
             NMIs  1\n\
             0000  01 02\n\
             changed: 8259 masks was 0xffff, and is 0xfffa\n"
        );
    }

    #[test]
    fn a_call_that_was_ended_is_explained() {
        let answer = answer(why::DEADLINE);
        let report = Report { name: "INT 16h", answer: &answer, times: &[1], tsc_khz: 0 };
        assert!(
            report
                .text(false)
                .starts_with("INT 16h: did not return before its deadline; it was ended at f000:b7b9\neax")
        );
        let json = serde_json::to_value(report.to_json()).unwrap();
        assert_eq!(json["last_call"], serde_json::Value::Null);
        assert_eq!((&json["returned"], &json["place"]), (&false.into(), &0xf000_b7b9_u32.into()));
    }
}
