//! An explanation and checks for each part of the guest's output.

use serde_json::Value;

use super::facts::{ARGUMENTS, sum, sum_underneath};
use super::report::{Chapter, Report};

/// In the order of the guest's script. Each is shown when the part that it names is complete.
pub(crate) const CHAPTERS: &[Chapter] = &[
    ("kernel", kernel),
    ("window-after-64", |report| quick(report, "64", "64-bit mode; all memory is identity-mapped.")),
    ("window-after-32", |report| quick(report, "32", "32-bit protected mode without paging.")),
    ("buffer", buffer),
    ("fault64", |report| fault(report, "fault64", "r", 14)),
    ("fault32", |report| fault(report, "fault32", "e", 6)),
    ("after-faults", after_faults),
    ("suspend", suspend),
    ("underneath", underneath),
    ("kexec", kexec),
    ("disk-after", disk),
];

fn kernel(report: &mut Report) {
    let (release, rest) = halves(report.part("kernel"));
    let (cpus, check) = halves(&rest);
    report.heading(&format!("Linux {release}, {cpus} CPUs"));
    report.print(&check.lines().take(5).collect::<Vec<_>>().join("\n"));
    report.check("the kernel is Debian's", release == report.facts.release, &release);
    let works = check.ends_with("A call can work on this machine.");
    report.check("`kjump check` reports that calls work", works, &check);
}

/// An image in memory that the kernel does not use, so that its contents are known.
fn quick(report: &mut Report, bits: &str, mode: &str) {
    const CALLS: u64 = 1000;
    let arguments = ARGUMENTS.map(|argument| argument.to_string()).join(" ");
    let vouched = "--vouch 0x10000000-0x10200000";
    report.heading(&format!("# kjump call --json --repeat {CALLS} {vouched} sum{bits}-high {arguments}"));
    report.print(mode);
    report.print("The image returns 1*1 + 2*2 + 3*3 + 4*4 + 5*5 + 6*6, plus 1000 times the number of calls.");
    let answer = report.json(&format!("sum{bits}"));
    results(report, &answer, CALLS);
    let found = answer.pointer("/image/mode").map(Value::to_string).unwrap_or_default();
    report.check(&format!("the image was called in {bits}-bit mode"), found == bits, &found);
    let level = text(&answer, "/quiesced");
    report.check("nothing was stopped except interrupts on one CPU", level == "none", level);
    let time = |which: &str| number(&answer, &format!("/timing/ioctl_microseconds/{which}"));
    let [least, median, most] = ["min", "median", "max"].map(time);
    report.print(&format!("A call took {median:.0} us (median; between {least:.0} and {most:.0})."));
    memory_underneath(report, &format!("window-after-{bits}"));
}

fn memory_underneath(report: &mut Report, part: &str) {
    let [before, after] = ["window-before", part].map(|part| report.hash(part));
    report.print("The memory there contains 2 MiB of random bytes.");
    report.print("Each call moves a page of them away and back. SHA-256:");
    report.print(&format!("before  {before}\nafter   {after}"));
    let same = before == report.facts.window && after == before;
    report.check("this memory has its old contents again", same, &format!("{before} {after}"));
}

/// Every result is the previous one plus 1000, so there is one entry.
fn results(report: &mut Report, answer: &Value, calls: u64) {
    let step = sum(2) - sum(1);
    let expected = serde_json::json!([{ "first_call": 1, "calls": calls, "value": sum(1), "step": step }]);
    let found = answer.pointer("/results").cloned().unwrap_or_default();
    for entry in found.as_array().into_iter().flatten() {
        let (first, calls, step) = (&entry["value"], &entry["calls"], &entry["step"]);
        report.print(&format!("{calls} results: {first}, then {step} more each time."));
    }
    report.check(&format!("all {calls} results are right"), found == expected, &found.to_string());
}

