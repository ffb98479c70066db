//! What the guest printed, told and judged.

use std::collections::HashMap;

use serde_json::Value;

/// How many times each image is called at a quick level.
const CALLS: u64 = 1000;
/// What the images are called with.
const ARGUMENTS: [u64; 6] = [1, 2, 3, 4, 5, 6];

/// The parts of what was printed, and what was wrong with them.
pub(crate) struct Account {
    parts: HashMap<String, String>,
    failures: Vec<String>,
    colour: bool,
}

impl Account {
    pub(crate) fn new(text: &str, colour: bool) -> Self {
        let mut parts = HashMap::new();
        for part in text.split("==== ").skip(1) {
            let (name, body) = part.split_once('\n').unwrap_or((part, ""));
            parts.insert(name.trim().to_owned(), body.trim_end().to_owned());
        }
        let colour = colour && std::env::var_os("NO_COLOR").is_none();
        Self { parts, failures: Vec::new(), colour }
    }

    /// Tells the story, part by part.
    pub(crate) fn tell(&mut self) {
        self.kernel();
        self.quick("sum64", "64-bit mode, all memory identity-mapped");
        self.quick("sum32", "32-bit protected mode, paging off");
        self.fault("fault64", 14);
        self.fault("fault32", 6);
        self.after_faults();
        self.suspend();
        self.underneath();
        self.disk();
        self.log();
    }

    /// Whether the guest's script ran to its end.
    pub(crate) fn check_status(&mut self, status: u8, complaints: &str) {
        let ended = status == 0 && self.parts.contains_key("end");
        self.check(
            "the guest did all it was asked to",
            ended,
            &format!("exit status {status}\n{complaints}"),
        );
    }

    /// The last line.
    pub(crate) fn verdict(&self) -> bool {
        println!();
        for failure in &self.failures {
            println!("failed: {failure}");
        }
        let passed = self.failures.is_empty();
        println!("demo: {}", if passed { self.paint("PASS", "32;1") } else { self.paint("FAIL", "31;1") });
        passed
    }

    fn kernel(&mut self) {
        let part = self.part("kernel");
        let mut lines = part.lines();
        let (kernel, processors) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
        self.heading(&format!("{kernel}, {processors} processors"));
        let rest: Vec<_> = lines.collect();
        for line in rest.iter().take(5) {
            println!("    {line}");
        }
        self.check(
            "`kjump check` says that a call can work",
            part.ends_with("A call can work on this machine."),
            &part,
        );
    }

    fn quick(&mut self, name: &str, mode: &str) {
        let words = ARGUMENTS.map(|argument| argument.to_string()).join(" ");
        self.heading(&format!("kjump call --repeat {CALLS} {name} {words}"));
        println!(
            "    {mode}; the image adds up 1*{}, 2*{} ... and 1000 for each call so far",
            ARGUMENTS[0], ARGUMENTS[1]
        );
        let answer = self.json(name);
        self.results(name, &answer, CALLS);
        println!("    quiesced with `{}`", text(&answer, "/quiesced"));
        let time = |which: &str| number(&answer, &format!("/timing/ioctl_microseconds/{which}"));
        println!(
            "    a call took {:.0} us (median; {:.0} to {:.0})",
            time("median"),
            time("min"),
            time("max")
        );
        let quick = text(&answer, "/quiesced") == "none";
        self.check("the rest of the system ran on meanwhile", quick, "another level of quiescing was needed");
    }

    /// Every result is the last one plus 1000: one entry tells all.
    fn results(&mut self, name: &str, answer: &Value, calls: u64) {
        let sum: u64 = (1..).zip(ARGUMENTS).map(|(factor, argument): (u64, u64)| factor * argument).sum();
        let step = if calls > 1 { 1000 } else { 0 };
        let expected = serde_json::json!(
            [{ "first_call": 1, "calls": calls, "value": sum + 1000, "step": step }]
        );
        let found = answer.pointer("/results").cloned().unwrap_or_default();
        if let Some(results) = found.as_array() {
            for entry in results {
                let (first, calls, step) = (&entry["value"], &entry["calls"], &entry["step"]);
                println!("    {calls} results: {first}, and {step} more each time");
            }
        }
        self.check(
            &format!("{name}: {calls} of {calls} results are right"),
            found == expected,
            &found.to_string(),
        );
    }

    fn fault(&mut self, name: &str, vector: u64) {
        self.heading(&format!("kjump call {name} {vector}"));
        let printed = self.part(name);
        for line in printed.lines() {
            println!("    {line}");
        }
        let answer = self.json(&format!("{name}-json"));
        let found = answer.pointer("/fault/vector").and_then(Value::as_u64);
        self.check("the fault was caught and told", found == Some(vector), &answer.to_string());
        let register =
            |name: &str| answer.pointer(&format!("/fault/registers/{name}")).and_then(Value::as_u64);
        let marks = [("bx", 0x1111), ("cx", 0x2222), ("dx", 0x3333)];
        let right = marks.iter().all(|(name, value)| {
            register(&format!("r{name}")).or_else(|| register(&format!("e{name}"))) == Some(*value)
        });
        self.check("with the registers the image had", right, &answer.to_string());
        self.check("and an exit status of its own", printed.ends_with("exit status 3"), &printed);
    }

