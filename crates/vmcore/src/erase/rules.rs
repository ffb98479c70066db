//! The rules in the syntax of makedumpfile.conf(5), and one more kind of line: `type SYMBOL TYPE`,
//! because BTF does not have the types of global variables.
//!
//! ```text
//! [vmlinux]                                    the kernel, or the name of a module
//! type SYMBOL [struct|union] NAME [*]... [[N]]...
//! erase SYMBOL[.MEMBER]... [size N[K|M] | size SYMBOL[.MEMBER]... | nullify]
//! for VARIABLE in SYMBOL[.MEMBER]... [via MEMBER | within STRUCTURE:MEMBER]
//!     erase VARIABLE[.MEMBER]... [size ... | nullify]
//! endfor
//! ```

use std::collections::BTreeSet;

use super::tokens::{Line, Token, Tokens};
use crate::{Error, Result};

/// The most bytes of a file of rules.
const MOST_BYTES: usize = 1 << 20;
/// The most stars, and dimensions, of a declared type.
const MOST_LAYERS: usize = 8;
/// Words that are no names.
const KEYWORDS: [&str; 8] = ["erase", "size", "nullify", "for", "in", "via", "within", "endfor"];

/// Rules that name data to erase from a dump.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    pub(super) sections: Vec<Section>,
}

/// The rules about the kernel or a module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Section {
    /// The line that starts it.
    pub(super) line: usize,
    /// The name of the module; `None` for the kernel itself.
    pub(super) module: Option<String>,
    pub(super) types: Vec<Declaration>,
    pub(super) commands: Vec<Command>,
}

/// The type of a symbol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Declaration {
    pub(super) line: usize,
    pub(super) symbol: String,
    /// Whether the name is that of a structure or union.
    pub(super) is_structure: bool,
    /// The name, as BTF spells it.
    pub(super) name: String,
    /// The number of pointers to it.
    pub(super) pointers: usize,
    /// The dimensions of the array of those.
    pub(super) dimensions: Vec<u64>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Command {
    Erase(Erase),
    Loop(Loop),
}

/// What to erase, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Erase {
    pub(super) line: usize,
    pub(super) what: Expression,
    pub(super) how: How,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum How {
    /// As much as the type says.
    ByType,
    /// This number of bytes.
    Bytes(u64),
    /// The number of bytes that a variable has.
    SizeIn(Expression),
    /// The pointer itself.
    Nullify,
}

/// A symbol, or the variable of a loop, and members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Expression {
    pub(super) start: String,
    pub(super) members: Vec<String>,
}

/// A loop over the elements of an array or list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Loop {
    pub(super) line: usize,
    pub(super) variable: String,
    pub(super) list: Expression,
    pub(super) links: Links,
    pub(super) body: Vec<Erase>,
}

/// How the elements of a list are linked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Links {
    /// They are an array, or a list linked by a member `next`.
    ByType,
    /// By a member that points to the next element.
    Via(String),
    /// By a `struct list_head` in a structure: the names of structure and member.
    Within(String, String),
}

impl Rules {
    /// Parses a file of rules.
    ///
    /// # Errors
    /// [`Error::Rule`] with the number of the line; [`Error::TooLarge`].
    pub fn parse(text: &[u8]) -> Result<Self> {
        if text.len() > MOST_BYTES {
            let (value, most) = (text.len() as u64, MOST_BYTES as u64);
            return Err(Error::TooLarge { what: "the size of the rules in bytes", value, most });
        }
        let text = String::from_utf8_lossy(text);
        let (mut sections, mut section) = (Vec::new(), Section::default());
        let mut tokens = Tokens::new(&text);
        while let Some(line) = tokens.line() {
            match line {
                Line::Section(line, name) => {
                    sections.push(std::mem::replace(&mut section, Section::new(line, &name)?));
                }
                Line::Declaration(declared) => section.types.push(declared),
                Line::Command(start) => section.commands.push(command(&start, &mut tokens)?),
                Line::Bad(error) => return Err(error),
            }
        }
        sections.push(section);
        sections.retain(|section| !section.commands.is_empty());
        Ok(Self { sections })
    }

    /// Whether there is nothing to erase.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sections.is_empty()
    }
}

