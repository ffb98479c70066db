//! GRUB's menu: `grub.cfg` and its environment block.

pub mod environment;
mod run;
mod script;

use std::collections::BTreeMap;

use crate::Garbled;

/// GRUB's menu.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Menu {
    /// The items of the main menu.
    pub items: Vec<Item>,
    /// The variable `default`.
    pub default: String,
    /// All variables as the script left them, for boot loader specification entries.
    pub variables: BTreeMap<String, String>,
}

/// An item of a menu.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// The title.
    pub title: String,
    /// The name given with `--id`.
    pub id: Option<String>,
    /// What it is.
    pub kind: Kind,
}

/// What an item of a menu is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An entry. It starts no Linux kernel if its path is empty.
    Entry(Kernel),
    /// A menu of its own.
    Submenu(Vec<Item>),
    /// The place for the entries of the boot loader specification (`blscfg`).
    LoaderEntries,
}

/// The kernel that an entry starts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kernel {
    /// Its path in its file system; empty if there is none.
    pub path: String,
    /// The command line.
    pub command_line: String,
    /// The paths of the initrds.
    pub initrds: Vec<String>,
    /// Its file system, if the entry searches for it.
    pub place: Option<Place>,
}

/// What a file system is searched by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// Its UUID.
    Uuid(String),
    /// Its label.
    Label(String),
}

impl Kernel {
    fn start(&mut self, arguments: &[String]) {
        let Some((path, arguments)) = arguments.split_first() else { return };
        self.path.clone_from(path);
        self.command_line = joined(arguments);
    }
}

/// A command line, quoted as GRUB quotes it.
fn joined(arguments: &[String]) -> String {
    let quoted = arguments.iter().map(|argument| {
        let mut text = String::new();
        let has_spaces = argument.contains(' ');
        text.extend(has_spaces.then_some('"'));
        for next in argument.chars() {
            text.extend(matches!(next, '\\' | '\'' | '"').then_some('\\'));
            text.push(next);
        }
        text.extend(has_spaces.then_some('"'));
        text
    });
    quoted.collect::<Vec<_>>().join(" ")
}

/// The menu of a script, which is run as far as the menu depends on it. `environment` holds the
/// variables of the environment block, if there is one.
///
/// # Errors
/// [`Garbled`] if its blocks are not balanced, or it takes too long.
pub fn menu(text: &str, environment: Option<&BTreeMap<String, String>>) -> Result<Menu, Garbled> {
    let script = script::parse(text)?;
    let mut shell = run::Shell::new(environment);
    let items = shell.menu(&script, 0)?;
    let default = shell.variables.get("default").cloned().unwrap_or_default();
    Ok(Menu { items, default, variables: shell.variables })
}

/// Replaces the variables in a text, which stays one word. Unknown ones are empty.
#[must_use]
pub fn substituted(text: &str, variables: &BTreeMap<String, String>) -> String {
    /// More is not a command line.
    const LIMIT: usize = 1 << 16;
    let mut result = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        result.push_str(before);
        let (name, end) = match after.strip_prefix('{').and_then(|inner| inner.split_once('}')) {
            Some(parts) => parts,
            None => {
                let is_of_name = |next: char| next.is_ascii_alphanumeric() || next == '_';
                after.split_at(after.find(|next| !is_of_name(next)).unwrap_or(after.len()))
            }
        };
        if name.is_empty() {
            result.push('$');
        }
        if let Some(value) = variables.get(name).filter(|value| value.len() + result.len() <= LIMIT) {
            result.push_str(value);
        }
        rest = end;
    }
    result.push_str(rest);
    result
}

/// The parts of an entry's name in `default` or `saved_entry`: menus and then the entry, between
/// `>`. A doubled `>` belongs to a part.
#[must_use]
pub fn path(name: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut rest = name.chars().peekable();
    while let Some(next) = rest.next() {
        if next == '>' && rest.next_if_eq(&'>').is_none() {
            parts.push(String::new());
        } else if let Some(last) = parts.last_mut() {
            last.push(next);
        }
    }
    parts
}

#[cfg(test)]
mod tests;
