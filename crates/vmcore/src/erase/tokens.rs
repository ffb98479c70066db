//! The words of a file of rules.

use super::rules::{Declaration, bad, declaration};
use crate::Error;

/// A word, and the number of its line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) line: usize,
    pub(super) text: String,
}

/// The start of a section, a declaration, or the first word of a command.
pub(super) enum Line {
    Section(usize, String),
    Declaration(Declaration),
    Command(Token),
    Bad(Error),
}

/// The rest of a file. A command may extend over several lines; a `#` starts a comment.
pub(super) struct Tokens<'a> {
    lines: std::iter::Enumerate<std::str::Lines<'a>>,
    /// The number and the rest of the current line.
    line: usize,
    rest: &'a str,
    /// Whether nothing of the current line was taken.
    is_fresh: bool,
}

impl<'a> Tokens<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { lines: text.lines().enumerate(), line: 0, rest: "", is_fresh: false }
    }

    /// What a command cannot contain, or the start of a command.
    pub(super) fn line(&mut self) -> Option<Line> {
        self.skip_empty_lines();
        if !self.is_fresh {
            return self.next().map(Line::Command);
        }
        let words: Vec<_> = self.rest.split_whitespace().collect();
        match words.as_slice() {
            [first, ..] if first.starts_with('[') => {
                let name = self.rest.trim().strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
                let reason = "a section starts with a line [vmlinux] or [MODULE]";
                let line = self.line;
                let found = name.map(|name| Line::Section(line, name.to_owned()));
                self.rest = "";
                Some(found.unwrap_or_else(|| Line::Bad(bad(line, reason))))
            }
            ["type", words @ ..] => {
                self.rest = "";
                Some(declaration(self.line, words).map_or_else(Line::Bad, Line::Declaration))
            }
            _ => self.next().map(Line::Command),
        }
    }

    /// The next word of a command.
    pub(super) fn next(&mut self) -> Option<Token> {
        let token = self.peek()?;
        self.skip();
        Some(token)
    }

    /// The next word without taking it. A line that starts a section ends the command.
    pub(super) fn peek(&mut self) -> Option<Token> {
        self.skip_empty_lines();
        let word = self.rest.split_whitespace().next()?;
        let ends = self.is_fresh && word.starts_with('[');
        (!ends).then(|| Token { line: self.line, text: word.to_owned() })
    }

    /// Takes the word that was seen.
    pub(super) fn skip(&mut self) {
        self.is_fresh = false;
        let rest = self.rest;
        self.rest = rest.find(char::is_whitespace).and_then(|end| rest.get(end..)).unwrap_or("").trim();
    }

    /// Takes the next word if it is this one.
    pub(super) fn next_if(&mut self, word: &str) -> bool {
        let is = self.peek().is_some_and(|token| token.text == word);
        if is {
            self.skip();
        }
        is
    }

    fn skip_empty_lines(&mut self) {
        while self.rest.is_empty() {
            let Some((index, text)) = self.lines.next() else { return };
            self.line = index + 1;
            self.rest = text.split('#').next().unwrap_or("").trim();
            self.is_fresh = true;
        }
    }
}