impl Section {
    fn new(line: usize, name: &str) -> Result<Self> {
        let name = check_name(line, name.trim())?;
        Ok(Self { line, module: (name != "vmlinux").then(|| name.to_owned()), ..Self::default() })
    }

    /// The symbols that its rules name.
    pub(super) fn symbols(&self) -> BTreeSet<&str> {
        let mut symbols = BTreeSet::new();
        for command in &self.commands {
            let (variable, body) = match command {
                Command::Erase(erase) => (None, std::slice::from_ref(erase)),
                Command::Loop(one) => {
                    symbols.insert(one.list.start.as_str());
                    (Some(one.variable.as_str()), one.body.as_slice())
                }
            };
            let sizes = body.iter().filter_map(|erase| match &erase.how {
                How::SizeIn(size) => Some(size),
                _ => None,
            });
            let starts = body.iter().map(|erase| &erase.what).chain(sizes).map(|used| used.start.as_str());
            symbols.extend(starts.filter(|start| Some(*start) != variable));
        }
        symbols
    }
}

/// Parses `type SYMBOL TYPE` after its first word.
pub(super) fn declaration(line: usize, words: &[&str]) -> Result<Declaration> {
    let wrong = |reason: &str| bad(line, reason);
    let [symbol, rest @ ..] = words else { return Err(wrong("expected `type SYMBOL TYPE`")) };
    let symbol = check_name(line, symbol)?.to_owned();
    // Stars and brackets need no spaces around them.
    let text = rest.join(" ").replace('*', " * ").replace('[', " [ ").replace(']', " ] ");
    let mut words = text.split_whitespace().peekable();
    let mut names = Vec::new();
    while let Some(word) = words.next_if(|word| !matches!(*word, "*" | "[" | "]")) {
        names.push(check_name(line, word)?);
    }
    let mut pointers = 0;
    while words.next_if_eq(&"*").is_some() {
        pointers += 1;
    }
    let mut dimensions = Vec::new();
    while words.next_if_eq(&"[").is_some() {
        let count = words.next().and_then(number).filter(|count| *count > 0);
        let count = count.ok_or_else(|| wrong("expected a number of elements between [ and ]"))?;
        words.next_if_eq(&"]").ok_or_else(|| wrong("expected ] after the number of elements"))?;
        dimensions.push(count);
    }
    if let Some(word) = words.next() {
        return Err(wrong(&format!("{word:?} is not expected here in a type")));
    }
    if pointers > MOST_LAYERS || dimensions.len() > MOST_LAYERS {
        return Err(wrong("a type with more than 8 stars or dimensions"));
    }
    let is_structure = matches!(names.first(), Some(&("struct" | "union")));
    let names = names.get(usize::from(is_structure)..).unwrap_or_default();
    if names.is_empty() || is_structure && names.len() > 1 {
        return Err(wrong("expected the name of a type, such as `struct net` or `unsigned long`"));
    }
    let name = if is_structure { names.concat() } else { as_in_btf(&names.join(" ")).to_owned() };
    Ok(Declaration { line, symbol, is_structure, name, pointers, dimensions })
}

/// The name that compilers give to a type of C with several names.
fn as_in_btf(name: &str) -> &str {
    match name {
        "short" => "short int",
        "unsigned short" => "short unsigned int",
        "unsigned" => "unsigned int",
        "long" => "long int",
        "unsigned long" => "long unsigned int",
        "long long" => "long long int",
        "unsigned long long" => "long long unsigned int",
        other => other,
    }
}

fn command(start: &Token, tokens: &mut Tokens<'_>) -> Result<Command> {
    match start.text.as_str() {
        "erase" => erase(start.line, tokens).map(Command::Erase),
        "for" => read_loop(start.line, tokens).map(Command::Loop),
        "endfor" => Err(bad(start.line, "`endfor` without `for`")),
        other => Err(bad(start.line, &format!("{other:?} is not a command: expected erase, for or type"))),
    }
}

fn erase(line: usize, tokens: &mut Tokens<'_>) -> Result<Erase> {
    let what = expression(line, tokens, "a symbol after `erase`")?;
    let how = if tokens.next_if("nullify") {
        How::Nullify
    } else if tokens.next_if("size") {
        size(line, tokens)?
    } else {
        How::ByType
    };
    Ok(Erase { line, what, how })
}

