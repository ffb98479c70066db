//! What is told of each part of the guest's report, and what must be so.

use serde_json::Value;

use super::account::{Account, Chapter};
use super::facts::{ARGUMENTS, sum, sum_underneath};

/// In the order of the guest's script; each is told when the part it names is complete.
pub(crate) const CHAPTERS: &[Chapter] = &[
    ("kernel", kernel),
    ("window-after-64", |account| quick(account, "64", "64-bit mode, with all memory identity-mapped.")),
    ("window-after-32", |account| quick(account, "32", "32-bit protected mode, without paging.")),
    ("buffer", buffer),
    ("fault64", |account| fault(account, "fault64", "r", 14)),
    ("fault32", |account| fault(account, "fault32", "e", 6)),
    ("after-faults", after_faults),
    ("suspend", suspend),
    ("underneath", underneath),
    ("kexec", kexec),
    ("disk-after", disk),
];

fn kernel(account: &mut Account) {
    let (release, rest) = halves(account.part("kernel"));
    let (processors, check) = halves(&rest);
    account.heading(&format!("Linux {release}, {processors} processors"));
    account.say(&check.lines().take(5).collect::<Vec<_>>().join("\n"));
    account.check("the kernel is Debian's", release == account.facts.release, &release);
    let works = check.ends_with("A call can work on this machine.");
    account.check("`kjump check` says that a call can work", works, &check);
}

/// An image in memory that the kernel does not use, so that what it holds is known.
fn quick(account: &mut Account, bits: &str, mode: &str) {
    const CALLS: u64 = 1000;
    let words = ARGUMENTS.map(|argument| argument.to_string()).join(" ");
    let vouched = "--vouch 0x10000000-0x10200000";
    account.heading(&format!("# kjump call --json --repeat {CALLS} {vouched} sum{bits}-high {words}"));
    account.say(mode);
    account.say("The image returns 1*1 + 2*2 + 3*3 + 4*4 + 5*5 + 6*6, and 1000 for each call so far.");
    let answer = account.json(&format!("sum{bits}"));
    results(account, &answer, CALLS);
    let found = answer.pointer("/image/mode").map(Value::to_string).unwrap_or_default();
    account.check(&format!("the image was called in {bits}-bit mode"), found == bits, &found);
    let level = text(&answer, "/quiesced");
    account.check("only interrupts of one processor were put to rest", level == "none", level);
    let time = |which: &str| number(&answer, &format!("/timing/ioctl_microseconds/{which}"));
    let [least, median, most] = ["min", "median", "max"].map(time);
    account
        .say(&format!("A call took {least:.0} us at least, {median:.0} in the middle, {most:.0} at most."));
    memory_underneath(account, &format!("window-after-{bits}"));
}

fn memory_underneath(account: &mut Account, part: &str) {
    let [before, after] = ["window-before", part].map(|part| account.hash(part));
    account
        .say("Underneath lie 2 MiB of random bytes. Each call moves a page of them away and back. SHA-256:");
    account.say(&format!("before  {before}\nafter   {after}"));
    let same = before == account.facts.window && after == before;
    account.check("the memory underneath is as it was", same, &format!("{before} {after}"));
}

/// Every result is the last one plus 1000: one entry tells all.
fn results(account: &mut Account, answer: &Value, calls: u64) {
    let step = sum(2) - sum(1);
    let expected = serde_json::json!([{ "first_call": 1, "calls": calls, "value": sum(1), "step": step }]);
    let found = answer.pointer("/results").cloned().unwrap_or_default();
    for entry in found.as_array().into_iter().flatten() {
        let (first, calls, step) = (&entry["value"], &entry["calls"], &entry["step"]);
        account.say(&format!("{calls} results: {first}, and {step} more each time."));
    }
    account.check(&format!("{calls} of {calls} results are right"), found == expected, &found.to_string());
}

fn buffer(account: &mut Account) {
    account.heading("# kjump call --in text@0x261000 --out back@0x261000:8 reverse64 0x261000 8");
    account.say("The image reverses a buffer, \"stressed\", and returns the sum of its bytes.");
    let found = account.part("buffer").to_owned();
    account.say(&found);
    let total: u64 = "stressed".bytes().map(u64::from).sum();
    let back: String = "stressed".chars().rev().collect();
    let right = found == format!("returned {total} ({total:#x})\n{back}");
    account.check("sum and buffer are right", right, &found);
}

fn fault(account: &mut Account, name: &str, letter: &str, vector: u64) {
    account.heading(&format!("# kjump call {name} {vector}"));
    let printed = account.part(name).to_owned();
    account.say(&printed);
    let answer = account.json(&format!("{name}-json"));
    let found = answer.pointer("/fault/vector").and_then(Value::as_u64);
    account.check("the exception was caught and told", found == Some(vector), &answer.to_string());
    let register =
        |name: &str| answer.pointer(&format!("/fault/registers/{letter}{name}")).and_then(Value::as_u64);
    let marks = [("bx", 0x1111), ("cx", 0x2222), ("dx", 0x3333)];
    let right = marks.iter().all(|(name, value)| register(name) == Some(*value));
    account.check("with the registers that the image had", right, &answer.to_string());
    account.check("and with an exit status of its own", printed.ends_with("exit status 3"), &printed);
}

fn after_faults(account: &mut Account) {
    account.heading("# kjump call --json --repeat 100 sum64 1 2 3 4 5 6");
    account.say(
        "After the exceptions. Without other words, the kernel is asked to give the image's pages away.",
    );
    let answer = account.json("after-faults");
    results(account, &answer, 100);
    let claimed = answer.pointer("/image/claimed") == answer.pointer("/image/pages");
    account.check(
        "it did so, and nothing had to be moved",
        claimed && !answer.is_null(),
        &answer.to_string(),
    );
}