    fn after_faults(&mut self) {
        self.heading("kjump call sum64 1 2 3 4 5 6, after the faults");
        let answer = self.json("after-faults");
        self.results("sum64", &answer, 1);
    }

    fn suspend(&mut self) {
        self.heading("kjump call --repeat 10 --quiesce suspend sum64 1 2 3 4 5 6");
        println!("    tasks frozen, devices suspended, one processor offline, 10 times over");
        let answer = self.json("suspend");
        self.results("sum64", &answer, 10);
        let phase = |name: &str| {
            let phases = answer.pointer("/timing/phases").and_then(Value::as_array);
            let found = phases.and_then(|all| all.iter().find(|phase| phase["name"] == name));
            found.map_or(0.0, |phase| number(phase, "/microseconds/median") / 1000.0)
        };
        println!(
            "    to rest in {:.1} ms, back at work in {:.1} ms (medians)",
            phase("quiesce"),
            phase("resume")
        );
        self.check(
            "the system was suspended for it",
            text(&answer, "/quiesced") == "suspend",
            &answer.to_string(),
        );
        let processors = self.part("processors");
        self.check("both processors are back", processors == "2", &processors);
    }

    fn underneath(&mut self) {
        self.heading("an image of 64 MiB over the memory of a running program");
        let printed = self.part("underneath");
        for line in printed.lines() {
            println!("    {line}");
        }
        let hashes: Vec<_> =
            printed.lines().filter_map(|line| line.split_once("hash ")?.1.split(' ').next()).collect();
        let same = matches!(hashes[..], [before, after] if before == after);
        self.check("the memory underneath is as it was", same, &printed);
    }

    fn disk(&mut self) {
        let (before, after) = (self.part("disk-before"), self.part("disk-after"));
        self.heading("the disk, before and after all of it");
        println!(
            "    md5 {}\n    md5 {}",
            before.trim_end_matches([' ', '-']),
            after.trim_end_matches([' ', '-'])
        );
        self.check(
            "the disk is as it was",
            before == after && before.len() > 32,
            &format!("{before} {after}"),
        );
    }

    fn log(&mut self) {
        let log = self.part("log");
        self.check("the kernel's log has no complaint", log.is_empty(), &log);
    }

    fn part(&self, name: &str) -> String {
        self.parts.get(name).cloned().unwrap_or_default()
    }

    fn json(&mut self, name: &str) -> Value {
        let part = self.part(name);
        serde_json::from_str(&part).unwrap_or_else(|error| {
            self.check(&format!("{name} prints JSON"), false, &format!("{error}: {part}"));
            Value::Null
        })
    }

    fn heading(&self, text: &str) {
        println!("\n{}", self.paint(text, "1"));
    }

    fn check(&mut self, what: &str, good: bool, found: &str) {
        let mark = if good { self.paint("ok", "32") } else { self.paint("NO", "31;1") };
        println!("    {mark}  {what}");
        if !good {
            self.failures.push(format!("{what}: {found}"));
        }
    }

    fn paint(&self, text: &str, code: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[m") } else { text.to_owned() }
    }
}

fn text<'a>(answer: &'a Value, place: &str) -> &'a str {
    answer.pointer(place).and_then(Value::as_str).unwrap_or_default()
}

fn number(answer: &Value, place: &str) -> f64 {
    answer.pointer(place).and_then(Value::as_f64).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const RIGHT: &str = "==== sum64\n{\"quiesced\": \"none\", \"results\": \
        [{\"first_call\": 1, \"calls\": 1000, \"value\": 1091, \"step\": 1000}]}\n==== end\n";

    fn failures(text: &str) -> Vec<String> {
        let mut account = Account::new(text, false);
        account.quick("sum64", "");
        account.check_status(0, "");
        account.failures
    }

    #[test]
    fn right_results_pass() {
        assert_eq!(failures(RIGHT), Vec::<String>::new());
    }

    #[test]
    fn a_wrong_result_a_missing_call_and_a_missing_end_fail() {
        assert_eq!(failures(&RIGHT.replace("1091", "1092")).len(), 1);
        assert_eq!(failures(&RIGHT.replace(": 1000,", ": 999,")).len(), 1);
        assert_eq!(failures(&RIGHT.replace("end", "")).len(), 1);
    }

    #[test]
    fn a_guest_that_says_nothing_fails_everything() {
        let mut account = Account::new("", false);
        account.tell();
        account.check_status(0, "");
        assert!(account.failures.len() > 10);
        assert!(!account.verdict());
    }
}
