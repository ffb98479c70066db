//! The output of the guest, part by part, and the checks that failed.

use std::collections::HashMap;
use std::io::IsTerminal as _;

use serde_json::Value;

use super::facts::Facts;

/// The name of a part, and the function that shows it once it is complete.
pub(crate) type Chapter = (&'static str, fn(&mut Report));

/// The prefix of a line that starts a part.
const MARK: &str = "==== ";

/// The output until now, and the checks that failed.
pub(crate) struct Report {
    pub(crate) facts: Facts,
    /// Standard error of the guest.
    pub(crate) errors: String,
    chapters: &'static [Chapter],
    parts: HashMap<String, String>,
    /// The current part, and its incomplete last line.
    name: String,
    line: String,
    failures: Vec<String>,
    colour: bool,
}

impl Report {
    pub(crate) fn new(facts: Facts, chapters: &'static [Chapter]) -> Self {
        let colour = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        let (parts, failures) = (HashMap::new(), Vec::new());
        let [errors, name, line] = [const { String::new() }; 3];
        Self { facts, errors, chapters, parts, name, line, failures, colour }
    }

    /// Receives output of the guest, and shows the chapters whose part is complete.
    pub(crate) fn receive(&mut self, text: &str) {
        for piece in text.split_inclusive('\n') {
            self.line += piece;
            if self.line.ends_with('\n') {
                let line = std::mem::take(&mut self.line);
                self.take_line(&line);
            }
        }
    }

    /// The checks after the guest has ended.
    pub(crate) fn check_end(&mut self, status: u8, disk: &str) {
        let same = disk == self.facts.disk;
        self.check("the disk's file on the host has the same SHA-256 as before", same, disk);
        self.check_script(status);
    }

    /// Whether the guest's script ran to its end, and printed every part.
    pub(crate) fn check_script(&mut self, status: u8) {
        let ended = status == 0 && self.name == "end";
        let found = format!("exit status {status} in part {:?}; {}", self.name, self.errors);
        self.check("the guest's script ran to its end", ended, &found);
        let missing: Vec<&str> = self
            .chapters
            .iter()
            .map(|(part, _)| *part)
            .filter(|part| !self.parts.contains_key(*part))
            .collect();
        if !missing.is_empty() {
            self.fail("parts are missing from the guest's output", &missing.join(", "));
        }
    }

    /// Prints the failures and the last line. Returns whether every check passed.
    pub(crate) fn verdict(&self) -> bool {
        println!();
        for failure in &self.failures {
            println!("failed: {}", failure.trim_end());
        }
        let passed = self.failures.is_empty();
        println!("demo: {}", if passed { self.paint("PASS", "32;1") } else { self.paint("FAIL", "31;1") });
        passed
    }

    /// A part, without surrounding white space; empty if it is missing.
    pub(crate) fn part(&self, name: &str) -> &str {
        self.parts.get(name).map(|part| part.trim()).unwrap_or_default()
    }

    /// The hash in a part.
    pub(crate) fn hash(&self, name: &str) -> String {
        self.part(name).split(' ').next().unwrap_or_default().to_owned()
    }

    /// A part that is JSON; null, and a failure, if it is not.
    pub(crate) fn json(&mut self, name: &str) -> Value {
        let part = self.part(name);
        match serde_json::from_str(part) {
            Ok(value) => value,
            Err(error) => {
                let found = format!("{error}: {part:?}; {}", self.errors);
                self.fail(&format!("{name} does not print JSON"), &found);
                Value::Null
            }
        }
    }

    pub(crate) fn heading(&self, text: &str) {
        println!("\n{}", self.paint(text, "1"));
    }

    pub(crate) fn print(&self, text: &str) {
        for line in text.lines() {
            println!("    {line}");
        }
    }

    /// Prints a check and its result. If it failed, `found` is printed at the end.
    pub(crate) fn check(&mut self, what: &str, good: bool, found: &str) {
        let mark = if good { self.paint("ok", "32") } else { self.paint("NO", "31;1") };
        println!("{mark}  {what}");
        if !good {
            self.fail(what, found);
        }
    }

    pub(crate) fn fail(&mut self, what: &str, found: &str) {
        self.failures.push(format!("{what}: {found}"));
    }

    #[cfg(test)]
    pub(crate) fn failures(&self) -> &[String] {
        &self.failures
    }

    fn take_line(&mut self, line: &str) {
        match line.strip_prefix(MARK) {
            Some(next) => {
                let complete = std::mem::replace(&mut self.name, next.trim().to_owned());
                let chapters = self.chapters.iter().filter(|(part, _)| *part == complete);
                for (_, show) in chapters {
                    show(self);
                }
                self.parts.insert(self.name.clone(), String::new());
            }
            None => {
                if let Some(part) = self.parts.get_mut(&self.name) {
                    part.push_str(line);
                }
            }
        }
    }

    fn paint(&self, text: &str, code: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[m") } else { text.to_owned() }
    }
}