fn buffer(report: &mut Report) {
    report.heading("# kjump call --in text@0x261000 --out back@0x261000:8 reverse64 0x261000 8");
    report.print("The image reverses the buffer \"stressed\" and returns the sum of its bytes.");
    let found = report.part("buffer").to_owned();
    report.print(&found);
    let total: u64 = "stressed".bytes().map(u64::from).sum();
    let back: String = "stressed".chars().rev().collect();
    let right = found == format!("returned {total} ({total:#x})\n{back}");
    report.check("the sum and the buffer are right", right, &found);
}

fn fault(report: &mut Report, name: &str, letter: &str, vector: u64) {
    report.heading(&format!("# kjump call {name} {vector}"));
    let printed = report.part(name).to_owned();
    report.print(&printed);
    let answer = report.json(&format!("{name}-json"));
    let found = answer.pointer("/fault/vector").and_then(Value::as_u64);
    report.check("the exception was caught and reported", found == Some(vector), &answer.to_string());
    let register =
        |name: &str| answer.pointer(&format!("/fault/registers/{letter}{name}")).and_then(Value::as_u64);
    let marks = [("bx", 0x1111), ("cx", 0x2222), ("dx", 0x3333)];
    let right = marks.iter().all(|(name, value)| register(name) == Some(*value));
    report.check("the report has the image's registers", right, &answer.to_string());
    report.check("the exit status is 3", printed.ends_with("exit status 3"), &printed);
}

fn after_faults(report: &mut Report) {
    report.heading("# kjump call --json --repeat 100 sum64 1 2 3 4 5 6");
    report.print(
        "Calls still work after the exceptions. By default, kjump claims the image's pages from the kernel.",
    );
    let answer = report.json("after-faults");
    results(report, &answer, 100);
    let claimed = answer.pointer("/image/claimed") == answer.pointer("/image/pages");
    report.check(
        "all pages were claimed, so none had to be moved",
        claimed && !answer.is_null(),
        &answer.to_string(),
    );
}

fn suspend(report: &mut Report) {
    report.heading("# kjump call --json --repeat 10 --quiesce suspend sum64 1 2 3 4 5 6");
    report.print("Ten times, tasks are frozen, devices suspended, and one of the two CPUs is taken offline.");
    let answer = report.json("suspend");
    results(report, &answer, 10);
    let phases = answer.pointer("/timing/phases").and_then(Value::as_array).cloned().unwrap_or_default();
    let median = |name: &str| {
        let found = phases.iter().find(|phase| phase["name"] == name);
        found.map_or(0.0, |phase| number(phase, "/microseconds/median") / 1000.0)
    };
    let [all, rest, back] = ["all", "quiesce", "resume"].map(median);
    report.print(&format!(
        "A call took {all:.1} ms, of which {rest:.1} to suspend and {back:.1} to resume (medians)."
    ));
    let level = text(&answer, "/quiesced");
    report.check("the system was suspended for the calls", level == "suspend", &answer.to_string());
}

fn underneath(report: &mut Report) {
    let answer = report.json("underneath");
    let count = |place: &str| answer.pointer(place).and_then(Value::as_u64).unwrap_or_default();
    let [own, code, data] = ["/own_pages", "/kernel_code_pages", "/kernel_data_pages"].map(count);
    report.heading(&format!("An image that replaces {} MiB of live memory", (own + code + data) >> 8));
    report.print(&format!(
        "{own} pages of a program, {code} of the kernel's code and {data} of its read-only data.\n\
         The image overwrites all of them while the system is suspended. Hashes of physical memory:"
    ));
    let values: Vec<u64> = answer
        .pointer("/values")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_u64)
        .collect();
    let expected: Vec<u64> = (1..=2).map(|call| sum_underneath((own + code + data).max(2), call)).collect();
    report.check("the image found its own data there at both calls", values == expected, &answer.to_string());
    for (part, what) in [("own", "the program's memory"), ("kernel_data", "the kernel's read-only data")] {
        let [before, after] = ["before", "after"].map(|time| text(&answer, &format!("/{time}/{part}")));
        report.print(&format!("{what:<28} {before} before, {after} after"));
        report.check(
            &format!("{what} is unchanged"),
            before == after && !before.is_empty(),
            &answer.to_string(),
        );
    }
}

