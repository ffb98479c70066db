//! Carries a script out as far as its menu depends on it: variables, conditions, functions.
//!
//! Every other command succeeds without an effect. The work is limited, so a hostile script ends.

use std::collections::BTreeMap;

use super::script::{Piece, Statement, Word};
use super::{Item, Kernel, Kind, Place};
use crate::Garbled;

/// The limit for commands.
const STEPS: usize = 1 << 20;
/// The limit for the bytes of all words, variables replaced.
const BYTES: usize = 32 << 20;
/// The limit for functions that call each other, and for menus in menus.
const DEPTH: usize = 8;

pub(super) struct Shell<'a> {
    pub(super) variables: BTreeMap<String, String>,
    environment: Option<&'a BTreeMap<String, String>>,
    functions: BTreeMap<String, &'a [Statement]>,
    items: Vec<Pending<'a>>,
    kernel: Kernel,
    steps: usize,
    bytes: usize,
}

/// An entry or submenu whose commands run when it is chosen.
struct Pending<'a> {
    title: String,
    id: Option<String>,
    body: Body<'a>,
}

enum Body<'a> {
    Entry(&'a [Statement]),
    Submenu(&'a [Statement]),
    LoaderEntries,
}

impl<'a> Shell<'a> {
    pub(super) fn new(environment: Option<&'a BTreeMap<String, String>>) -> Self {
        let built_in = [("prefix", "/boot/grub"), ("feature_menuentry_id", "y"), ("?", "0")];
        Self {
            variables: built_in.iter().map(|&(name, value)| (name.into(), value.into())).collect(),
            environment,
            functions: BTreeMap::new(),
            items: Vec::new(),
            kernel: Kernel::default(),
            steps: 0,
            bytes: 0,
        }
    }

    /// Runs the whole script, and returns its menu.
    pub(super) fn menu(&mut self, script: &'a [Statement], depth: usize) -> Result<Vec<Item>, Garbled> {
        self.run(script, 0)?;
        let mut items = Vec::new();
        for pending in std::mem::take(&mut self.items) {
            let kind = match pending.body {
                Body::LoaderEntries => Kind::LoaderEntries,
                Body::Entry(_) | Body::Submenu(_) if depth >= DEPTH => continue,
                Body::Entry(body) => self.apart(|shell| {
                    shell.run(body, 0)?;
                    Ok(Kind::Entry(std::mem::take(&mut shell.kernel)))
                })?,
                Body::Submenu(body) => self.apart(|shell| Ok(Kind::Submenu(shell.menu(body, depth + 1)?)))?,
            };
            items.push(Item { title: pending.title, id: pending.id, kind });
        }
        Ok(items)
    }

    /// Runs what leaves the variables as they are.
    fn apart<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T, Garbled>) -> Result<T, Garbled> {
        self.take_steps(self.variables.len() + self.functions.len())?;
        let variables = self.variables.clone();
        let functions = self.functions.clone();
        self.kernel = Kernel::default();
        let result = work(self);
        // An entry in an entry is none.
        self.items.clear();
        (self.variables, self.functions) = (variables, functions);
        result
    }

    fn take_steps(&mut self, steps: usize) -> Result<(), Garbled> {
        self.steps = self.steps.saturating_add(steps);
        if self.steps > STEPS { Err(Garbled { line: 1, wanted: LIMITED }) } else { Ok(()) }
    }

    /// Runs statements; whether the last one succeeded.
    fn run(&mut self, statements: &'a [Statement], depth: usize) -> Result<bool, Garbled> {
        let mut success = true;
        for statement in statements {
            self.take_steps(1)?;
            success = match statement {
                Statement::Loop => true,
                Statement::If(arms) => self.condition(arms, depth)?,
                Statement::Command { words, block } => {
                    let words = self.expanded(words)?;
                    self.command(&words, block.as_deref(), depth)?
                }
            };
        }
        Ok(success)
    }

    fn condition(
        &mut self,
        arms: &'a [(Vec<Statement>, Vec<Statement>)],
        depth: usize,
    ) -> Result<bool, Garbled> {
        for (condition, body) in arms {
            if self.run(condition, depth)? {
                return self.run(body, depth);
            }
        }
        Ok(true)
    }

    fn expanded(&mut self, words: &[Word]) -> Result<Vec<String>, Garbled> {
        let mut expanded = Vec::new();
        for word in words {
            let mut text = String::new();
            let mut is_word = word.quoted;
            for piece in &word.pieces {
                match piece {
                    Piece::Literal(literal) => text.push_str(literal),
                    Piece::Variable { name, quoted } => {
                        let value = self.variables.get(name).map_or("", String::as_str);
                        if *quoted {
                            text.push_str(value);
                        } else {
                            split(value, &mut text, &mut expanded);
                        }
                    }
                }
                let sum = expanded.iter().map(String::len).fold(text.len(), usize::saturating_add);
                if self.bytes.saturating_add(sum) > BYTES {
                    return Err(Garbled { line: 1, wanted: LIMITED });
                }
            }
            is_word |= !text.is_empty();
            if is_word {
                expanded.push(text);
            }
        }
        self.bytes += expanded.iter().map(|word| word.len() + 1).sum::<usize>();
        Ok(expanded)
    }

    /// Runs a command; whether it succeeded.
    fn command(
        &mut self,
        words: &[String],
        block: Option<&'a [Statement]>,
        depth: usize,
    ) -> Result<bool, Garbled> {
        let Some((name, arguments)) = words.split_first() else { return Ok(true) };
        match (name.as_str(), block) {
            ("function", Some(body)) => {
                self.functions.extend(arguments.first().map(|name| (name.clone(), body)));
            }
            ("menuentry", Some(body)) => self.items.push(pending(arguments, Body::Entry(body))),
            ("submenu", Some(body)) => self.items.push(pending(arguments, Body::Submenu(body))),
            ("blscfg", _) => self.items.push(pending(&[], Body::LoaderEntries)),
            ("set", _) => arguments.iter().for_each(|argument| self.assign(argument)),
            ("unset", _) => arguments.iter().for_each(|name| drop(self.variables.remove(name))),
            ("load_env", _) => self.load_environment(arguments)?,
            ("[", _) => {
                let arguments = arguments.strip_suffix(&["]".to_owned()]).unwrap_or(arguments);
                return Ok(self.test(arguments));
            }
            ("test", _) => return Ok(self.test(arguments)),
            ("false" | "keystatus" | "cmosclean" | "cmostest", _) => return Ok(false),
            ("linux" | "linuxefi" | "linux16", _) => self.kernel.start(arguments),
            ("initrd" | "initrdefi" | "initrd16", _) => {
                let files = arguments.iter().filter(|file| !file.starts_with("newc:"));
                self.kernel.initrds.extend(files.cloned());
            }
            ("search" | "search.fs_uuid" | "search.fs_label" | "search.file", _) => {
                self.kernel.place = place(name, arguments);
            }
            (assignment, None) if is_assignment(assignment) => self.assign(assignment),
            _ => return self.call(name, arguments, depth),
        }
        Ok(true)
    }

    /// Calls a function, if the command is one.
    fn call(&mut self, name: &str, arguments: &[String], depth: usize) -> Result<bool, Garbled> {
        let Some(&body) = self.functions.get(name) else { return Ok(true) };
        if depth >= DEPTH {
            return Ok(false);
        }
        let numbers = (1..=9).map(|number| number.to_string());
        let positions: Vec<(String, Option<String>)> = numbers
            .zip(arguments.iter().map(Some).chain(std::iter::repeat(None)))
            .map(|(number, argument)| (number, argument.cloned()))
            .collect();
        let outer: Vec<(String, Option<String>)> =
            positions.into_iter().map(|(number, value)| self.replaced(number, value)).collect();
        let result = self.run(body, depth + 1);
        for (number, value) in outer {
            self.replaced(number, value);
        }
        result
    }

    /// Sets or removes a variable, and returns it as it was.
    fn replaced(&mut self, name: String, value: Option<String>) -> (String, Option<String>) {
        let old = match value {
            Some(value) => self.variables.insert(name.clone(), value),
            None => self.variables.remove(&name),
        };
        (name, old)
    }

    fn assign(&mut self, assignment: &str) {
        if let Some((name, value)) = assignment.split_once('=') {
            self.variables.insert(name.into(), value.into());
        }
    }

    /// Loads the environment block. One of another name is not there.
    fn load_environment(&mut self, arguments: &[String]) -> Result<(), Garbled> {
        let file = arguments.iter().position(|argument| argument == "-f" || argument == "--file");
        let file = match file {
            Some(at) => arguments.get(at + 1).map(String::as_str),
            None => arguments.iter().find_map(|argument| argument.strip_prefix("--file=")),
        };
        let is_other = file.is_some_and(|file| !file.ends_with("/grubenv"));
        if let Some(environment) = self.environment.filter(|_| !is_other) {
            self.take_steps(environment.len())?;
            self.variables.extend(environment.clone());
        }
        Ok(())
    }

    fn test(&self, arguments: &[String]) -> bool {
        let mut either = arguments.split(|argument| argument == "-o");
        either.any(|either| either.split(|argument| argument == "-a").all(|both| self.test_one(both)))
    }

    fn test_one(&self, arguments: &[String]) -> bool {
        let negations = arguments.iter().take_while(|argument| *argument == "!").count();
        let arguments: Vec<&str> = arguments.iter().skip(negations).map(String::as_str).collect();
        let number = |text: &str| text.parse::<i64>().unwrap_or(0);
        let holds = match *arguments.as_slice() {
            [text] | ["-n", text] => !text.is_empty(),
            ["-z", text] => text.is_empty(),
            ["-e" | "-f" | "-s", file] => file.ends_with("/grubenv") && self.environment.is_some(),
            [left, "=" | "==", right] => left == right,
            [left, "!=", right] => left != right,
            [left, "-eq", right] => number(left) == number(right),
            [left, "-ne", right] => number(left) != number(right),
            [left, "-lt", right] => number(left) < number(right),
            [left, "-le", right] => number(left) <= number(right),
            [left, "-gt", right] => number(left) > number(right),
            [left, "-ge", right] => number(left) >= number(right),
            _ => false,
        };
        holds == negations.is_multiple_of(2)
    }
}