fn suspend(account: &mut Account) {
    account.heading("# kjump call --json --repeat 10 --quiesce suspend sum64 1 2 3 4 5 6");
    account
        .say("10 times over, tasks are frozen, devices suspended, and one of two processors is put offline.");
    let answer = account.json("suspend");
    results(account, &answer, 10);
    let phases = answer.pointer("/timing/phases").and_then(Value::as_array).cloned().unwrap_or_default();
    let median = |name: &str| {
        let found = phases.iter().find(|phase| phase["name"] == name);
        found.map_or(0.0, |phase| number(phase, "/microseconds/median") / 1000.0)
    };
    let [all, rest, back] = ["all", "quiesce", "resume"].map(median);
    account.say(&format!("A call took {all:.1} ms: {rest:.1} to rest, {back:.1} back to work (medians)."));
    let level = text(&answer, "/quiesced");
    account.check("the system was suspended for it", level == "suspend", &answer.to_string());
}

fn underneath(account: &mut Account) {
    let answer = account.json("underneath");
    let count = |place: &str| answer.pointer(place).and_then(Value::as_u64).unwrap_or_default();
    let [own, code, data] = ["/own_pages", "/kernel_code_pages", "/kernel_data_pages"].map(count);
    account.heading(&format!("An image in place of {} MiB of live memory", (own + code + data) >> 8));
    account.say(&format!(
        "{own} pages of a program, {code} of the kernel's code and {data} of its read-only data.\n\
         The image overwrites all of it; the system is suspended meanwhile. Hashes of physical memory:"
    ));
    let values: Vec<u64> = answer
        .pointer("/values")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_u64)
        .collect();
    let expected: Vec<u64> = (1..=2).map(|call| sum_underneath((own + code + data).max(2), call)).collect();
    account.check(
        "the image found its own words there, at the first call and at the second",
        values == expected,
        &answer.to_string(),
    );
    for (part, what) in [("own", "the program's memory"), ("kernel_data", "the kernel's read-only data")] {
        let [before, after] = ["before", "after"].map(|time| text(&answer, &format!("/{time}/{part}")));
        account.say(&format!("{what:<28} {before} before, {after} after"));
        account.check(
            &format!("{what} is as it was"),
            before == after && !before.is_empty(),
            &answer.to_string(),
        );
    }
}

fn kexec(account: &mut Account) {
    account.heading("# kexec --load-preserve-context --args-none phy_mode; kexec -e; kexec -e");
    account.say("The example of the kernel patch that began it, by its own words: a program without paging.");
    let found = account.part("kexec").to_owned();
    account.check("loaded once, executed twice, and back", found.ends_with("exit status 0"), &found);
}

fn disk(account: &mut Account) {
    account.heading("Processors and disk, after the system was suspended so often");
    let processors = account.part("processors").to_owned();
    account.check("both processors are back", processors == "2", &processors);
    let [before, after] = ["disk-before", "disk-after"].map(|part| account.hash(part));
    account.say(&format!("The disk's SHA-256:\nbefore  {before}\nafter   {after}"));
    let same = before == account.facts.disk && after == before;
    account.check("the disk is as it was", same, &format!("{before} {after}"));
    let readings = account.part("readings").to_owned();
    let (count, hash) = readings.split_once(' ').unwrap_or_default();
    let right = hash.split(' ').next() == Some(&account.facts.disk) && readings.lines().count() == 1;
    account.check(&format!("{count} readings of it, meanwhile, gave the same"), right, &readings);
}

/// What the kernel's log must and must not say.
pub(crate) fn kernel_log(account: &mut Account, log: &str) {
    account.heading("In the end");
    let complaints = lab::complaints(log).join("\n");
    account.check("the kernel's log has no warning and no bug", complaints.is_empty(), &complaints);
    let told = log.matches("phy_mode: paging is off").count();
    let found = format!("{told} times");
    account.check("the program of 2008 spoke on the serial port, twice", told == 2, &found);
}

/// The first line, and the others.
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

    const RIGHT: &str = "==== window-before\nabc  -\n==== sum64\n{\"image\": {\"mode\": 64}, \"quiesced\": \"none\",\
        \"results\": [{\"first_call\": 1, \"calls\": 1000, \"value\": 1091, \"step\": 1000}]}\n\
        ==== window-after-64\nabc  -\n==== end\n";

    fn failures(text: &str) -> usize {
        let facts =
            Facts { release: "6.1".into(), disk: "def".into(), window: "abc".into(), ..Facts::default() };
        let mut account = Account::new(facts, &CHAPTERS[1..2]);
        account.hear(text);
        kernel_log(&mut account, "phy_mode: paging is off\nphy_mode: paging is off\n");
        account.check_end(0, "def");
        account.failures().len()
    }

    #[test]
    fn what_is_right_passes() {
        assert_eq!(failures(RIGHT), 0);
    }

    #[test]
    fn what_is_wrong_fails() {
        for (right, wrong) in [
            ("1091", "1092"),
            ("\"calls\": 1000", "\"calls\": 999"),
            ("none", "stop"),
            ("64}", "32}"),
            ("-64\nabc", "-64\nabd"),
            ("==== end\n", ""),
        ] {
            assert!(failures(&RIGHT.replace(right, wrong)) > 0, "{right} may be {wrong}");
        }
    }

    #[test]
    fn a_guest_that_says_nothing_passes_nothing() {
        let facts = Facts::default();
        let mut account = Account::new(facts, CHAPTERS);
        for (_, tell) in CHAPTERS {
            tell(&mut account);
        }
        kernel_log(&mut account, "");
        account.check_end(0, "");
        assert!(account.failures().len() > 20, "{:?}", account.failures());
        assert!(!account.verdict());
    }
}
