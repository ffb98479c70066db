//! What the guest prints, part by part, and what is wrong with it.

use std::collections::HashMap;
use std::io::IsTerminal as _;

use serde_json::Value;

use super::facts::Facts;

/// What is told once the part of this name is complete.
pub(crate) type Chapter = (&'static str, fn(&mut Account));

/// What begins the line that starts a part.
const MARK: &str = "==== ";

/// What was heard so far, and what was wrong with it.
pub(crate) struct Account {
    pub(crate) facts: Facts,
    /// Standard error of the guest.
    pub(crate) complaints: String,
    chapters: &'static [Chapter],
    parts: HashMap<String, String>,
    /// The part under way, and its last line as far as it is there.
    name: String,
    line: String,
    failures: Vec<String>,
    colour: bool,
}

impl Account {
    pub(crate) fn new(facts: Facts, chapters: &'static [Chapter]) -> Self {
        let colour = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        let (parts, failures) = (HashMap::new(), Vec::new());
        let [complaints, name, line] = [const { String::new() }; 3];
        Self { facts, complaints, chapters, parts, name, line, failures, colour }
    }

    /// Takes some of what the guest prints, and tells the chapters whose last part ends with it.
    pub(crate) fn hear(&mut self, text: &str) {
        for piece in text.split_inclusive('\n') {
            self.line += piece;
            if self.line.ends_with('\n') {
                let line = std::mem::take(&mut self.line);
                self.take_line(&line);
            }
        }
    }

    /// What is left to check when the guest has ended.
    pub(crate) fn check_end(&mut self, status: u8, disk: &str) {
        let same = disk == self.facts.disk;
        self.check("the file behind the disk has the SHA-256 that it had before", same, disk);
        let ended = status == 0 && self.name == "end";
        let found = format!("exit status {status} in part {:?}; {}", self.name, self.complaints);
        self.check("the guest did all it was asked to", ended, &found);
        let missing: Vec<&str> = self
            .chapters
            .iter()
            .map(|(part, _)| *part)
            .filter(|part| !self.parts.contains_key(*part))
            .collect();
        if !missing.is_empty() {
            self.fail("the guest's report is not complete", &missing.join(", "));
        }
    }

    /// The last line.
    pub(crate) fn verdict(&self) -> bool {
        println!();
        for failure in &self.failures {
            println!("failed: {}", failure.trim_end());
        }
        let passed = self.failures.is_empty();
        println!("demo: {}", if passed { self.paint("PASS", "32;1") } else { self.paint("FAIL", "31;1") });
        passed
    }

    /// A part that was heard, without white space around it; empty if it was not.
    pub(crate) fn part(&self, name: &str) -> &str {
        self.parts.get(name).map(|part| part.trim()).unwrap_or_default()
    }

    /// The hash in a part.
    pub(crate) fn hash(&self, name: &str) -> String {
        self.part(name).split(' ').next().unwrap_or_default().to_owned()
    }

    /// A part that is JSON.
    pub(crate) fn json(&mut self, name: &str) -> Value {
        let part = self.part(name);
        match serde_json::from_str(part) {
            Ok(value) => value,
            Err(error) => {
                let found = format!("{error}: {part:?}; {}", self.complaints);
                self.fail(&format!("{name} prints no JSON"), &found);
                Value::Null
            }
        }
    }

    pub(crate) fn heading(&self, text: &str) {
        println!("\n{}", self.paint(text, "1"));
    }

    pub(crate) fn say(&self, text: &str) {
        for line in text.lines() {
            println!("    {line}");
        }
    }

    /// Says what must be so, and whether it is; if not, what was found stands at the end.
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
                for (_, tell) in chapters {
                    tell(self);
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