const LIMITED: &str = "the start of a script of at most a million commands and 32 MiB of arguments";

/// Adds a value that is split at spaces to a word; all but the last part end a word.
fn split(value: &str, text: &mut String, words: &mut Vec<String>) {
    for (index, part) in value.split([' ', '\t', '\n']).enumerate() {
        if index > 0 && !text.is_empty() {
            words.push(std::mem::take(text));
        }
        text.push_str(part);
    }
}

fn is_assignment(word: &str) -> bool {
    let of_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    word.split_once('=').is_some_and(|(name, _)| !name.is_empty() && name.bytes().all(of_name))
}

/// The entry of a `menuentry` or `submenu`: its title is the first argument that is not an option.
fn pending<'a>(arguments: &[String], body: Body<'a>) -> Pending<'a> {
    let mut pending = Pending { title: String::new(), id: None, body };
    let mut has_title = false;
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        match argument.as_str() {
            "--id" => pending.id = rest.next().cloned(),
            "--class" | "--users" | "--hotkey" | "--source" => drop(rest.next()),
            other => match other.strip_prefix("--id=") {
                Some(id) => pending.id = Some(id.into()),
                None if !other.starts_with("--") && !has_title => {
                    (pending.title, has_title) = (other.into(), true);
                }
                None => {}
            },
        }
    }
    pending
}

/// The file system that a `search` selects.
fn place(name: &str, arguments: &[String]) -> Option<Place> {
    let has = |long: &str, short: char| {
        arguments.iter().any(|argument| {
            argument == long
                || (argument.starts_with('-') && !argument.starts_with("--") && argument.contains(short))
        })
    };
    let mut operands = Vec::new();
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        match argument.as_str() {
            "-s" | "--hint" | "-h" => drop(rest.next()),
            other if other.starts_with('-') => {}
            _ => operands.push(argument),
        }
    }
    // `--set VARIABLE NAME` and `--set NAME` are both allowed; `search.fs_uuid NAME VARIABLE`.
    match name {
        "search" if has("--fs-uuid", 'u') => operands.last().map(|uuid| Place::Uuid((*uuid).clone())),
        "search" if has("--label", 'l') => operands.last().map(|label| Place::Label((*label).clone())),
        "search.fs_uuid" => operands.first().map(|uuid| Place::Uuid((*uuid).clone())),
        "search.fs_label" => operands.first().map(|label| Place::Label((*label).clone())),
        _ => None,
    }
}