fn kexec(report: &mut Report) {
    report.heading("# kexec --load-preserve-context --args-none phy_mode; kexec -e; kexec -e");
    report.print("The example of the 2008 kexec jump patches, with its original command line:");
    report.print("a program that runs without paging.");
    let found = report.part("kexec").to_owned();
    report.check("loaded once, executed twice, and returned", found.ends_with("exit status 0"), &found);
}

fn disk(report: &mut Report) {
    report.heading("CPUs and disk, after all these suspends");
    let cpus = report.part("cpus").to_owned();
    report.check("both CPUs are online", cpus == "2", &cpus);
    let [before, after] = ["disk-before", "disk-after"].map(|part| report.hash(part));
    report.print(&format!("The disk's SHA-256:\nbefore  {before}\nafter   {after}"));
    let same = before == report.facts.disk && after == before;
    report.check("the disk is unchanged", same, &format!("{before} {after}"));
    let readings = report.part("readings").to_owned();
    let (count, hash) = readings.split_once(' ').unwrap_or_default();
    let right = hash.split(' ').next() == Some(&report.facts.disk) && readings.lines().count() == 1;
    report.check(&format!("{count} reads of it in the meantime had the same result"), right, &readings);
}

/// What the kernel's log must contain, and must not contain.
pub(crate) fn kernel_log(report: &mut Report, log: &str) {
    report.heading("At the end");
    let complaints = lab::complaints(log).join("\n");
    report.check("the kernel's log has no warning and no bug", complaints.is_empty(), &complaints);
    let count = log.matches("phy_mode: paging is off").count();
    let found = format!("{count} times");
    report.check("the program wrote to the serial port twice", count == 2, &found);
}

/// The first line, and the rest.
pub(crate) fn halves(text: &str) -> (String, String) {
    let (first, rest) = text.split_once('\n').unwrap_or((text, ""));
    (first.to_owned(), rest.to_owned())
}

pub(crate) fn text<'a>(answer: &'a Value, place: &str) -> &'a str {
    answer.pointer(place).and_then(Value::as_str).unwrap_or_default()
}

pub(crate) fn number(answer: &Value, place: &str) -> f64 {
    answer.pointer(place).and_then(Value::as_f64).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::facts::Facts;
    use super::*;

    const RIGHT: &str = "==== window-before\nabc  -\n==== sum64\n\
        {\"image\": {\"mode\": 64}, \"quiesced\": \"none\", \"results\": \
        [{\"first_call\": 1, \"calls\": 1000, \"value\": 1091, \"step\": 1000}]}\n\
        ==== window-after-64\nabc  -\n==== end\n";

    fn failures(text: &str) -> usize {
        let facts =
            Facts { release: "6.1".into(), disk: "def".into(), window: "abc".into(), ..Facts::default() };
        let mut report = Report::new(facts, &CHAPTERS[1..2]);
        report.receive(text);
        kernel_log(&mut report, "phy_mode: paging is off\nphy_mode: paging is off\n");
        report.check_end(0, "def");
        report.failures().len()
    }

    #[test]
    fn correct_output_passes() {
        assert_eq!(failures(RIGHT), 0);
    }

    #[test]
    fn wrong_output_fails() {
        for (right, wrong) in [
            ("1091", "1092"),
            ("\"calls\": 1000", "\"calls\": 999"),
            ("none", "stop"),
            ("64}", "32}"),
            ("-64\nabc", "-64\nabd"),
            ("==== end\n", ""),
        ] {
            assert!(failures(&RIGHT.replace(right, wrong)) > 0, "{wrong} passes instead of {right}");
        }
    }

    #[test]
    fn a_silent_guest_passes_no_check() {
        let facts = Facts::default();
        let mut report = Report::new(facts, CHAPTERS);
        for (_, show) in CHAPTERS {
            show(&mut report);
        }
        kernel_log(&mut report, "");
        report.check_end(0, "");
        assert!(report.failures().len() > 20, "{:?}", report.failures());
        assert!(!report.verdict());
    }
}