fn size(line: usize, tokens: &mut Tokens<'_>) -> Result<How> {
    let wanted = "a number of bytes or a variable after `size`";
    let is_number = |token: &Token| token.text.starts_with(|letter: char| letter.is_ascii_digit());
    let Some(token) = tokens.peek().filter(is_number) else {
        return expression(line, tokens, wanted).map(How::SizeIn);
    };
    tokens.skip();
    let bytes = bytes(&token.text).filter(|bytes| *bytes > 0);
    let wrong = || {
        bad(token.line, &format!("{:?} is not a size: a number of bytes above 0, or with K or M", token.text))
    };
    bytes.map(How::Bytes).ok_or_else(wrong)
}

fn read_loop(line: usize, tokens: &mut Tokens<'_>) -> Result<Loop> {
    let variable = name(line, tokens, "a variable after `for`")?;
    if !tokens.next_if("in") {
        return Err(bad(line, "expected `in` after the variable of the loop"));
    }
    let list = expression(line, tokens, "an array or a list after `in`")?;
    let links = if tokens.next_if("via") {
        Links::Via(name(line, tokens, "a member after `via`")?)
    } else if tokens.next_if("within") {
        within(line, tokens)?
    } else {
        Links::ByType
    };
    let mut body = Vec::new();
    while !tokens.next_if("endfor") {
        let Some(start) = tokens.peek() else { return Err(bad(line, "`for` without `endfor`")) };
        if start.text != "erase" {
            return Err(bad(start.line, &format!("{:?} in a loop: expected erase or endfor", start.text)));
        }
        tokens.skip();
        let erase = erase(start.line, tokens)?;
        if erase.what.start != variable {
            let reason = format!("in this loop, a path to erase must start with its variable, {variable}");
            return Err(bad(start.line, &reason));
        }
        body.push(erase);
    }
    Ok(Loop { line, variable, list, links, body })
}

fn within(line: usize, tokens: &mut Tokens<'_>) -> Result<Links> {
    let wanted = "STRUCTURE:MEMBER after `within`";
    let token = tokens.next().ok_or_else(|| expected(line, wanted))?;
    // As with makedumpfile, the member is `list` unless it is named.
    let (structure, member) = token.text.split_once(':').unwrap_or((&token.text, "list"));
    let [structure, member] = [structure, member].map(|name| check_name(token.line, name).map(str::to_owned));
    Ok(Links::Within(structure?, member?))
}

fn expression(line: usize, tokens: &mut Tokens<'_>, wanted: &str) -> Result<Expression> {
    let is_keyword = |token: &Token| KEYWORDS.contains(&token.text.as_str());
    let token = tokens.peek().filter(|token| !is_keyword(token)).ok_or_else(|| expected(line, wanted))?;
    tokens.skip();
    let names = token.text.split('.').map(|part| check_name(token.line, part).map(str::to_owned));
    let mut names = names.collect::<Result<Vec<_>>>()?.into_iter();
    Ok(Expression { start: names.next().unwrap_or_default(), members: names.collect() })
}

fn name(line: usize, tokens: &mut Tokens<'_>, wanted: &str) -> Result<String> {
    let Expression { start, members } = expression(line, tokens, wanted)?;
    if members.is_empty() { Ok(start) } else { Err(expected(line, wanted)) }
}

/// A number of bytes, KiB or MiB.
fn bytes(text: &str) -> Option<u64> {
    let (digits, unit) = match text.strip_suffix(['k', 'K']) {
        Some(digits) => (digits, 1 << 10),
        None => text.strip_suffix(['m', 'M']).map_or((text, 1), |digits| (digits, 1 << 20)),
    };
    number(digits)?.checked_mul(unit)
}

/// A number, decimal or hexadecimal with `0x`.
fn number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

fn check_name(line: usize, name: &str) -> Result<&str> {
    let is_of_name = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let is_name = name.chars().all(is_of_name) && name.starts_with(|first: char| !first.is_ascii_digit());
    if is_name { Ok(name) } else { Err(bad(line, &format!("{name:?} is not a name"))) }
}

fn expected(line: usize, what: &str) -> Error {
    bad(line, &format!("expected {what}"))
}

pub(super) fn bad(line: usize, reason: &str) -> Error {
    Error::Rule { line, reason: reason.to_owned() }
}

#[cfg(test)]
mod tests;
